"""Has due ticks put into the outbox, while this scheduler is the one to do so."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from asynq_py.broker.ledger import first_seen
from asynq_py.clock import NANOSECONDS, Clock
from asynq_py.errors import AsynqError
from asynq_py.scheduler.book import Book
from asynq_py.scheduler.entry import RunOutcome
from asynq_py.scheduler.outbox import Outbox
from asynq_py.scheduler.sender import Sender
from asynq_py.scheduler.timetable import Missed

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection

#: The longest sleep, seconds: a clock that was set is noticed within.
MAX_SLEEP_S = 5.0
#: How many entries are moved on while nobody can read them.
SLICE = 1000
#: How many entries are read from the ledger at a time.
READ_AT_ONCE = 4000
#: A clock that is this far from where it should be was set, seconds.
CLOCK_STEP_S = 1.0


class Ticker:
    """Moves the entries on. ``step`` is called by one thread."""

    def __init__(
        self,
        connection: Connection,
        book: Book,
        outbox: Outbox,
        sender: Sender,
        leadership: Callable[[], int | None],
        clock: Clock,
        log: logging.Logger,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._book = book
        self._outbox = outbox
        self._sender = sender
        self._leadership = leadership
        self._clock = clock
        self._log = log
        self._monotonic = monotonic
        #: The term in which the entries tick; None while they do not.
        self._term: int | None = None
        self._failures = 0
        self._offset_s: float | None = None

    def step(self) -> float:
        """Does what is to be done now; returns after how many seconds to come again."""
        self._watch_the_clock()
        term = self._leadership()
        if term != self._term or term != self._sender.term:
            self._begin(term)
        with self._book.lock.read():
            has_unread = bool(self._book.unread(1))
        if has_unread and not self._read_ledger(term):
            pause = min(MAX_SLEEP_S, 0.1 * 2.0 ** min(self._failures, 8))
            return random.uniform(0.01, pause)
        if term is None:
            return MAX_SLEEP_S
        return self._take_due()

    def _begin(self, term: int | None) -> None:
        """A term begins, or has ended: the ledger says where to go on."""
        waiting = self._outbox.take_all()
        # What was triggered has no order to keep; the sender decides.
        self._outbox.put_back(due for due in waiting if due.number)
        ticks = [due for due in waiting if not due.number]
        self._sender.settle_all(ticks, RunOutcome.LOST_LEADERSHIP)
        if self._term is not None or term:
            with self._book.lock.write():
                self._book.unread_all()
        self._term = term
        self._sender.begin(term)

    def _read_ledger(self, term: int | None) -> bool:
        """Reads the ledger for the entries that wait for it, and has them tick.

        A follower reads it too: an entry that is new to the ledger is noted there from when
        anyone has seen it first.
        """
        while True:
            now_s = self._clock.now_ns() // NANOSECONDS
            with self._book.lock.read():
                slots = self._book.unread(READ_AT_ONCE)
            if not slots:
                break
            fields = [(slot.queue, slot.field or "") for slot in slots]
            try:
                noted = self._connection.run(first_seen(fields, baseline_s=now_s))
            except AsynqError as error:
                self._failures += 1
                if self._failures == 1:
                    self._log.warning("the ledger of ticks cannot be read: %s", error)
                return False
            with self._book.lock.write():
                self._book.read(slots, noted, now_s)
        self._failures = 0
        with self._book.lock.write():
            self._book.refill()
        return True

    def _take_due(self) -> float:
        while True:
            now_ns = self._clock.now_ns()
            with self._book.lock.write():
                due, missed = self._book.take_due(now_ns, SLICE)
                next_ms = self._book.next_ms
            self._tell(missed)
            if due:
                lost = self._outbox.put(due)
                self._sender.settle_all(lost, RunOutcome.MISSED)
            if next_ms is None:
                return MAX_SLEEP_S
            if next_ms * 1_000_000 > now_ns:
                sleep_s = next_ms / 1000 - self._clock.now_ns() / NANOSECONDS
                return min(MAX_SLEEP_S, max(0.0, sleep_s))

    def _tell(self, missed: list[Missed]) -> None:
        count = sum(each.count for each in missed)
        if not count:
            return
        self._sender.count(RunOutcome.MISSED, count)
        names = ", ".join(f"{each.slot.id} ({each.count})" for each in missed[:5])
        more = ", ..." if len(missed) > 5 else ""
        self._log.warning("%d ticks were missed and are left out: %s%s", count, names, more)

    def _watch_the_clock(self) -> None:
        offset_s = self._clock.now_ns() / NANOSECONDS - self._monotonic()
        if self._offset_s is not None and abs(offset_s - self._offset_s) > CLOCK_STEP_S:
            self._log.warning(
                "the clock was set by %+.1f s; entries go on after their last tick",
                offset_s - self._offset_s,
            )
        self._offset_s = offset_s
