"""What becomes of a task, from how its handler ended.

Source: asynq v0.26.0, processor.go.
"""

from __future__ import annotations

import logging
from typing import TypeVar

from asynq_py.broker.finish import Finished, Outcome
from asynq_py.clock import NANOSECONDS
from asynq_py.errors import (
    ConfigError,
    LeaseLostError,
    RevokeTask,
    SkipRetry,
    TaskCancelledError,
    TaskTimeoutError,
)
from asynq_py.options import DEFAULT_TIMEOUT_S, duration_ns
from asynq_py.server.config import ServerConfig
from asynq_py.server.delays import default_retry_delay
from asynq_py.server.job import Why
from asynq_py.task import Task
from asynq_py.wire.message import TaskMessage, encode

#: The last deadline, of the year 9999: no clock, and no tool that shows it, knows a later one.
LAST_NS = 253_402_300_799 * NANOSECONDS

E = TypeVar("E", bound=BaseException)


def task_of(message: TaskMessage) -> Task:
    """The task as handlers and hooks are given it."""
    return Task.received(message.type, message.payload, dict(message.headers))


def success(queue: str, task_id: str, message: TaskMessage, now_ns: int) -> Finished:
    """A task whose handler returned."""
    lock = message.unique_key
    if message.retention <= 0:
        return Finished(queue, task_id, Outcome.DONE, lock=lock)
    now_s = now_ns // NANOSECONDS
    message.completed_at = now_s
    data = encode(message)
    return Finished(queue, task_id, Outcome.COMPLETE, data, now_s + message.retention, lock)


class Judge:
    """Says what becomes of tasks whose handlers failed; the user's rules cannot make it fail."""

    def __init__(self, config: ServerConfig, log: logging.Logger) -> None:
        self._config = config
        self._log = log

    def failure(
        self, queue: str, task_id: str, message: TaskMessage, error: BaseException, now_ns: int
    ) -> Finished:
        """A task whose handler raised."""
        if caused_by(error, RevokeTask):
            return Finished(queue, task_id, Outcome.DONE, lock=message.unique_key)
        is_final = message.retried >= message.retry or caused_by(error, SkipRetry)
        if isinstance(error, TaskCancelledError) and self._config.on_cancel == "archive":
            is_final = True
        counts = is_final or self._is_failure(error)
        return self._failed(queue, task_id, message, error, now_ns, is_final, counts)

    def crash(
        self,
        queue: str,
        task_id: str,
        message: TaskMessage,
        error: BaseException,
        now_ns: int,
        crashes: int,
        lease_at_most: int,
    ) -> Finished:
        """A task whose worker died, for the ``crashes + 1``th time."""
        if crashes < self._config.free_crashes:
            finished = self._failed(queue, task_id, message, error, now_ns, False, False)
            finished = finished._replace(outcome=Outcome.CRASH)
        else:
            is_final = message.retried >= message.retry
            counts = is_final or self._is_failure(error)
            finished = self._failed(queue, task_id, message, error, now_ns, is_final, counts)
        return finished._replace(lease_at_most=lease_at_most)

    def _failed(
        self,
        queue: str,
        task_id: str,
        message: TaskMessage,
        error: BaseException,
        now_ns: int,
        is_final: bool,
        counts: bool,
    ) -> Finished:
        now_s = now_ns // NANOSECONDS
        changed = TaskMessage()
        changed.CopyFrom(message)
        changed.error_msg = text_of(error)
        changed.last_failed_at = now_s
        if is_final:
            lock = message.unique_key if self._config.unlock_archived else ""
            return Finished(queue, task_id, Outcome.ARCHIVE, encode(changed), now_s, lock)
        delay_ns = self._delay_ns(message, error)
        outcome = Outcome.POSTPONE
        if counts:
            outcome = Outcome.RETRY
            changed.retried += 1
        at_s = (now_ns + delay_ns) // NANOSECONDS
        return Finished(queue, task_id, outcome, encode(changed), at_s)

    def _is_failure(self, error: BaseException) -> bool:
        if self._config.is_failure is None:
            return True
        try:
            return bool(self._config.is_failure(error))
        except Exception:
            self._log.exception("is_failure raised; the error counts")
            return True

    def _delay_ns(self, message: TaskMessage, error: BaseException) -> int:
        task = task_of(message)
        try:
            delay = self._config.retry_delay(message.retried, error, task)
            return duration_ns("retry_delay", delay)
        except ConfigError as problem:
            self._log.error("%s; asynq's own is taken", problem)
        except Exception:
            self._log.exception("retry_delay raised; asynq's own is taken")
        return duration_ns("retry_delay", default_retry_delay(message.retried, error, task))


def deadline_ns(message: TaskMessage, now_ns: int) -> int:
    """When the handler of a task that is begun now is asked to stop, Unix nanoseconds."""
    if message.timeout and message.deadline:
        ns = min(now_ns // NANOSECONDS + message.timeout, message.deadline) * NANOSECONDS
    elif message.deadline:
        ns = message.deadline * NANOSECONDS
    else:
        ns = now_ns + (message.timeout or DEFAULT_TIMEOUT_S) * NANOSECONDS
    return max(0, min(ns, LAST_NS))


def reason(why: Why | None, error: BaseException | None) -> BaseException:
    """Why a task failed: if it was asked to stop, that, unless its handler says what is to
    become of it."""
    if error is not None and (caused_by(error, SkipRetry) or caused_by(error, RevokeTask)):
        return error
    if why is Why.TIMEOUT:
        return TaskTimeoutError()
    if why is Why.CANCEL:
        return TaskCancelledError()
    if why is Why.LEASE:
        return LeaseLostError("asynq: task lease expired")
    assert error is not None
    return error


def caused_by(error: BaseException | None, kind: type[E]) -> bool:
    """Whether it is such an error, was raised ``from`` one, or is a group that has one."""
    seen: set[int] = set()
    left = [error]
    while left:
        error = left.pop()
        if isinstance(error, kind):
            return True
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        left.append(error.__cause__)
        if isinstance(error, BaseExceptionGroup):
            left += error.exceptions
    return False


def text_of(error: BaseException) -> str:
    """What is written of an error: its text; with its type where that alone says little."""
    try:
        text = str(error)
    except Exception:
        text = ""
    name = type(error).__name__
    if not text or isinstance(error, KeyError):
        text = f"{name}: {text}" if text else name
    # Half of a surrogate pair has no UTF-8 form.
    return text.encode("utf-8", "replace").decode()
