"""How a server behaves."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from asynq_py.broker.aggregation import When
from asynq_py.clock import NANOSECONDS
from asynq_py.errors import ConfigError
from asynq_py.options import Duration, check_text, duration_ns
from asynq_py.server.delays import RetryDelay, default_retry_delay
from asynq_py.task import Task

if TYPE_CHECKING:
    from asynq_py.server.context import Context

#: Told of each failure: the context, the task, what the handler raised.
ErrorHandler: TypeAlias = "Callable[[Context, Task, BaseException], Awaitable[None] | None]"
#: Makes one task of those of a group.
Aggregator: TypeAlias = Callable[[str, Sequence[Task]], "Task | Awaitable[Task]"]
#: Told whether Redis is there: None, or the error.
HealthCheck: TypeAlias = Callable[[Exception | None], None]

_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Settings of a :class:`Server`, with Asynq's names; durations are timedeltas or seconds.

    Functions that are called on the event loop (``retry_delay``, ``is_failure``) must be quick;
    whatever one of them raises is logged and stops nothing.
    """

    #: How many tasks are handled at a time; 0 for as many as there are CPUs.
    concurrency: int = 0
    #: Where tasks are taken from: queue to priority, 1 or more.
    queues: Mapping[str, int] = field(default_factory=lambda: {"default": 1})
    #: Whether lower priorities wait until higher ones are empty.
    strict_priority: bool = False
    #: How long an empty queue is left alone at most; just after a task it is less.
    task_check_interval: Duration = 1
    #: How long a failed task waits for its retry.
    retry_delay: RetryDelay = default_retry_delay
    #: Whether an error counts: what does not is tried again without using up a retry.
    is_failure: Callable[[BaseException], bool] | None = None
    #: Told of each failure, before it is written.
    error_handler: ErrorHandler | None = None
    #: Told of each task that failed for good, after it was archived by this server; also of one
    #: whose worker died once too often.
    on_archived: ErrorHandler | None = None
    #: Where messages go; the logger ``asynq_py.server`` by default.
    logger: logging.Logger | None = None
    #: How long ``shutdown`` waits for handlers before their tasks go back to their queue.
    shutdown_timeout: Duration = 8
    #: Told now and then whether Redis is there.
    health_check: HealthCheck | None = None
    health_check_interval: Duration = 15
    #: How often scheduled tasks and retries that are due are made pending.
    delayed_task_check_interval: Duration = 5
    #: Makes one task of a group's; without one groups are left to other servers.
    group_aggregator: Aggregator | None = None
    #: How long a group gets no task before it is aggregated; a second or more.
    group_grace_period: Duration = 60
    #: How long a group's oldest task waits at most; 0 for ever.
    group_max_delay: Duration = 0
    #: With how many tasks a group is aggregated at once, and at most; 0 for any number.
    group_max_size: int = 0
    #: How often completed tasks whose retention is over are deleted, and how many in one step.
    janitor_interval: Duration = 8
    janitor_batch_size: int = 100
    #: How many deaths of its worker a task survives without using up a retry (Go: 0).
    free_crashes: int = 3
    #: What becomes of a task that was cancelled: it is tried again, as in Go, or archived.
    on_cancel: Literal["retry", "archive"] = "retry"
    #: Whether a task that is archived lets go of its uniqueness lock (Go: it does not).
    unlock_archived: bool = False
    #: Whether the event loop is uvloop's; None for "if it is installed".
    uvloop: bool | None = None

    def __post_init__(self) -> None:
        _check_int("concurrency", self.concurrency, 0)
        if self.concurrency == 0:
            object.__setattr__(self, "concurrency", os.cpu_count() or 1)
        object.__setattr__(self, "queues", _check_queues(self.queues))
        for name in _MORE_THAN_ZERO:
            if duration_ns(name, getattr(self, name)) == 0:
                raise ConfigError(f"{name} must be more than zero")
        for name in ("shutdown_timeout", "group_max_delay"):
            duration_ns(name, getattr(self, name))
        if duration_ns("group_grace_period", self.group_grace_period) < NANOSECONDS:
            raise ConfigError("group_grace_period must be a second or more")
        if 0 < duration_ns("group_max_delay", self.group_max_delay) < NANOSECONDS:
            raise ConfigError("group_max_delay must be a second or more, or 0 for none")
        _check_int("group_max_size", self.group_max_size, 0)
        _check_int("janitor_batch_size", self.janitor_batch_size, 1)
        _check_int("free_crashes", self.free_crashes, 0)
        for name in _FUNCTIONS:
            value = getattr(self, name)
            if not callable(value) and (value is not None or name == "retry_delay"):
                raise ConfigError(f"{name} must be callable, not {type(value).__name__}")
        if not isinstance(self.logger, logging.Logger | logging.LoggerAdapter | None):
            raise ConfigError(f"logger must be a logging.Logger, not {type(self.logger).__name__}")
        if self.on_cancel not in ("retry", "archive"):
            raise ConfigError(f'on_cancel must be "retry" or "archive", not {self.on_cancel!r}')

    def seconds(self, name: str) -> float:
        """A duration by its name, in seconds."""
        return duration_ns(name, getattr(self, name)) / NANOSECONDS

    @property
    def when_aggregated(self) -> When:
        """When a group is; fractions of a second do not count, as in Go."""
        return When(
            int(self.seconds("group_grace_period")),
            int(self.seconds("group_max_delay")),
            self.group_max_size,
        )


_MORE_THAN_ZERO = (
    "task_check_interval",
    "health_check_interval",
    "delayed_task_check_interval",
    "janitor_interval",
)
_FUNCTIONS = (
    "retry_delay",
    "is_failure",
    "error_handler",
    "on_archived",
    "health_check",
    "group_aggregator",
)


def _check_queues(queues: object) -> Mapping[str, int]:
    if not isinstance(queues, Mapping) or not queues:
        raise ConfigError("queues must name at least one queue, with its priority: {'default': 1}")
    for name, priority in queues.items():
        check_text("queue", name)
        _check_int(f'priority of "{name}"', priority, 1)
    return dict(queues)


def _check_int(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value <= _INT32_MAX:
        raise ConfigError(f"{name} must be from {least} to {_INT32_MAX}, but is {value}")
