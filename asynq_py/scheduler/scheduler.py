"""The scheduler: enqueues tasks on time.

Three threads, so that none waits for another: the ticker takes what is due from a heap
and hands it over; the sender enqueues it, in batches, and keeps the history; the
publisher shows the entries to Go's tools.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from enum import Enum
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self, Unpack
from zoneinfo import ZoneInfo

from asynq_py.broker.presence import clear_scheduler_entries, clear_scheduler_history
from asynq_py.client.prepare import new_task_id
from asynq_py.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from asynq_py.errors import (
    AsynqError,
    ConfigError,
    NotFoundError,
    SchedulerRunningError,
    SchedulerStoppedError,
    ShutdownTimeoutError,
)
from asynq_py.options import EnqueueOptions, check_text, normalize
from asynq_py.schedule import Schedule, parse_schedule
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.entry import Entry, Slot
from asynq_py.scheduler.publisher import Publisher
from asynq_py.scheduler.sender import Due, Sender
from asynq_py.scheduler.timetable import Timetable
from asynq_py.task import Task

if TYPE_CHECKING:
    from asynq_py.connection.sync import RedisArgument

#: The longest sleep of the ticker, seconds: a clock that was set is noticed within.
MAX_SLEEP_S = 5.0
#: How long ``stop`` waits at least for its entries to be taken back, seconds.
TAKE_BACK_S = 0.5


class _State(Enum):
    NEW = "new"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Scheduler:
    """Enqueues tasks when their schedules say so; Go or Python workers take them.

    Its entries are sealed while it runs. Every method may be called from any thread.

    Args:
        redis: A URL, a RedisConfig, or a ready ``redis.Redis`` (which is not closed here).
        config: How it behaves.
        clock: Tells the time; the machine's own by default.

    Raises:
        ConfigError: It is not clear where Redis is. Nothing is connected yet.
    """

    def __init__(
        self,
        redis: RedisArgument,
        config: SchedulerConfig | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        from asynq_py.connection.sync import Connection

        self._config = config or SchedulerConfig()
        self._clock = clock
        self._log = self._config.logger or logging.getLogger("asynq_py.scheduler")
        self._connection = Connection(redis)
        self._lock = threading.RLock()
        self._state = _State.NEW
        self._slots: dict[str, Slot] = {}
        self._timetable = Timetable()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        # A queue, since putting into one is all that a signal handler may safely do.
        self._end_run: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._due: queue.SimpleQueue[Due | None] = queue.SimpleQueue()
        self._scheduler_id = f"{_hostname()}:{os.getpid()}:{new_task_id()}"
        self._sender = Sender(
            self._connection, self._config, self._due, self._lock, self._clock, self._log
        )
        self._publisher = Publisher(
            self._connection,
            self._scheduler_id,
            self._ordered,
            self._config,
            self._clock,
            self._log,
        )
        self._threads = [
            threading.Thread(target=target, name=f"asynq-scheduler-{name}", daemon=True)
            for name, target in (
                ("ticker", self._tick_until_stopped),
                ("sender", self._sender.run),
                ("publisher", self._publisher.run),
            )
        ]

    def register(
        self,
        spec: str,
        task: Task,
        *,
        name: str | None = None,
        location: str | ZoneInfo | None = None,
        **options: Unpack[EnqueueOptions],
    ) -> str:
        """Adds an entry.

        Args:
            spec: When: a cron expression, ``@daily``, ``@every 30s``, ..., see
                parse_schedule.
            task: What to enqueue then.
            name: What to call the entry; it becomes its ID and travels in the tasks'
                headers (``asynq-entry``, ``asynq-scheduled-for``). Without one the ID is
                random, and tasks are byte for byte what Go's scheduler enqueues.
            location: The time zone of ``spec``; the scheduler's by default.
            **options: How to enqueue it; they win over the task's own.

        Returns:
            The entry's ID.

        Raises:
            ScheduleSyntaxError: ``spec`` cannot be read.
            ConfigError: Another value can never work, or the name is taken.
            SchedulerRunningError: The scheduler runs.
        """
        if not isinstance(task, Task):
            raise ConfigError(f"only a Task can be registered, not {type(task).__name__}")
        schedule = self._parse(spec, location)
        zoned = location is None or spec.startswith(("TZ=", "CRON_TZ="))
        # Go's tools know no location beside a spec, but understand one before it.
        shown = spec if zoned else f"CRON_TZ={schedule.location} {spec}"
        slot = Slot(
            check_text("name", name) if name is not None else new_task_id(),
            name,
            shown,
            schedule,
            task,
            normalize(options),
        )
        with self._lock:
            self._check_sealed("register an entry")
            if slot.id in self._slots:
                raise ConfigError(f"there is an entry named {name!r} already")
            self._slots[slot.id] = slot
        return slot.id

    def unregister(self, entry_id: str) -> None:
        """Removes an entry.

        Raises:
            NotFoundError: There is none of that ID.
            SchedulerRunningError: The scheduler runs.
        """
        with self._lock:
            self._check_sealed("unregister an entry")
            if self._slots.pop(entry_id, None) is None:
                raise NotFoundError(f"there is no entry {entry_id!r}")

    def entries(self) -> list[Entry]:
        """All entries as they stand now, in the order of their registration."""
        with self._lock:
            return [slot.entry() for slot in self._slots.values()]

    def entry(self, entry_id: str) -> Entry:
        """One entry as it stands now.

        Raises:
            NotFoundError: There is none of that ID.
        """
        with self._lock:
            slot = self._slots.get(entry_id)
            if slot is None:
                raise NotFoundError(f"there is no entry {entry_id!r}")
            return slot.entry()

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not been asked to stop."""
        return self._state is _State.RUNNING

    def start(self) -> None:
        """Starts enqueueing, and returns at once.

        Raises:
            SchedulerRunningError: It runs already.
            SchedulerStoppedError: It was stopped: make a new one.
        """
        with self._lock:
            if self._state is _State.RUNNING:
                raise SchedulerRunningError("the scheduler is already running")
            if self._state is not _State.NEW:
                raise SchedulerStoppedError("the scheduler was stopped; make a new one")
            now_s = self._clock.now_ns() // NANOSECONDS
            for slot in self._slots.values():
                slot.advance(now_s)
            self._timetable.fill(self._slots.values())
            self._state = _State.RUNNING
            for thread in self._threads:
                thread.start()
        self._log.info("scheduler started", extra={"entries": len(self._slots)})

    def stop(self) -> None:
        """Stops: no new ticks, enqueueings under way finish, the entries are taken back.

        Does nothing unless it runs.

        Raises:
            ShutdownTimeoutError: ``shutdown_timeout`` passed before all was enqueued.
        """
        with self._lock:
            if self._state is not _State.RUNNING:
                return
            self._state = _State.STOPPING
        deadline = time.monotonic() + self._config.shutdown_timeout_s
        self._stopping.set()
        self._end_run.put(None)
        self._publisher.stop()
        ticker, sender, publisher = self._threads
        ticker.join()
        self._due.put(None)
        for thread in (sender, publisher):
            thread.join(max(0.0, deadline - time.monotonic()))
        lost = self._sender.abandon() if sender.is_alive() else []
        # On a thread of its own, since Redis may take longer than there is time.
        closer = threading.Thread(target=self._take_back, daemon=True)
        closer.start()
        closer.join(max(TAKE_BACK_S, deadline - time.monotonic()))
        self._connection.close()
        with self._lock:
            self._state = _State.STOPPED
        self._stopped.set()
        self._log.info("scheduler stopped")
        if lost:
            names = ", ".join(sorted({slot.id for slot, _ in lost})[:10])
            raise ShutdownTimeoutError(
                f"{len(lost)} ticks were not enqueued within {self._config.shutdown_timeout_s} s"
                f" of shutdown_timeout: {names}"
            )

    def run(self) -> None:
        """Starts, and stops on SIGINT or SIGTERM (or ``stop`` from another thread)."""
        main = threading.current_thread() is threading.main_thread()

        def ask(number: int, frame: FrameType | None) -> None:
            self._end_run.put(None)

        signals = (signal.SIGINT, signal.SIGTERM) if main else ()
        before = {number: signal.signal(number, ask) for number in signals}
        try:
            self.start()
            self._end_run.get()
            self.stop()
            self._stopped.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

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

    def _parse(self, spec: str, location: str | ZoneInfo | None) -> Schedule:
        zone = self._config.location if location is None else location
        return parse_schedule(spec, zone, dst=self._config.dst)

    def _check_sealed(self, what: str) -> None:
        if self._state in (_State.RUNNING, _State.STOPPING):
            raise SchedulerRunningError(f"cannot {what}: the scheduler runs, stop it first")

    def _tick_until_stopped(self) -> None:
        while not self._stopping.is_set():
            now_ns = self._clock.now_ns()
            with self._lock:
                due = self._timetable.take_due(now_ns // NANOSECONDS)
                upcoming_s = self._timetable.next_s
            if due:
                self._due.put(due)
            sleep_s = MAX_SLEEP_S
            if upcoming_s is not None:
                sleep_s = min(sleep_s, upcoming_s - self._clock.now_ns() / NANOSECONDS)
            self._stopping.wait(max(0.0, sleep_s))

    def _ordered(self) -> list[Slot]:
        """The entries by their next run, those that never run again last."""
        with self._lock:
            slots = list(self._slots.values())
        return sorted(slots, key=lambda slot: (slot.next_s is None, slot.next_s or 0))

    def _take_back(self) -> None:
        """Removes what was published; the history of named entries stays (it expires)."""
        unnamed = [slot.id for slot in self._slots.values() if slot.name is None]
        try:
            self._connection.run(clear_scheduler_entries(self._scheduler_id))
            self._connection.run(clear_scheduler_history(unnamed))
        except AsynqError as error:
            self._log.warning("the published entries stay until they expire: %s", error)


def _hostname() -> str:
    return os.uname().nodename or "unknown-host"
