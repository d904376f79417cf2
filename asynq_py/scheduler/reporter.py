"""Tells the hooks and the log how ticks went."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple, cast

from asynq_py.broker.enqueue import Draft
from asynq_py.client.prepare import task_info
from asynq_py.clock import Clock
from asynq_py.errors import AsynqError, ConflictError, LeaseLostError, UnavailableError
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.entry import RunOutcome
from asynq_py.scheduler.hooks import Call, Hooks, bound
from asynq_py.scheduler.timetable import Due

#: How many failures of a batch are logged one by one.
LOGGED = 5


class Settled(NamedTuple):
    """A tick, how it went, and why if it was not enqueued."""

    due: Due
    outcome: RunOutcome
    error: AsynqError | None


class Reporter:
    """Does not wait for those it tells."""

    def __init__(
        self, config: SchedulerConfig, hooks: Hooks, clock: Clock, log: logging.Logger
    ) -> None:
        self._config = config
        self._hooks = hooks
        self._clock = clock
        self._log = log

    def report(
        self,
        settled: Sequence[Settled],
        passing: Sequence[tuple[Due, AsynqError]],
    ) -> None:
        """Tells of ticks that are settled, and of those that failed once and are tried again."""
        after, handler = self._config.post_enqueue, self._config.error_handler
        calls: list[Call] = []
        if after is not None:
            now_ns = self._clock.now_ns()
            for due, outcome, error in settled:
                if due.is_noted_only:
                    continue
                info = None
                if outcome is RunOutcome.ENQUEUED:
                    info = task_info(cast(Draft, due.draft), now_ns)
                calls.append(("post_enqueue", bound(after, info, error)))
        failures = [(due, error) for due, _, error in settled if error is not None]
        if handler is not None:
            for due, error in (*passing, *failures):
                if not due.is_noted_only:
                    definition = due.slot.definition
                    call_it = bound(handler, definition.task, definition.options, error)
                    calls.append(("error_handler", call_it))
        else:
            self._log_failures(passing, "waits and is tried again")
            self._log_failures(failures, "was not enqueued")
        self._hooks.call(calls)

    def _log_failures(self, failures: Sequence[tuple[Due, AsynqError]], what: str) -> None:
        """The default error handler; a duplicate is what uniqueness is for."""
        for due, error in failures[:LOGGED]:
            if isinstance(error, ConflictError | LeaseLostError):
                level = logging.INFO
            elif isinstance(error, UnavailableError):
                level = logging.WARNING
            else:
                level = logging.ERROR
            task = due.slot.definition.task
            self._log.log(level, "%s %s: %s", task.type, what, error, extra={"entry": due.slot.id})
        if len(failures) > LOGGED:
            self._log.warning("%d more: %s", len(failures) - LOGGED, what)
