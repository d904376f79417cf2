"""Enqueues what is due, in batches, tries again what failed, and notes how it went."""

from __future__ import annotations

import logging
import random
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from asynq_py.broker.enqueue import Announced, Draft, Fence, Outcome
from asynq_py.broker.enqueue_all import FIRST_CHUNK_TASKS, enqueue_all
from asynq_py.broker.op import call
from asynq_py.broker.presence import EnqueueEvent, record_enqueue_events
from asynq_py.clock import NANOSECONDS, Clock
from asynq_py.errors import (
    AsynqError,
    ConflictError,
    DuplicateTaskError,
    LeaseLostError,
    OverlapError,
    RejectedError,
    RunsExhaustedError,
    TaskIDConflictError,
    TickTakenError,
    UnavailableError,
)
from asynq_py.scheduler.book import Book
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.entry import Record, RunOutcome, Slot
from asynq_py.scheduler.hooks import Hooks
from asynq_py.scheduler.maker import Maker
from asynq_py.scheduler.outbox import Outbox
from asynq_py.scheduler.reporter import Reporter, Settled
from asynq_py.scheduler.timetable import Due

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection

#: The most ticks enqueued, or runs written to the history, at a time.
BATCH = 500
#: What Redis refuses for now, and may take later.
PASSING = frozenset({"OOM", "READONLY", "MISCONF", "NOREPLICAS", "EXECABORT", "NOAUTH"})
#: The longest pause between attempts, seconds.
LONGEST_PAUSE_S = 2.0
#: How many runs are written to the history though ticks wait, and the most that are kept
#: while Redis is away.
MANY_EVENTS = 5_000
MOST_EVENTS = 20_000
#: A history is trimmed, and its life prolonged, after so many runs or so long; for the runs
#: between a ZADD is enough.
UNTRIMMED = 50
TRIMMED_EVERY_NS = 24 * 3600 * NANOSECONDS


