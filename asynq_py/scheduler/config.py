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
from asynq_py.options import Duration, check_text, duration_ns
from asynq_py.schedule import parse_schedule
from asynq_py.scheduler.policy import Misfire
from asynq_py.task import Task

#: Called with the task, its options as they are sent, and what went wrong.
ErrorHandler: TypeAlias = Callable[[Task, Mapping[str, object], Exception], None]
#: Called with the task and its options before each enqueueing.
PreEnqueue: TypeAlias = Callable[[Task, Mapping[str, object]], None]
#: Called after each enqueueing with the stored task or None, and the error or None.
PostEnqueue: TypeAlias = Callable[[TaskInfo | None, Exception | None], None]


@dataclass(frozen=True, slots=True)
class Leadership:
    """Something that happened to the leadership of a scheduler."""

    group: str
    #: "elected", "lost" (not renewed in time, or taken) or "resigned" (given back by stop).
    event: str
    #: The term: a number that grows with every change of leader.
    term: int
    #: Why, for people.
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LeaderElection:
    """Of the schedulers of a group one leads and enqueues; the others stand by.

    Raises:
        ConfigError: A value can never work.
    """

    #: Schedulers with the same entries; equal in all of them.
    group: str
    #: How long a leader that is gone is waited for.
    lease: Duration = 15
    #: How often the leader renews its lease; well below ``lease``.
    renew_every: Duration = 5
    #: Called with every change of this scheduler's leadership, on a thread of its own.
    on_change: Callable[[Leadership], None] | None = None

    def __post_init__(self) -> None:
        check_text("group", self.group)
        lease_ns = duration_ns("lease", self.lease)
        renew_ns = duration_ns("renew_every", self.renew_every)
        if lease_ns < NANOSECONDS // 10:
            raise ConfigError(f"lease must be 0.1 s or more, but is {self.lease}")
        if not 0 < renew_ns <= lease_ns // 2:
            raise ConfigError(
                f"renew_every must be at most half of the lease ({self.lease}),"
                f" but is {self.renew_every}"
            )
        if self.on_change is not None and not callable(self.on_change):
            raise ConfigError(f"on_change must be callable, not {type(self.on_change).__name__}")

    @property
    def lease_s(self) -> float:
        """``lease`` in seconds."""
        return duration_ns("lease", self.lease) / NANOSECONDS

    @property
    def renew_every_s(self) -> float:
        """``renew_every`` in seconds."""
        return duration_ns("renew_every", self.renew_every) / NANOSECONDS


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
    #: The group in which one scheduler leads; without one every scheduler enqueues.
    leader_election: LeaderElection | None = None
    #: For entries that name none: SKIP without leader election, as in Go; with it ALL ticks of
    #: the last ten leases (of a minute at least), so that a fail-over loses none.
    misfire: Misfire | None = None
    #: How long an enqueueing that Redis refused for now (out of memory, read-only) is tried
    #: again; one that Redis was not there for waits as long as the entry's misfire policy says.
    retry_for: Duration = 60
    #: The most ticks that wait while Redis is away; the oldest are given up first.
    max_waiting: int = 100_000
    #: The most tasks that are enqueued a second; None for no limit.
    rate_limit: float | None = None
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
        if self.leader_election is not None and not isinstance(
            self.leader_election, LeaderElection
        ):
            raise ConfigError("leader_election must be a LeaderElection")
        if self.misfire is not None and not isinstance(self.misfire, Misfire):
            raise ConfigError(f"misfire must be a Misfire, not {self.misfire!r}")
        duration_ns("retry_for", self.retry_for)
        if not isinstance(self.max_waiting, int) or self.max_waiting < 1:
            raise ConfigError(f"max_waiting must be 1 or more, not {self.max_waiting!r}")
        if self.rate_limit is not None and not self.rate_limit > 0:
            raise ConfigError(f"rate_limit must be more than zero, not {self.rate_limit!r}")
        check_limit(self.max_payload_size)
        # The one place that knows which zones and rules there are.
        parse_schedule("@daily", self.location, dst=self.dst)

    @property
    def default_misfire(self) -> Misfire:
        """``misfire``, or what holds where it is None."""
        if self.misfire is not None:
            return self.misfire
        if self.leader_election is None:
            return Misfire.SKIP
        return Misfire.ALL(grace=max(60.0, 10 * self.leader_election.lease_s))

    @property
    def shutdown_timeout_s(self) -> float:
        """``shutdown_timeout`` in seconds."""
        return duration_ns("shutdown_timeout", self.shutdown_timeout) / NANOSECONDS

    @property
    def retry_for_s(self) -> float:
        """``retry_for`` in seconds."""
        return duration_ns("retry_for", self.retry_for) / NANOSECONDS

    @property
    def heartbeat_interval_s(self) -> float:
        """``heartbeat_interval`` in seconds."""
        return duration_ns("heartbeat_interval", self.heartbeat_interval) / NANOSECONDS
