"""Runs the ticks of a past range once."""

from __future__ import annotations

import random
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from asynq_py.broker.enqueue import Announced, Draft, Fence, Tick
from asynq_py.broker.enqueue_all import enqueue_all
from asynq_py.client.prepare import prepare
from asynq_py.clock import NANOSECONDS, Clock, ceil_s, from_unix_s
from asynq_py.errors import AsynqError, ConfigError, ConflictError, TickTakenError, UnavailableError
from asynq_py.options import moment_ns
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.entry import Slot
from asynq_py.scheduler.maker import evidence

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection

#: The most ticks enqueued at a time.
BATCH = 100


class Backfilled(NamedTuple):
    """What became of the ticks of a range."""

    enqueued: int
    #: Ticks that were enqueued before, by a backfill or, as far as their tasks are still there,
    #: on time.
    skipped: int


class Backfill:
    """The ticks of one entry in a range; each is noted in the ledger by itself.

    Raises:
        ConfigError: A value can never work, the entry has no ticks of the past, or too many.
            Nothing was enqueued.
    """

    def __init__(
        self, slot: Slot, start: datetime, end: datetime, *, limit: int, now_ns: int
    ) -> None:
        start_s, end_s = ceil_s(moment_ns("start", start)), moment_ns("end", end) // NANOSECONDS
        if end_s * NANOSECONDS > now_ns:
            raise ConfigError("end must not be in the future: a backfill is of the past")
        if end_s < start_s:
            raise ConfigError("end must not be before start")
        if slot.schedule.every_s is not None and getattr(slot.calendar, "anchor_s", None) is None:
            raise ConfigError("@every has no ticks of the past without leader election or start_at")
        self._slot = slot
        self._field = slot.field or f":{slot.id}"
        self._ticks: list[int] = []
        tick = slot.calendar.next_s(start_s - 1)
        while tick is not None and tick <= end_s:
            if len(self._ticks) == limit:
                raise ConfigError(
                    f"there are more than {limit} ticks from {start} to {end}: name a shorter"
                    " range or a higher limit"
                )
            self._ticks.append(tick)
            tick = slot.calendar.next_s(tick)

    def run(
        self,
        connection: Connection,
        config: SchedulerConfig,
        clock: Clock,
        *,
        rate: float,
        stopping: threading.Event,
    ) -> Backfilled:
        """Enqueues them, at most ``rate`` a second; ends early when it is stopped.

        Raises:
            ConfigError: A payload can never work.
            BrokerError: Redis failed for too long. What was enqueued is noted: the same
                backfill goes on where this one ended.
        """
        enqueued = skipped = 0
        announced: Announced = {}
        size = max(1, min(BATCH, int(rate)))
        for start in range(0, len(self._ticks), size):
            began = time.monotonic()
            ticks = self._ticks[start : start + size]
            now_ns = clock.now_ns()
            drafts = [self._draft(tick, config, now_ns) for tick in ticks]
            for outcome in self._store(connection, config, drafts, announced, now_ns):
                if outcome is None:
                    enqueued += 1
                elif isinstance(outcome, ConflictError):
                    skipped += 1
                else:
                    raise outcome
            left = len(ticks) / rate - (time.monotonic() - began)
            if start + size < len(self._ticks) and stopping.wait(max(0.0, left)):
                break
        return Backfilled(enqueued, skipped)

    def _store(
        self,
        connection: Connection,
        config: SchedulerConfig,
        drafts: list[Draft],
        announced: Announced,
        now_ns: int,
    ) -> list[AsynqError | None]:
        """Tries again while Redis is away; the ledger sees to it that nothing runs twice."""
        deadline = time.monotonic() + config.retry_for_s
        is_first = True
        while True:
            op = enqueue_all(drafts, now_ns=now_ns, announced=announced, fence=Fence())
            outcomes = connection.run(op)
            lost = any(isinstance(outcome, UnavailableError) for outcome in outcomes)
            if not lost or time.monotonic() > deadline:
                break
            is_first = False
            time.sleep(random.uniform(0.05, 0.5))  # Redis is away: nothing tells of its return
        if is_first:
            return outcomes
        # What an attempt before this one stored is ours.
        return [
            None if isinstance(outcome, TickTakenError) and outcome.same_id else outcome
            for outcome in outcomes
        ]

    def _draft(self, tick_s: int, config: SchedulerConfig, now_ns: int) -> Draft:
        slot, definition = self._slot, self._slot.definition
        task = definition.task
        if definition.payload is not None:
            moment = from_unix_s(tick_s).astimezone(slot.zone)
            task = task.with_payload(definition.payload(moment), definition.codec)
        draft = prepare(
            task,
            definition.options,
            now_ns=now_ns,
            max_payload_size=config.max_payload_size,
            headers=evidence(slot, tick_s),
            task_id=f"{self._field}:{tick_s}".removeprefix(":"),
        )
        return draft._replace(tick=Tick(f"{self._field}@{tick_s}", tick_s))
