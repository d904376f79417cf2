"""`@every <duration>`: a fixed distance, in whole seconds."""

from __future__ import annotations

from asynq_py.clock import NANOSECONDS
from asynq_py.schedule.problem import Problem
from asynq_py.schedule.zone import FIRST_S, HORIZON_S
from asynq_py.wire.gotext import DurationError, parse_duration


class Every:
    """Due every ``delay`` seconds from the instant asked about, not aligned to the clock.

    Source: robfig/cron v3.0.1, ConstantDelaySchedule.
    """

    __slots__ = ("delay",)

    def __init__(self, delay: int) -> None:
        self.delay = delay

    def next_s(self, after_s: int) -> int | None:
        """Returns ``after_s`` plus the delay, or None beyond the year 9999."""
        due = max(after_s, FIRST_S) + self.delay
        return due if due < HORIZON_S else None


def parse_every(duration: str) -> Every:
    """Reads the part after ``@every ``; under 1 s counts as 1 s, fractions are cut off.

    Raises:
        Problem: Worded as Go's time.ParseDuration does.
    """
    try:
        delay_ns = parse_duration(duration)
    except DurationError as error:
        raise Problem(str(error), error.position) from None
    return Every(max(delay_ns, NANOSECONDS) // NANOSECONDS)
