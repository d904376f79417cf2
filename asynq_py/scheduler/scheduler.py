"""The scheduler: enqueues tasks on time.

Its threads, so that none waits for another: the ticker takes what is due from a heap and
puts it into the outbox; the sender enqueues that, in batches, and keeps the history; the
publisher shows the entries to Go's tools; the listener hears what others ask of the entries;
the elector, if there is an election, stands for leadership; hooks have a thread of their own.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Self, Unpack
from zoneinfo import ZoneInfo

from asynq_py.broker.control import pause, resume, trigger
from asynq_py.broker.presence import clear_scheduler_history
from asynq_py.client.prepare import new_task_id
from asynq_py.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from asynq_py.codec import JSON, Codec
from asynq_py.errors import AsynqError, ConfigError, ShutdownTimeoutError
from asynq_py.options import Duration, EnqueueOptions
from asynq_py.scheduler.backfill import Backfill, Backfilled
from asynq_py.scheduler.book import Book, Changes, make_slot, make_slots
from asynq_py.scheduler.config import Leadership, SchedulerConfig
from asynq_py.scheduler.elector import Elector
from asynq_py.scheduler.entry import Entry
from asynq_py.scheduler.hooks import Hooks
from asynq_py.scheduler.lifecycle import Lifecycle, State
from asynq_py.scheduler.listener import WAIT_S, Listener
from asynq_py.scheduler.outbox import Outbox
from asynq_py.scheduler.periodic import PayloadOf, PeriodicTask
from asynq_py.scheduler.policy import Misfire, Overlap
from asynq_py.scheduler.publisher import Publisher
from asynq_py.scheduler.sender import Sender
from asynq_py.scheduler.ticker import Ticker
from asynq_py.scheduler.timetable import Due
from asynq_py.task import Task

if TYPE_CHECKING:
    from asynq_py.connection.sync import RedisArgument

#: How long ``stop`` waits at least for its entries to be taken back, seconds.
TAKE_BACK_S = 0.5


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
        from asynq_py.connection.sync import Connection

        self._config = config or SchedulerConfig()
        self._clock = clock
        self._log = self._config.logger or logging.getLogger("asynq_py.scheduler")
        self._connection = Connection(redis)
        self._book = Book(self._config)
        self._lifecycle = Lifecycle()
        self._stopped = threading.Event()
        # A queue, since putting into one is all that a signal handler may safely do.
        self._end_run: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._scheduler_id = f"{_hostname()}:{os.getpid()}:{new_task_id()}"
        self._hooks = Hooks(self._log)
        self._elector: Elector | None = None
        election = self._config.leader_election
        if election is not None:
            self._elector = Elector(
                self._connection, election, self._scheduler_id, self._on_leadership, self._log
            )
        self._outbox = Outbox(self._config.max_waiting)
        self._sender = Sender(
            self._connection,
            self._book,
            self._outbox,
            self._hooks,
            self._config,
            self._leadership,
            self._on_fenced,
            clock,
            self._log,
        )
        self._ticker = Ticker(
            self._connection,
            self._book,
            self._outbox,
            self._sender,
            self._leadership,
            clock,
            self._log,
        )
        self._publisher = Publisher(
            self._connection,
            self._scheduler_id,
            self._book,
            self._leadership,
            self._config,
            clock,
            self._log,
        )
        # It waits for messages longer than others wait for replies.
        self._listening = Connection(redis, wait_s=WAIT_S)
        self._listener = Listener(
            self._listening,
            self._book,
            self._outbox,
            self._leadership,
            self._on_resigned,
            self._config,
            self._log,
        )
        self._wake_ticker = threading.Event()
        self._ends_sending = threading.Event()
        self._abandons = threading.Event()
        self._threads: dict[str, threading.Thread] = {}

    # -- entries --

    def register(
        self,
        spec: str,
        task: Task,
        *,
        name: str | None = None,
        location: str | ZoneInfo | None = None,
        misfire: Misfire | None = None,
        overlap: Overlap = Overlap.ALLOW,
        jitter: Duration | None = None,
        start_at: datetime | None = None,
        end_at: datetime | None = None,
        max_runs: int | None = None,
        exclude: Iterable[date] = (),
        payload: PayloadOf | None = None,
        codec: Codec = JSON,
        dialect: str = "asynq",
        **options: Unpack[EnqueueOptions],
    ) -> str:
        """Adds an entry; the arguments are those of :class:`PeriodicTask`.

        Without a name and without leader election, tasks are byte for byte what Go's
        scheduler enqueues.

        Returns:
            The entry's ID: its name; or else, under leader election, a hash of all that
            defines it, and without it a random UUID.

        Raises:
            ScheduleSyntaxError: ``spec`` cannot be read.
            ConfigError: Another value can never work, or the name is taken.
            SchedulerRunningError: The scheduler runs.
            SchedulerStoppedError: It was stopped.
        """
        definition = PeriodicTask(
            spec,
            task,
            name=name,
            location=location,
            misfire=misfire,
            overlap=overlap,
            jitter=jitter,
            start_at=start_at,
            end_at=end_at,
            max_runs=max_runs,
            exclude=exclude,
            payload=payload,
            codec=codec,
            dialect=dialect,
            **options,
        )
        slot = make_slot(definition, self._config)
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
            self._wake_ticker.set()
            self._publisher.wake()
        return changes

    def entries(self) -> list[Entry]:
        """All entries as they stand now, in the order of their registration."""
        with self._book.lock.read():
            return self._book.entries()

    def entry(self, entry_id: str) -> Entry:
        """One entry as it stands now.

        Raises:
            NotFoundError: There is none of that ID.
        """
        with self._book.lock.read():
            return self._book.slot(entry_id).entry()

    def pause(self, entry_id: str) -> None:
        """Leaves the ticks of an entry out, in all schedulers of the group, until ``resume``.

        Raises:
            NotFoundError: There is none of that ID.
            BrokerError: Redis failed.
        """
        self._check_entry(entry_id)
        self._connection.run(pause(entry_id, self._group, self._clock.now_ns()))

    def resume(self, entry_id: str) -> None:
        """Has a paused entry tick again; ticks of the pause are not made up for.

        Raises:
            NotFoundError: There is none of that ID.
            BrokerError: Redis failed.
        """
        self._check_entry(entry_id)
        self._connection.run(resume(entry_id, self._group))

    def trigger(self, entry_id: str) -> None:
        """Has the scheduler that leads enqueue an entry's task now, beside its schedule.

        Raises:
            NotFoundError: There is none of that ID.
            BrokerError: Redis failed.
        """
        self._check_entry(entry_id)
        self._connection.run(trigger(entry_id, self._group))

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
            entry_id: Of an entry with a name, or under leader election.
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
            self._connection, self._config, self._clock, rate=rate, stopping=self._abandons
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
        return self._lifecycle.state is State.RUNNING and self._leadership() is not None

    def counts(self) -> Mapping[str, int]:
        """How many ticks went how since it was made, by outcome; and ``waiting`` now."""
        counts = {outcome.value: count for outcome, count in self._sender.counts.items()}
        return counts | {"waiting": len(self._outbox) + len(self._sender.in_hand)}

    def start(self) -> None:
        """Starts enqueueing, and returns at once.

        Raises:
            SchedulerRunningError: It runs already.
            SchedulerStoppedError: It was stopped: make a new one.
        """
        with self._book.lock.write():
            self._lifecycle.start()
            self._book.begin(self._clock.now_ns() // NANOSECONDS)
        for name, run in (
            ("ticker", self._tick_until_stopped),
            ("sender", self._send_until_stopped),
            ("publisher", self._publisher.run),
            ("listener", self._listener.run),
            *((("elector", self._elector.run),) if self._elector else ()),
        ):
            thread = threading.Thread(target=run, name=f"asynq-scheduler-{name}", daemon=True)
            self._threads[name] = thread
            thread.start()
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
        deadline = time.monotonic() + self._config.shutdown_timeout_s
        self._end_run.put(None)
        self._wake_ticker.set()
        # It may be waiting for the ledger.
        self._join("ticker", deadline)
        self._ends_sending.set()
        self._outbox.wake()
        self._publisher.stop()
        self._listener.stop()
        self._join("sender", deadline)
        lost: list[Due] = []
        self._abandons.set()
        if self._threads["sender"].is_alive():
            lost = [*self._sender.in_hand, *self._outbox.take_all()]
        # On a thread of its own, since Redis may take longer than there is time.
        closer = threading.Thread(target=self._take_back, daemon=True)
        closer.start()
        closer.join(max(TAKE_BACK_S, deadline - time.monotonic()))
        self._hooks.finish(max(deadline, time.monotonic() + TAKE_BACK_S))
        self._connection.close()
        self._listening.close()
        with self._book.lock.write():
            self._lifecycle.end()
        self._stopped.set()
        self._log.info("scheduler stopped")
        if lost:
            raise ShutdownTimeoutError(_names(lost, self._config.shutdown_timeout_s))

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

    # -- threads --

    def _leadership(self) -> int | None:
        """The term in which ticks are enqueued: 0 without election, None if another leads."""
        return 0 if self._elector is None else self._elector.term

    def _on_leadership(self, event: Leadership) -> None:
        if event.event == "elected":
            self._listener.replay()
        self._wake_ticker.set()
        self._publisher.wake()
        election = self._config.leader_election
        if election is not None and election.on_change is not None:
            on_change = election.on_change
            self._hooks.call([("on_change", lambda: on_change(event))])

    def _on_resigned(self) -> None:
        if self._elector is not None:
            self._elector.wake()

    def _on_fenced(self, reason: str) -> None:
        if self._elector is not None:
            self._elector.step_down(reason)

    @property
    def _group(self) -> str | None:
        election = self._config.leader_election
        return election.group if election else None

    def _check_entry(self, entry_id: str) -> None:
        with self._book.lock.read():
            self._book.slot(entry_id)

    def _tick_until_stopped(self) -> None:
        while self._lifecycle.state is State.RUNNING:
            self._wake_ticker.clear()
            self._wake_ticker.wait(self._guarded("ticker", self._ticker.step, 1.0))

    def _send_until_stopped(self) -> None:
        while not self._abandons.is_set():
            pause = self._guarded("sender", self._sender.step, 1.0)
            if pause is not None:
                # What is left when it stops is tried until the time is up.
                ending = self._ends_sending.is_set()
                (self._abandons if ending else self._ends_sending).wait(pause)
            elif self._ends_sending.is_set():
                return
            else:
                self._outbox.wait()

    def _guarded(self, name: str, step: Callable[[], float | None], pause: float) -> float | None:
        """A step; a fault of ours must not end all ticks to come."""
        try:
            return step()
        except Exception:
            self._log.exception("the %s met a fault of asynq_py; it goes on", name)
            return pause

    def _join(self, name: str, deadline: float | None = None) -> None:
        thread = self._threads[name]
        if thread is threading.current_thread():
            return
        thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _take_back(self) -> None:
        """Writes what is left to write, and leaves."""
        self._sender.flush_history()
        if self._elector is not None:
            self._elector.stop()
            self._join("elector")
            self._elector.resign()
        self._join("publisher")
        # The history of entries that will have the same ID again stays; it expires.
        random_ids = [
            slot.id
            for slot in self._book.slots()
            if slot.definition.name is None and slot.field is None
        ]
        try:
            self._publisher.take_back()
            self._connection.run(clear_scheduler_history(random_ids))
        except AsynqError as error:
            self._log.warning("the published entries stay until they expire: %s", error)


def _names(lost: Sequence[Due], timeout_s: float) -> str:
    names = ", ".join(sorted({due.slot.id for due in lost})[:10])
    return f"{len(lost)} ticks were not enqueued within {timeout_s} s of shutdown_timeout: {names}"


def _hostname() -> str:
    return os.uname().nodename or "unknown-host"
