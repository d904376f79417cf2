"""The clock that tests move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from asynq_py import ConfigError
from asynq_py.clock import SYSTEM_CLOCK
from asynq_py.testing import VirtualClock

START = datetime(2030, 1, 1, tzinfo=UTC)


def test_it_stands_still_where_it_was_put() -> None:
    clock = VirtualClock(START)

    assert clock.now == clock.now == START
    assert clock.now_ns() == 1_893_456_000 * 10**9
    assert repr(clock) == "VirtualClock(2030-01-01T00:00:00+00:00)"


def test_it_goes_along_with_the_machines() -> None:
    clock = VirtualClock()
    assert SYSTEM_CLOCK.now_ns() <= clock.now_ns() <= SYSTEM_CLOCK.now_ns()

    clock.advance(hours=1)

    earliest = SYSTEM_CLOCK.now_ns() + 3600 * 10**9
    assert earliest <= clock.now_ns() <= SYSTEM_CLOCK.now_ns() + 3600 * 10**9


def test_it_is_moved_on() -> None:
    clock = VirtualClock(START)
    clock.advance(1.5)
    clock.advance(timedelta(seconds=1), days=1, hours=2, minutes=3, seconds=4.5)
    assert clock.now == START + timedelta(days=1, hours=2, minutes=3, seconds=7)

    clock.advance_to(datetime(2030, 1, 5, tzinfo=timezone(timedelta(hours=1))))
    assert clock.now == datetime(2030, 1, 4, 23, tzinfo=UTC)
    clock.advance_to(START)
    assert clock.now == datetime(2030, 1, 4, 23, tzinfo=UTC)


def test_it_never_goes_back() -> None:
    clock = VirtualClock(START)

    with pytest.raises(ConfigError):
        clock.advance(-1)
    with pytest.raises(ConfigError):
        clock.advance(hours=-1)
    with pytest.raises(ConfigError, match="time zone"):
        clock.advance_to(datetime(2031, 1, 1))  # noqa: DTZ001
    with pytest.raises(ConfigError, match="time zone"):
        VirtualClock(datetime(2031, 1, 1))  # noqa: DTZ001