class Sender:
    """Empties the outbox. ``step`` is called by one thread."""

    def __init__(
        self,
        connection: Connection,
        book: Book,
        outbox: Outbox,
        hooks: Hooks,
        config: SchedulerConfig,
        leadership: Callable[[], int | None],
        fenced: Callable[[str, int], None],
        clock: Clock,
        log: logging.Logger,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._book = book
        self._outbox = outbox
        self._maker = Maker(config, hooks)
        self._reporter = Reporter(config, hooks, clock, log)
        self._config = config
        self._group = config.leader_election.group if config.leader_election else ""
        self._retry_for_s = config.retry_for_s
        self._leadership = leadership
        self._fenced = fenced
        self._clock = clock
        self._log = log
        self._monotonic = monotonic
        self._announced: Announced = {}
        self._events: deque[EnqueueEvent] = deque(maxlen=MOST_EVENTS)
        self._failures = 0
        self._in_hand: list[Due] = []
        #: The term in which the ticks in the outbox were taken from the ledger's last ones.
        #: None from when ticks were given up until the ticker, which looks at it, has begun
        #: anew: a later tick must not be noted before an earlier one.
        self.term: int | None = None
        self._allowance = 0.0
        self._allowed_at = monotonic()
        self.counts: Counter[RunOutcome] = Counter()

    @property
    def in_hand(self) -> Sequence[Due]:
        """Ticks taken from the outbox whose fate is open."""
        return self._in_hand

    def begin(self, term: int | None) -> None:
        """Ticks that are put into the outbox from now on follow the ledger as of this term."""
        self.term = term

    def count(self, outcome: RunOutcome, count: int) -> None:
        """Counts runs that are noted elsewhere."""
        self.counts[outcome] += count

    def step(self) -> float | None:
        """Enqueues a batch; returns after how many seconds to come again, None: nothing waits."""
        most = self._allowed()
        if most == 0:
            return 1 / (self._config.rate_limit or 1.0)
        # Before ticks are taken: those that a term before has left are not sent in this one.
        term = self.term
        if self._failures:
            self._drop_outdated()
        # Ticks of one entry in one script call: of two, Redis may refuse the first and take the
        # second, and then the ledger would have no place for the earlier tick.
        taken = self._outbox.take(most, FIRST_CHUNK_TASKS)
        batch = [due for due in taken if not due.slot.is_gone]
        if not batch:
            return None if not len(self._outbox) else 0.0
        self._in_hand = batch
        try:
            waiting = self._enqueue(batch, term)
            # Before it leaves our hand, so that it is always in sight.
            self._outbox.put_back(waiting)
        finally:
            self._in_hand = []
        if waiting:
            self._failures += 1
            return random.uniform(0.01, min(LONGEST_PAUSE_S, 0.05 * 2.0 ** min(self._failures, 8)))
        self._failures = 0
        self._allowance -= len(batch)
        return 0.0

    def settle_all(self, ticks: Sequence[Due], outcome: RunOutcome) -> None:
        """Notes of ticks that they are not enqueued by us."""
        if not ticks:
            return
        now_ns = self._clock.now_ns()
        with self._book.lock.write():
            for due in ticks:
                if not due.is_noted_only:
                    due.slot.note(Record(due.tick_s, now_ns, outcome, "", None))
                    if outcome is RunOutcome.MISSED:
                        due.slot.missed += 1
        self.counts[outcome] += len(ticks)
        self._log.warning("%d ticks were not enqueued: %s", len(ticks), outcome.value)

    def flush_history(self) -> bool:
        """Writes the runs that wait to the history; whether none waits any more."""
        while self._events:
            some = [self._events[i] for i in range(min(BATCH, len(self._events)))]
            try:
                self._connection.run(record_enqueue_events(some))
            except AsynqError as error:
                self._log.warning("%d runs are not in the history yet: %s", len(some), error)
                return False
            for _ in some:
                self._events.popleft()
        return True

    # -- a batch --

    def _enqueue(self, batch: list[Due], began: int | None) -> list[Due]:
        """Enqueues ticks; returns those to be tried again, in their order."""
        term = self._leadership()
        if term is None or term != began:
            # Also where the term comes back: a renewal whose reply was slow.
            self.term = None
            given_up = [due for due in batch if term is None or not due.number]
            self.settle_all(given_up, RunOutcome.LOST_LEADERSHIP)
            if term is None or len(given_up) == len(batch):
                return []
            batch = [due for due in batch if due.number]
        now_ns = self._clock.now_ns()
        failed = [
            Settled(due, RunOutcome.FAILED, error) for due, error in self._maker.make(batch, now_ns)
        ]
        if failed:
            self._note(failed, now_ns)
            self._reporter.report(failed, [])
        ready = [due for due in batch if due.draft is not None]
        ended: list[tuple[Due, Outcome]] = []
        for fence, ticks in (
            (None, [due for due in ready if due.slot.field is None]),
            (Fence(self._group, term), [due for due in ready if due.slot.field is not None]),
        ):
            if not ticks:
                continue
            drafts = [cast(Draft, due.draft) for due in ticks]
            op = enqueue_all(drafts, now_ns=now_ns, announced=self._announced, fence=fence)
            ended += zip(ticks, self._connection.run(op), strict=True)
        return self._settle(ended)

    def _settle(self, ended: list[tuple[Due, Outcome]]) -> list[Due]:
        """Notes how ticks went; returns those to be tried again."""
        now_ns = self._clock.now_ns()
        again: list[Due] = []
        settled: list[Settled] = []
        passing: list[tuple[Due, AsynqError]] = []
        exhausted: list[Slot] = []
        for due, error in ended:
            if isinstance(error, RunsExhaustedError):
                exhausted.append(due.slot)
                continue
            if error is not None and self._may_pass(due, error):
                again.append(due)
                if due.failed_at is None:
                    due.failed_at = self._monotonic()
                    passing.append((due, error))
                continue
            settled.append(Settled(due, *self._verdict(due, error)))
        self._note([each for each in settled if not each.due.is_noted_only], now_ns)
        if exhausted:
            with self._book.lock.write():
                self._book.exhaust(exhausted)
        self._reporter.report(settled, passing)
        if not len(self._outbox) or len(self._events) >= MANY_EVENTS:
            # Ticks that wait come first.
            self.flush_history()
        return again

    def _may_pass(self, due: Due, error: AsynqError) -> bool:
        """Whether a failure is worth another attempt."""
        if isinstance(error, UnavailableError):
            due.is_unsure = due.is_unsure or error.written is None
            return True
        if isinstance(error, RejectedError) and error.code in PASSING:
            since = due.failed_at
            return since is None or self._monotonic() - since < self._retry_for_s
        return False

    def _verdict(self, due: Due, error: AsynqError | None) -> tuple[RunOutcome, AsynqError | None]:
        if error is None:
            return RunOutcome.ENQUEUED, None
        if isinstance(error, RejectedError) and error.code == "FENCED":
            self._fenced(str(error), _later_term(error))
            return RunOutcome.LOST_LEADERSHIP, LeaseLostError(str(error))
        if isinstance(error, OverlapError):
            return RunOutcome.OVERLAPPED, error
        if isinstance(error, ConflictError):
            if due.is_unsure and self._is_ours(due, error):
                return RunOutcome.ENQUEUED, None
            return RunOutcome.DUPLICATE, error
        return RunOutcome.FAILED, error

    def _is_ours(self, due: Due, error: ConflictError) -> bool:
        """Whether a task stands in its own way: an attempt was stored, and nobody told us."""
        draft = cast(Draft, due.draft)
        if isinstance(error, TickTakenError):
            return error.same_id
        if due.slot.field is not None:
            return False  # the ledger was asked first, and knows of no attempt
        if isinstance(error, TaskIDConflictError):
            # Random IDs do not meet; one that the user chose may be another task's.
            return "task_id" not in due.slot.definition.options
        if isinstance(error, DuplicateTaskError):
            try:
                return self._connection.run(call("GET", draft.lock)) == draft.task_id.encode()
            except AsynqError:
                return False
        return False

    def _note(self, settled: Sequence[Settled], now_ns: int) -> None:
        with self._book.lock.write():
            for due, outcome, error in settled:
                draft = due.draft
                task_id = draft.task_id if isinstance(draft, Draft) else ""
                due.slot.note(Record(due.tick_s, now_ns, outcome, task_id, error))
                if outcome is RunOutcome.ENQUEUED:
                    self._events.append(self._event(due.slot, task_id, now_ns))
        self.counts.update(outcome for _, outcome, _ in settled)

    def _event(self, slot: Slot, task_id: str, now_ns: int) -> EnqueueEvent:
        slot.untrimmed += 1
        trims = slot.untrimmed > UNTRIMMED or not 0 <= now_ns - slot.trimmed_ns < TRIMMED_EVERY_NS
        if trims:
            slot.trimmed_ns, slot.untrimmed = now_ns, 0
        return EnqueueEvent(slot.id, task_id, now_ns, trims)

    # -- pace --

    def _allowed(self) -> int:
        """How many ticks may go now."""
        limit = self._config.rate_limit
        if limit is None:
            return BATCH
        now = self._monotonic()
        # What was not used within a second is not saved up.
        saved = self._allowance + (now - self._allowed_at) * limit
        self._allowance = min(max(1.0, limit), saved)
        self._allowed_at = now
        return min(BATCH, int(self._allowance))

    def _drop_outdated(self) -> None:
        """After an outage: leaves out what the misfire policies do not want any more."""
        now_s = self._clock.now_ns() / NANOSECONDS
        waiting = self._outbox.take_all()
        newest = {id(due.slot): due for due in waiting if not due.number}
        kept: list[Due] = []
        dropped: list[Due] = []
        for due in waiting:
            misfire = due.slot.misfire
            grace_s = misfire.grace_s
            is_late = grace_s is not None and now_s - due.tick_s > grace_s
            is_old = misfire.policy != "all" and newest.get(id(due.slot)) is not due
            outdated = not due.number and not due.is_noted_only and (is_late or is_old)
            (dropped if outdated else kept).append(due)
        self._outbox.put_back(kept)
        self.settle_all(dropped, RunOutcome.MISSED)


def _later_term(error: RejectedError) -> int:
    """The term that enqueue.lua names in "FENCED a leader of term <number> has been here"."""
    found = re.search(r"term (\d+)", str(error))
    return int(found[1]) if found else 0
