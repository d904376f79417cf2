"""Time as asynq_py sees it: an injected clock, aware datetimes, integers on the wire."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

NANOSECONDS = 1_000_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The first and the last moment that Python has a datetime for.
FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Tells the time. Everything that needs "now" takes one, so that tests can own it."""

    def now_ns(self) -> int:
        """Unix time in nanoseconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        return time.time_ns()


class FixedClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, seconds: float) -> None:
        """Moves the clock on (or back, if negative)."""
        self._now_ns += round(seconds * NANOSECONDS)


SYSTEM_CLOCK = SystemClock()


def unix_ns(value: datetime) -> int:
    """Unix nanoseconds of an aware datetime, exactly (no float on the way)."""
    return (value - _EPOCH) // _MICROSECOND * 1000


def ceil_s(ns: int) -> int:
    """Whole seconds, rounded up."""
    return -(-ns // NANOSECONDS)


def from_unix_ns(ns: int) -> datetime:
    """The aware datetime (UTC, microseconds, rounded down) of Unix nanoseconds."""
    try:
        return _EPOCH + timedelta(microseconds=ns // 1000)
    except OverflowError:
        return LAST if ns > 0 else FIRST


def from_unix_s(seconds: int) -> datetime:
    """The aware datetime (UTC) of Unix seconds.

    Go stores moments that Python has no datetime for; they become the last or the first one.
    """
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return LAST if seconds > 0 else FIRST
