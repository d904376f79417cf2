"""The manager: a scheduler whose tasks are those that a provider gives, again and again.

Source: asynq v0.26.0, PeriodicTaskManager. Unlike there, a set with a fault in it changes
nothing, every fault is told, and a provider that hangs holds up nothing but its own news.
"""

from __future__ import annotations

import logging
import operator
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from asynq_py.clock import NANOSECONDS
from asynq_py.errors import ConfigError, SchedulerStoppedError
from asynq_py.options import Duration, duration_ns
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.entry import Entry
from asynq_py.scheduler.periodic import PeriodicTask
from asynq_py.scheduler.provider import Provider
from asynq_py.scheduler.scheduler import Scheduler

if TYPE_CHECKING:
    from asynq_py.connection.sync import RedisArgument
    from asynq_py.scheduler.book import Changes

#: How long ``stop`` waits for the provider, seconds. It may hang, and is not needed any more.
LEAVE_S = 1.0
#: How many faults are remembered as told; each may have a text of its own.
MOST_TOLD = 1000


class PeriodicTaskManager:
    """Runs a scheduler, and brings its entries into line with what a provider gives.

    An entry that is given again unchanged keeps its phase and its history. A result with a
    fault (the provider failed, an item is no PeriodicTask, two have one name, a spec cannot
    be read, ...) is left aside whole; each fault is logged once.

    Args:
        redis: A URL, a RedisConfig, or a ready ``redis.Redis`` (which is not closed here).
        provider: Called without arguments, gives all PeriodicTasks there are to be. On the
            manager's own thread, after the first time.
        sync_interval: How often it is called; more often if it has a ``poll_interval``.
        config: How the scheduler behaves.

    Raises:
        ConfigError: A value can never work. Nothing is connected yet.
    """

    def __init__(
        self,
        redis: RedisArgument,
        provider: Provider,
        *,
        sync_interval: Duration = 180,
        config: SchedulerConfig | None = None,
    ) -> None:
        if not callable(provider):
            raise ConfigError(f"provider must be callable, not {type(provider).__name__}")
        interval_ns = duration_ns("sync_interval", sync_interval)
        poll_ns = duration_ns("poll_interval", getattr(provider, "poll_interval", sync_interval))
        if not interval_ns or not poll_ns:
            raise ConfigError("sync_interval must be more than zero")
        self._provider = provider
        self._interval_s = min(interval_ns, poll_ns) / NANOSECONDS
        self._scheduler = Scheduler(redis, config)
        config = config or SchedulerConfig()
        self._log = config.logger or logging.getLogger("asynq_py.scheduler")
        #: Held while the provider is asked, so that an older answer never replaces a newer one.
        self._syncing = threading.Lock()
        #: What the provider gave last, and whether something was wrong with it.
        self._seen: tuple[object, ...] | None = None
        self._refused = False
        #: The faults that were logged since all was well.
        self._told: set[str] = set()
        self._lifecycle = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Asks the provider, starts the scheduler, and returns.

        Raises:
            ConfigError: With a line for each fault of what the provider gave; what else the
                provider raises is passed on. Nothing was started.
            SchedulerRunningError: It runs already.
            SchedulerStoppedError: It was stopped: make a new one.
        """
        with self._lifecycle:
            if self._thread is None:
                self.sync()
            self._scheduler.start()
            self._begin()

    def stop(self) -> None:
        """Stops the scheduler; does nothing unless it runs.

        Raises:
            ShutdownTimeoutError: ``shutdown_timeout`` passed before all was enqueued.
        """
        if not self._scheduler.is_running:
            return
        self._stopping.set()
        try:
            self._scheduler.stop()
        finally:
            thread = self._thread
            if thread is not None and thread is not threading.current_thread():
                thread.join(LEAVE_S)

    def run(self) -> None:
        """Starts, and stops on SIGINT or SIGTERM (or ``stop`` from another thread)."""
        with self._lifecycle:
            if self._thread is None:
                self.sync()
                self._begin()
        try:
            self._scheduler.run()
        finally:
            if not self._scheduler.is_running:
                self._stopping.set()

    def sync(self) -> Changes:
        """Asks the provider now and does what it says.

        Returns:
            How many entries were added, removed, changed and left alone.

        Raises:
            ConfigError: With a line for each fault. Nothing was changed.
        """
        with self._syncing:
            return self._apply(self._ask())

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler that it runs: to pause, resume, trigger, backfill, count."""
        return self._scheduler

    def entries(self) -> list[Entry]:
        """All entries as they stand now. See Scheduler.entries."""
        return self._scheduler.entries()

    def entry(self, entry_id: str) -> Entry:
        """One entry as it stands now.

        Raises:
            NotFoundError: There is none of that ID.
        """
        return self._scheduler.entry(entry_id)

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not been asked to stop."""
        return self._scheduler.is_running

    @property
    def is_leader(self) -> bool:
        """Whether its scheduler leads its group. See Scheduler.is_leader."""
        return self._scheduler.is_leader

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _begin(self) -> None:
        self._thread = threading.Thread(
            target=self._sync_until_stopped, name="asynq-scheduler-provider", daemon=True
        )
        self._thread.start()

    def _sync_until_stopped(self) -> None:
        while not self._stopping.wait(self._interval_s):
            try:
                self._look()
            except SchedulerStoppedError:
                return
            except ConfigError as error:
                for fault in str(error).splitlines():
                    self._tell(fault)
            except Exception as error:
                self._tell(f"the provider failed: {type(error).__name__}: {error}", error)

    def _look(self) -> None:
        """As :meth:`sync`, unless the provider gave the same as the last time."""
        with self._syncing:
            items = self._ask()
            if self._stopping.is_set():
                return
            if self._seen is None or not _same(items, self._seen):
                changes = self._apply(items)
                if changes.added or changes.removed or changes.changed:
                    self._log.info(
                        "the tasks have changed: %d added, %d removed, %d changed, %d as before",
                        *changes,
                    )
            if not self._refused:
                self._told.clear()

    def _ask(self) -> tuple[object, ...]:
        given = self._provider()
        if not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
            raise ConfigError(
                f"the provider must give PeriodicTasks, but gave {type(given).__name__}"
            )
        return tuple(given)

    def _apply(self, items: tuple[object, ...]) -> Changes:
        self._seen, self._refused = items, True
        changes = self._scheduler.apply(_checked(items))
        self._refused = False
        return changes

    def _tell(self, fault: str, error: Exception | None = None) -> None:
        if fault not in self._told and not self._stopping.is_set():
            if len(self._told) == MOST_TOLD:
                self._told.clear()
            self._told.add(fault)
            self._log.error("the tasks stay as they are: %s", fault, exc_info=error)


def _same(items: tuple[object, ...], others: tuple[object, ...]) -> bool:
    """Whether these are the very same objects: a PeriodicTask does not change."""
    return len(items) == len(others) and all(map(operator.is_, items, others))


def _checked(items: Iterable[object]) -> list[PeriodicTask]:
    """The items, if they can stand beside each other.

    Raises:
        ConfigError: With a line for each fault.
    """
    tasks: list[PeriodicTask] = []
    faults: list[str] = []
    first: dict[tuple[str, str], int] = {}
    for number, item in enumerate(items, 1):
        if not isinstance(item, PeriodicTask):
            faults.append(f"task {number}: it must be a PeriodicTask, not {type(item).__name__}")
            continue
        tasks.append(item)
        key = ("", item.fingerprint()) if item.name is None else ("name", item.name)
        if (other := first.setdefault(key, number)) == number:
            continue
        if item.name is None:
            faults.append(f"task {number}: it is the same as task {other}; give one of them a name")
        else:
            faults.append(f'task {number} ("{item.name}"): task {other} has that name already')
    if faults:
        raise ConfigError("\n".join(faults))
    return tasks
