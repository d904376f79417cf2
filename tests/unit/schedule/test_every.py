"""`@every` and Go's durations."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py.schedule import parse_schedule
from asynq_py.wire.gotext import DurationError, parse_duration

UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
UNITS |= {"m": 60 * 10**9, "h": 3600 * 10**9}


@given(
    st.sampled_from(["", "+", "-"]),
    st.lists(st.tuples(st.integers(0, 10**5), st.sampled_from(sorted(UNITS))), min_size=1),
)
def test_a_duration_is_the_sum_of_its_terms(sign: str, terms: list[tuple[int, str]]) -> None:
    total = sum(number * UNITS[unit] for number, unit in terms)
    if total < 1 << 63:
        text = sign + "".join(f"{number}{unit}" for number, unit in terms)
        assert parse_duration(text) == (-total if sign == "-" else total)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0), ("-0", 0), ("1.5h", 5400 * 10**9), (".5s", 5 * 10**8), ("1.s", 10**9),
        ("0.3333333333333333333h", 1200 * 10**9), ("0.830103483285477580700h", 2988372539827),
        ("-9223372036854775808ns", -(1 << 63)), ("9223372036854775807ns", (1 << 63) - 1),
        ("00000000000000000000000001s", 10**9),
    ],
)  # fmt: skip
def test_durations_of_go(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "error", "position"),
    [
        ("", 'invalid duration ""', 0),
        ("-", 'invalid duration "-"', 1),
        ("x", 'invalid duration "x"', 0),
        (".s", 'invalid duration ".s"', 0),
        ("5", 'missing unit in duration "5"', 1),
        ("1h5", 'missing unit in duration "1h5"', 3),
        ("1d", 'unknown unit "d" in duration "1d"', 1),
        ("1é", r'unknown unit "\xc3\xa9" in duration "1\xc3\xa9"', 1),
        ("9223372036854775808ns", 'invalid duration "9223372036854775808ns"', 0),
        ("1s9223372037s", 'invalid duration "1s9223372037s"', 2),
        ("99999999999999999999s", 'invalid duration "99999999999999999999s"', 0),
    ],
)
def test_a_wrong_duration_is_refused_in_the_words_of_go(
    text: str, error: str, position: int
) -> None:
    with pytest.raises(DurationError) as caught:
        parse_duration(text)
    assert caught.value.args[0] == f"time: {error}"
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("90s", 90),
        ("1h30m", 5400),
        ("1999ms", 1),
        ("10ms", 1),
        ("-5s", 1),
        ("0", 1),
        ("1.9h", 6840),
    ],
)
@pytest.mark.parametrize("dst", ["asynq", "once"])
def test_every_counts_whole_seconds_from_the_time_asked_about(
    duration: str, seconds: int, dst: str
) -> None:
    schedule = parse_schedule(f"@every {duration}", "America/New_York", dst=dst)
    assert schedule.next_s(1_710_054_000) == 1_710_054_000 + seconds
    asked = datetime(2024, 3, 10, 6, 59, 59, 999_999, UTC)
    due = schedule.next(asked)
    assert due is not None
    assert due.timestamp() == int(asked.timestamp()) + seconds
