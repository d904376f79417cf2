"""Shows the entries to Go's tools. One thread of a scheduler.

They are published in parts of 500, each under a scheduler ID of its own, and only parts that
changed are written anew, so that a hundred thousand entries do not make Redis busy at every
heartbeat. Of a leader's group only the leader shows them.

Source: asynq v0.26.0, scheduler.go. Go shows them only after the first interval; here they
are there at once.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from asynq_py.broker.presence import (
    clear_scheduler_entries,
    prolong_scheduler_entries,
    write_scheduler_entries,
)
from asynq_py.clock import NANOSECONDS, Clock
from asynq_py.errors import AsynqError
from asynq_py.scheduler.book import Book
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.entry import Slot
from asynq_py.scheduler.gooptions import option_strings
from asynq_py.wire.presence import SchedulerEntry, scheduler_entry

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection

#: The most parts that are written anew at a heartbeat; the others wait for the next ones.
SHARDS_AT_ONCE = 20
#: Between two parts, seconds.
PAUSE_S = 0.01


class Publisher:
    """Writes the entries again and again until it is stopped."""

    def __init__(
        self,
        connection: Connection,
        scheduler_id: str,
        book: Book,
        leadership: Callable[[], int | None],
        config: SchedulerConfig,
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        self._connection = connection
        self._scheduler_id = scheduler_id
        self._book = book
        self._leadership = leadership
        self._interval_s = config.heartbeat_interval_s
        self._clock = clock
        self._log = log
        #: When each part was written, Unix nanoseconds.
        self._written_at: dict[int, int] = {}
        self._stopping = threading.Event()
        self._wake = threading.Event()

    def run(self) -> None:
        """Publishes now, and then at every interval."""
        while not self._stopping.is_set():
            self.publish()
            self._wake.wait(self._interval_s)
            # Then only, since ``stop`` is looked for after it.
            self._wake.clear()

    def stop(self) -> None:
        """Asks ``run`` to return."""
        self._stopping.set()
        self._wake.set()

    def wake(self) -> None:
        """Has ``run`` publish at once."""
        self._wake.set()

    def publish(self) -> None:
        """Writes what changed once; that Redis is away is logged."""
        try:
            if self._leadership() is None:
                self.take_back()
            else:
                self._publish()
        except AsynqError as error:
            self._log.warning("the entries were not published: %s", error)
        except Exception:
            self._log.exception("the entries were not published")

    def take_back(self) -> None:
        """Removes what was published.

        Raises:
            BrokerError: Redis failed; it stays until it expires.
        """
        if self._written_at:
            ids = [self._id(shard) for shard in sorted(self._written_at)]
            self._connection.run(clear_scheduler_entries(ids))
            self._written_at.clear()

    def _publish(self) -> None:
        # Whole seconds: Redis takes no others, and Go's own fails with them.
        ttl_s = math.ceil(2 * self._interval_s)
        with self._book.lock.read():
            shards = self._book.shards
            dirty = {n for n in range(len(shards)) if n not in self._written_at}
            dirty |= self._book.dirty_shards
        chosen = sorted(dirty, key=lambda shard: self._written_at.get(shard, 0))
        if self._written_at:
            chosen = chosen[:SHARDS_AT_ONCE]
        with self._book.lock.write():
            self._book.dirty_shards.difference_update(chosen)
        now_ns = self._clock.now_ns()
        try:
            for shard in chosen:
                op = write_scheduler_entries(
                    self._id(shard), _entries(shards[shard]), ttl_s=ttl_s, now_ns=now_ns
                )
                self._connection.run(op)
                self._written_at[shard] = now_ns
                # Ticks come first: they wait for no more than one part.
                self._stopping.wait(PAUSE_S)
            others = self._written_at.keys() - set(chosen)
            alive = [self._id(shard) for shard in others if shard < len(shards)]
            if alive:
                self._connection.run(prolong_scheduler_entries(alive, ttl_s=ttl_s, now_ns=now_ns))
            gone = [shard for shard in others if shard >= len(shards)]
            if gone:
                self._connection.run(clear_scheduler_entries([self._id(s) for s in gone]))
                for shard in gone:
                    del self._written_at[shard]
        except BaseException:
            with self._book.lock.write():
                self._book.dirty_shards.update(shard for shard in chosen if shard < len(shards))
            raise

    def _id(self, shard: int) -> str:
        return f"{self._scheduler_id}:{shard}" if shard else self._scheduler_id


def _entries(slots: Iterable[Slot]) -> list[SchedulerEntry]:
    """By next tick, those that never tick again last; a tick meanwhile is seen next time."""
    moments = [(slot.next_s, slot.previous_s, slot) for slot in slots]
    moments.sort(key=lambda each: (each[0] is None, each[0] or 0))
    return [_entry(slot, next_s, previous_s) for next_s, previous_s, slot in moments]


def _entry(slot: Slot, next_s: int | None, previous_s: int | None) -> SchedulerEntry:
    task = slot.definition.task
    return scheduler_entry(
        slot.id,
        slot.shown_spec,
        task.type,
        task.payload or b"",
        option_strings(slot.definition.options),
        next_ns=None if next_s is None else next_s * NANOSECONDS,
        previous_ns=None if previous_s is None else previous_s * NANOSECONDS,
    )
