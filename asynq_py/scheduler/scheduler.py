"""The scheduler: enqueues tasks on time. What its users hold; asynq_py.scheduler.engine works."""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from asynq_py.broker.control import pause, resume, trigger
from asynq_py.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from asynq_py.errors import ConfigError, ShutdownTimeoutError
from asynq_py.scheduler.backfill import Backfill, Backfilled
from asynq_py.scheduler.book import Book, Changes, make_slot, make_slots
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.engine import Engine
from asynq_py.scheduler.entry import Entry
from asynq_py.scheduler.lifecycle import Lifecycle, State
from asynq_py.scheduler.periodic import EntryOptions, PeriodicTask
from asynq_py.scheduler.timetable import Due
from asynq_py.task import Task

if TYPE_CHECKING:
    from asynq_py.connection.sync import RedisArgument


class Scheduler:
    """Enqueues tasks when their schedules say so; Go or Python workers take them.

    Its entries are sealed while it runs (PeriodicTaskManager changes them). Every method may
    be called from any thread.

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
        self._config = config or SchedulerConfig()
        self._clock = clock
        self._log = self._config.logger or logging.getLogger("asynq_py.scheduler")
        self._book = Book(self._config)
        self._lifecycle = Lifecycle()
        self._engine = Engine(redis, self._book, self._config, clock, self._log)
        self._stopped = threading.Event()
        # A queue, since putting into one is all that a signal handler may safely do.
        self._end_run: queue.SimpleQueue[None] = queue.SimpleQueue()

    # -- entries --

    def register(self, spec: str, task: Task, **definition: Unpack[EntryOptions]) -> str:
        """Adds an entry; the arguments are those of :class:`PeriodicTask`.

        Without a name and without leader election, tasks are byte for byte what Go's
        scheduler enqueues.

        Returns:
            The entry's ID: its name, or a hash of all that defines it.

        Raises:
            ScheduleSyntaxError: ``spec`` cannot be read.
            ConfigError: Another value can never work, or the name is taken.
            SchedulerRunningError: The scheduler runs.
            SchedulerStoppedError: It was stopped.
        """
        slot = make_slot(PeriodicTask(spec, task, **definition), self._config)
        with self._book.lock.write():
            self._lifecycle.check_unsealed("register an entry")
            self._book.add(slot)
        return slot.id

    def unregister(self, entry_id: str) -> None:
        """Removes an entry.

        Raises:
            NotFoundError: There is none of that ID.
            SchedulerRunningError: The scheduler runs.
            SchedulerStoppedError: It was stopped.
        """
        with self._book.lock.write():
            self._lifecycle.check_unsealed("unregister an entry")
            self._book.remove(entry_id)

    def apply(self, tasks: Iterable[PeriodicTask]) -> Changes:
        """Replaces all entries, also while it runs.

        An entry is the same if its name is, or without a name all that defines it. One that
        did not change keeps its phase and its history; one that changed keeps its history,
        and in the ledger its last tick.

        Raises:
            ConfigError: Names every fault. Nothing was changed.
            SchedulerStoppedError: It was stopped.
        """
        slots = make_slots(tasks, self._config)
        now_s = self._clock.now_ns() // NANOSECONDS
        with self._book.lock.write():
            self._lifecycle.check_not_stopped("change the entries")
            running = self._lifecycle.state is State.RUNNING
            changes = self._book.replace(slots, now_s, running=running)
        if running:
            self._engine.wake()
        return changes

    def entries(self) -> list[Entry]:
        """All entries as they stand now, in the order of their registration."""
        standby_s = self._standby_s()
        with self._book.lock.read():
            return [slot.entry(standby_s) for slot in self._book.slots()]

    def entry(self, entry_id: str) -> Entry:
        """One entry as it stands now.

        Raises:
            NotFoundError: There is none of that ID.
        """
        standby_s = self._standby_s()
        with self._book.lock.read():
            return self._book.slot(entry_id).entry(standby_s)

    def pause(self, entry_id: str) -> None:
        """Leaves the ticks of an entry out, in all schedulers of the group, until ``resume``.

        Raises:
            NotFoundError: There is none of that ID.
            BrokerError: Redis failed.
        """
        self._check_entry(entry_id)
        self._engine.connection.run(pause(entry_id, self._group, self._clock.now_ns()))

    def resume(self, entry_id: str) -> None:
        """Has a paused entry tick again; ticks of the pause are not made up for.

        Raises:
            NotFoundError: There is none of that ID.
            BrokerError: Redis failed.
        """
        self._check_entry(entry_id)
        self._engine.connection.run(resume(entry_id, self._group))

    def trigger(self, entry_id: str) -> None:
        """Has the scheduler that leads enqueue an entry's task now, beside its schedule.

        Raises:
            NotFoundError: There is none of that ID.
            BrokerError: Redis failed.
        """
        self._check_entry(entry_id)
        self._engine.connection.run(trigger(entry_id, self._group))

    def backfill(
        self,
        entry_id: str,
        start: datetime,
        end: datetime,
        *,
        rate: float = 100.0,
        limit: int = 10_000,
    ) -> Backfilled:
        """Enqueues the ticks of a past range, each once however often it is asked for.

        Args:
            entry_id: Which entry; ``@every`` has no past without leader election or start_at.
            start: The first moment of the range; aware.
            end: The last one, not in the future.
            rate: How many tasks a second at most.
            limit: How many ticks at most.

        Raises:
            NotFoundError: There is none of that ID.
            ConfigError: A value can never work, or there are too many ticks. Nothing was
                enqueued.
            BrokerError: Redis failed for too long; ask again to go on.
        """
        if not rate > 0 or limit < 1:
            raise ConfigError("rate and limit must be more than zero")
        with self._book.lock.read():
            slot = self._book.slot(entry_id)
        plan = Backfill(slot, start, end, limit=limit, now_ns=self._clock.now_ns())
        return plan.run(
            self._engine.connection,
            self._config,
            self._clock,
            rate=rate,
            stopping=self._engine.abandons,
        )

    # -- life --

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not been asked to stop."""
        with self._book.lock.read():
            return self._lifecycle.state is State.RUNNING

    @property
    def is_leader(self) -> bool:
        """Whether it enqueues now: it runs and, if there is an election, leads."""
        return self._lifecycle.state is State.RUNNING and self._engine.leadership() is not None

    def counts(self) -> Mapping[str, int]:
        """How many ticks went how since it was made, by outcome, and are ``waiting`` now; and
        how often leadership was ``elected``, ``lost`` or ``resigned``."""
        return self._engine.counts()

    def start(self) -> None:
        """Starts enqueueing, and returns at once.

        Raises:
            SchedulerRunningError: It runs already.
            SchedulerStoppedError: It was stopped: make a new one.
        """
        with self._book.lock.write():
            self._lifecycle.start()
            self._book.begin(self._clock.now_ns() // NANOSECONDS)
            # Here, lest somebody stops threads that are not there yet.
            self._engine.start()
        self._log.info("scheduler started", extra={"entries": len(self._book)})

    def stop(self) -> None:
        """Stops: no new ticks, enqueueings under way finish, the history is written,
        leadership is given back, the published entries are removed.

        Does nothing unless it runs.

        Raises:
            ShutdownTimeoutError: ``shutdown_timeout`` passed before all was enqueued; names
                what was lost.
        """
        with self._book.lock.write():
            if not self._lifecycle.stop():
                return
        timeout_s = self._config.shutdown_timeout_s
        self._end_run.put(None)
        lost = self._engine.stop(timeout_s)
        with self._book.lock.write():
            self._lifecycle.end()
        self._stopped.set()
        self._log.info("scheduler stopped")
        if lost:
            raise ShutdownTimeoutError(_names(lost, timeout_s))

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

    def _standby_s(self) -> int | None:
        """Now, where another has the entries tick: then they do not move on here."""
        running = self._lifecycle.state is State.RUNNING
        stands_by = running and self._engine.leadership() is None
        return self._clock.now_ns() // NANOSECONDS if stands_by else None

    @property
    def _group(self) -> str | None:
        election = self._config.leader_election
        return election.group if election else None

    def _check_entry(self, entry_id: str) -> None:
        with self._book.lock.read():
            self._book.slot(entry_id)


def _names(lost: Sequence[Due], timeout_s: float) -> str:
    names = ", ".join(sorted({due.slot.id for due in lost})[:10])
    return f"{len(lost)} ticks were not enqueued within {timeout_s} s of shutdown_timeout: {names}"
