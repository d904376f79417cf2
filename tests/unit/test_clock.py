"""Time as integers: exact, and rounded the way the wire wants."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py.clock import (
    FIRST,
    LAST,
    NANOSECONDS,
    SYSTEM_CLOCK,
    FixedClock,
    ceil_s,
    from_unix_ns,
    from_unix_s,
    unix_ns,
)

aware = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001  # Hypothesis takes naive bounds
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
)


@given(aware)
def test_unix_nanoseconds_lead_back_to_the_same_moment(moment: datetime) -> None:
    assert from_unix_ns(unix_ns(moment)) == moment


@given(st.integers(-(10**18), 10**18))
def test_seconds_are_rounded_up(ns: int) -> None:
    assert 0 <= ceil_s(ns) * NANOSECONDS - ns < NANOSECONDS


@pytest.mark.parametrize(
    ("ns", "seconds"), [(0, 0), (1, 1), (NANOSECONDS, 1), (NANOSECONDS + 1, 2), (-1, 0)]
)
def test_seconds_are_rounded_up_at_the_edges(ns: int, seconds: int) -> None:
    assert ceil_s(ns) == seconds


@given(st.integers(-62135596800, 253402300799))
def test_seconds_and_nanoseconds_name_the_same_moment(seconds: int) -> None:
    assert from_unix_s(seconds) == from_unix_ns(seconds * NANOSECONDS)
    assert from_unix_s(seconds).tzinfo is UTC


def test_the_system_clock_tells_the_time() -> None:
    before = time.time_ns()
    told = SYSTEM_CLOCK.now_ns()

    assert before <= told <= time.time_ns()


def test_a_fixed_clock_stands_still_until_it_is_moved() -> None:
    clock = FixedClock(1_000)

    assert [clock.now_ns(), clock.now_ns()] == [1_000, 1_000]
    clock.advance(0.5)
    assert clock.now_ns() == 500_001_000
    clock.advance(-0.5)
    assert clock.now_ns() == 1_000


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(10**15, LAST), (-(10**15), FIRST), (2**63 - 1, LAST)],
)
def test_moments_that_python_does_not_have_become_the_last_or_first_one(
    seconds: int, expected: datetime
) -> None:
    assert from_unix_s(seconds) == expected
    assert from_unix_ns(seconds * NANOSECONDS) == expected
