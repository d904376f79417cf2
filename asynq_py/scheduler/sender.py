"""Enqueues what is due, tells the hooks, keeps the history. One thread of a scheduler."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, TypeAlias

from asynq_py.broker.enqueue import Announced, Draft, Outcome
from asynq_py.broker.enqueue_all import enqueue_all
from asynq_py.broker.presence import record_enqueue_events
from asynq_py.client.prepare import prepare, task_info
from asynq_py.clock import NANOSECONDS, Clock, from_unix_ns, from_unix_s
from asynq_py.errors import AsynqError, ConfigError, ConflictError
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.entry import Run, RunOutcome, Slot
from asynq_py.task import Task

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection

#: Entries due together, each with the Unix second it was due at.
Due: TypeAlias = list[tuple[Slot, int]]

#: Headers of a named entry's tasks: which entry, and for which moment.
ENTRY_HEADER = "asynq-entry"
SCHEDULED_FOR_HEADER = "asynq-scheduled-for"
#: The most entries enqueued before their history is written.
BATCH = 500


class Sender:
    """Takes what is due from a queue until it finds None there."""

    def __init__(
        self,
        connection: Connection,
        config: SchedulerConfig,
        due: queue.SimpleQueue[Due | None],
        lock: threading.RLock,
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        self._connection = connection
        self._config = config
        self._due = due
        self._lock = lock
        self._clock = clock
        self._log = log
        self._announced: Announced = {}
        self._waiting: Due = []
        self._abandoned = False

    def run(self) -> None:
        """Enqueues until told to stop."""
        while (due := self._due.get()) is not None:
            self._waiting = due
            while self._waiting and not self._abandoned:
                batch = self._waiting[:BATCH]
                try:
                    self._enqueue(batch)
                except Exception:
                    # A fault of ours must not end all ticks to come.
                    self._log.exception("a batch of %d ticks failed", len(batch))
                self._waiting = self._waiting[BATCH:]

    def abandon(self) -> Due:
        """Gives up; returns what was not enqueued, or not known to be."""
        self._abandoned = True
        lost = list(self._waiting)
        while True:
            try:
                lost += self._due.get_nowait() or ()
            except queue.Empty:
                return lost

    def _enqueue(self, batch: Due) -> None:
        now_ns = self._clock.now_ns()
        drafts: list[Draft] = []
        going: Due = []
        for slot, due_s in batch:
            self._call("pre_enqueue", self._config.pre_enqueue, slot.task, dict(slot.options))
            try:
                draft = prepare(
                    slot.task,
                    slot.options,
                    now_ns=now_ns,
                    max_payload_size=self._config.max_payload_size,
                    headers=_evidence(slot, due_s) if slot.name else None,
                )
            except ConfigError as error:
                self._settle(slot, due_s, None, error)
            else:
                drafts.append(draft)
                going.append((slot, due_s))
        outcomes = self._connection.run(
            enqueue_all(drafts, now_ns=now_ns, announced=self._announced)
        )
        events: list[tuple[str, str, int]] = []
        for (slot, due_s), draft, outcome in zip(going, drafts, outcomes, strict=True):
            at_ns = self._settle(slot, due_s, draft, outcome)
            if outcome is None:
                events.append((slot.id, draft.task_id, at_ns))
        if events:
            try:
                self._connection.run(record_enqueue_events(events))
            except AsynqError as error:
                self._log.warning("%d runs are missing in the history: %s", len(events), error)

    def _settle(self, slot: Slot, due_s: int, draft: Draft | None, outcome: Outcome) -> int:
        """Notes how a tick went and tells the hooks; returns when that was."""
        now_ns = self._clock.now_ns()
        if outcome is None:
            verdict = RunOutcome.ENQUEUED
        elif isinstance(outcome, ConflictError):
            verdict = RunOutcome.DUPLICATE
        else:
            verdict = RunOutcome.FAILED
        run = Run(
            scheduled_at=from_unix_s(due_s),
            enqueued_at=from_unix_ns(now_ns) if outcome is None else None,
            outcome=verdict,
            task_id=draft.task_id if draft else "",
            error=outcome,
            lateness=timedelta(microseconds=(now_ns - due_s * NANOSECONDS) // 1000),
        )
        with self._lock:
            slot.note(run)
        info = task_info(draft, now_ns) if draft and outcome is None else None
        self._call("post_enqueue", self._config.post_enqueue, info, outcome)
        if outcome is not None:
            handler = self._config.error_handler or self._log_error
            self._call("error_handler", handler, slot.task, dict(slot.options), outcome)
        return now_ns

    def _log_error(self, task: Task, options: Mapping[str, object], error: Exception) -> None:
        """The default error handler; a duplicate is what uniqueness is for."""
        level = logging.INFO if isinstance(error, ConflictError) else logging.ERROR
        self._log.log(level, "%s was not enqueued: %s", task.type, error)

    def _call(self, name: str, hook: Callable[..., None] | None, *args: object) -> None:
        """Calls a hook; what it raises is logged and goes no further."""
        if hook is None:
            return
        try:
            hook(*args)
        except Exception:
            self._log.exception("%s raised", name)


def _evidence(slot: Slot, due_s: int) -> dict[str, str]:
    """What a named entry's task says of its tick; RFC 3339, UTC, milliseconds."""
    moment = from_unix_s(due_s).astimezone(UTC)
    return {
        ENTRY_HEADER: slot.id,
        SCHEDULED_FOR_HEADER: moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
