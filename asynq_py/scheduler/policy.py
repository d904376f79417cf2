"""What happens to ticks that come too late, and to ticks while the last task still runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar

from asynq_py.clock import NANOSECONDS
from asynq_py.errors import ConfigError
from asynq_py.options import Duration, duration_ns

_POLICIES = ("skip", "latest", "all")
#: The most ticks of one entry that are made up for at a time.
DEFAULT_CAP = 1000


class Overlap(StrEnum):
    """What happens when a tick comes while the task of the last one is not done."""

    #: Enqueue it all the same, as in Go.
    ALLOW = "allow"
    #: Leave the tick out while the last task is pending, active, scheduled, in retry or in a
    #: group.
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Misfire:
    """What happens to the ticks that fell into downtime: a restart, a fail-over, an outage.

    ``Misfire.SKIP`` leaves them out; ``Misfire.LATEST`` enqueues one task for all of them;
    ``Misfire.ALL`` enqueues a task for each. What is left out is counted and logged.
    ``Misfire.ALL(grace=3600, cap=50)`` is the same with other limits.

    Raises:
        ConfigError: A value can never work.
    """

    policy: str = "skip"
    #: Ticks that are later than this are left out, None for no limit.
    grace: Duration | None = None
    #: The most ticks made up for at a time (the newest ones), for "all".
    cap: int = DEFAULT_CAP

    SKIP: ClassVar[Misfire]
    LATEST: ClassVar[Misfire]
    ALL: ClassVar[Misfire]

    def __post_init__(self) -> None:
        if self.policy not in _POLICIES:
            raise ConfigError(f"misfire must be one of {', '.join(_POLICIES)}, not {self.policy!r}")
        if self.grace is not None:
            duration_ns("grace", self.grace)
        if not isinstance(self.cap, int) or isinstance(self.cap, bool) or self.cap < 1:
            raise ConfigError(f"cap must be a number of ticks, 1 or more, not {self.cap!r}")

    def __call__(self, *, grace: Duration | None = None, cap: int | None = None) -> Misfire:
        """The same policy with other limits."""
        return replace(self, grace=grace, cap=self.cap if cap is None else cap)

    @property
    def grace_s(self) -> float | None:
        """``grace`` in seconds."""
        return None if self.grace is None else duration_ns("grace", self.grace) / NANOSECONDS


Misfire.SKIP = Misfire("skip")
Misfire.LATEST = Misfire("latest")
Misfire.ALL = Misfire("all")
