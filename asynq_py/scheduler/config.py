"""How a scheduler behaves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from zoneinfo import ZoneInfo

from asynq_py.client.prepare import check_limit
from asynq_py.clock import NANOSECONDS
from asynq_py.errors import ConfigError
from asynq_py.info import TaskInfo
from asynq_py.options import Duration, duration_ns
from asynq_py.schedule import parse_schedule
from asynq_py.task import Task

#: Called with the task, its options as they are sent, and what went wrong.
ErrorHandler: TypeAlias = Callable[[Task, Mapping[str, object], Exception], None]
#: Called with the task and its options before each enqueueing.
PreEnqueue: TypeAlias = Callable[[Task, Mapping[str, object]], None]
#: Called after each enqueueing with the stored task or None, and the error or None.
PostEnqueue: TypeAlias = Callable[[TaskInfo | None, Exception | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerConfig:
    """How a scheduler behaves; the defaults are Go's where Go has them.

    Raises:
        ConfigError: A value can never work.
    """

    #: The time zone of entries that name none: an IANA name or a ZoneInfo.
    location: str | ZoneInfo = "UTC"
    #: What to do about an enqueueing that failed; the default logs it.
    error_handler: ErrorHandler | None = None
    #: How long ``stop`` waits for enqueueings under way.
    shutdown_timeout: Duration = 10
    #: Where to log; "asynq_py.scheduler" by default.
    logger: logging.Logger | None = None
    pre_enqueue: PreEnqueue | None = None
    post_enqueue: PostEnqueue | None = None
    #: How often the entries are shown anew to Go's tools; they last twice as long.
    heartbeat_interval: Duration = 10
    #: The most bytes a payload may have; None for no limit.
    max_payload_size: int | None = None
    #: What happens to local times that are skipped or repeated: "asynq" (as Go does) or
    #: "once", see parse_schedule.
    dst: str = "asynq"

    def __post_init__(self) -> None:
        duration_ns("shutdown_timeout", self.shutdown_timeout)
        if duration_ns("heartbeat_interval", self.heartbeat_interval) == 0:
            raise ConfigError("heartbeat_interval must be more than zero")
        for name in ("error_handler", "pre_enqueue", "post_enqueue"):
            hook = getattr(self, name)
            if hook is not None and not callable(hook):
                raise ConfigError(f"{name} must be callable, not {type(hook).__name__}")
        check_limit(self.max_payload_size)
        # The one place that knows which zones and rules there are.
        parse_schedule("@daily", self.location, dst=self.dst)

    @property
    def shutdown_timeout_s(self) -> float:
        """``shutdown_timeout`` in seconds."""
        return duration_ns("shutdown_timeout", self.shutdown_timeout) / NANOSECONDS

    @property
    def heartbeat_interval_s(self) -> float:
        """``heartbeat_interval`` in seconds."""
        return duration_ns("heartbeat_interval", self.heartbeat_interval) / NANOSECONDS
