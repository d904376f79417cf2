"""The extended dialect, read by croniter."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from asynq_py.errors import ScheduleSyntaxError
from asynq_py.schedule import parse_schedule

AFTER = datetime(2024, 3, 9, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("0 0 L * *", ["2024-03-31T00:00:00+01:00", "2024-04-30T00:00:00+02:00"]),
        ("0 0 15W 6 *", ["2024-06-14T00:00:00+02:00", "2025-06-16T00:00:00+02:00"]),
        ("0 9 * * 5#2", ["2024-04-12T09:00:00+02:00", "2024-05-10T09:00:00+02:00"]),
        ("0 0 * * L5", ["2024-03-29T00:00:00+01:00", "2024-04-26T00:00:00+02:00"]),
        ("0 9 * * 7", ["2024-03-10T09:00:00+01:00", "2024-03-17T09:00:00+01:00"]),
        ("30 0 9 * * *", ["2024-03-10T09:00:30+01:00", "2024-03-11T09:00:30+01:00"]),
        ("TZ=Asia/Tokyo 0 9 * * *", ["2024-03-10T09:00:00+09:00", "2024-03-11T09:00:00+09:00"]),
        ("TZ=Local @daily", ["2024-03-10T00:00:00+01:00", "2024-03-11T00:00:00+01:00"]),
        ("@every 90m", ["2024-03-09T14:30:00+01:00", "2024-03-09T16:00:00+01:00"]),
        ("0 0 29 2 0", ["2025-02-02T00:00:00+01:00"]),  # the 29th or a Sunday, in February
        ("30 2 31 3 *", ["2025-03-31T02:30:00+02:00"]),  # skipped in 2024
        ("30 2 27 10 *", ["2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00"]),
    ],
)
def test_times(spec: str, expected: list[str]) -> None:
    schedule = parse_schedule(spec, "Europe/Berlin", dialect="extended")
    assert [t.isoformat() for t in schedule.upcoming(AFTER, len(expected))] == expected


def test_once_runs_a_skipped_second_right_after_the_gap_and_a_repeated_one_once() -> None:
    schedule = parse_schedule("15 30 2 * * *", "Europe/Berlin", dialect="extended", dst="once")
    assert [t.isoformat() for t in schedule.upcoming(datetime(2024, 3, 30, 12, tzinfo=UTC), 2)] == [
        "2024-03-31T03:00:00+02:00",
        "2024-04-01T02:30:15+02:00",
    ]
    assert [
        t.isoformat() for t in schedule.upcoming(datetime(2024, 10, 26, 12, tzinfo=UTC), 2)
    ] == [
        "2024-10-27T02:30:15+02:00",
        "2024-10-28T02:30:15+01:00",
    ]


def test_it_looks_further_ahead_than_five_years() -> None:
    schedule = parse_schedule("0 12 29 2 *", dialect="extended")
    assert schedule.next(datetime(2096, 3, 1, tzinfo=UTC)) == datetime(2104, 2, 29, 12, tzinfo=UTC)


def test_what_never_matches_is_never_due() -> None:
    assert parse_schedule("0 0 31 2 *", dialect="extended").next(AFTER) is None


@pytest.mark.parametrize(
    ("spec", "text", "field", "position"),
    [
        ("", "empty spec string", "", 0),
        ("* * * *", "expected 5 or 6 fields, found 4", "", 7),
        ("* * * * * * *", "expected 5 or 6 fields, found 7", "", 12),
        ("0 0 W * *", "not acceptable", "day of month", 4),
        ("60 0 9 * * *", "not acceptable", "second", 0),
        ("TZ=UTC 0 0 9 * * 8", "not acceptable", "day of week", 17),
        ("0 R(1-5) * * *", "random values are not supported", "hour", 2),
        ("0 5,H * * *", "random values are not supported", "hour", 4),
        ("@foo", "unrecognized descriptor: @foo", "descriptor", 0),
        ("TZ=Nope * * * * *", "unknown time zone Nope", "time zone", 3),
    ],
)
def test_errors_are_of_the_same_kind(spec: str, text: str, field: str, position: int) -> None:
    with pytest.raises(ScheduleSyntaxError) as caught:
        parse_schedule(spec, dialect="extended")
    assert text in str(caught.value)
    assert (caught.value.field, caught.value.position) == (field, position)


def test_croniter_is_only_imported_when_it_is_needed() -> None:
    program = (
        "import sys; from asynq_py.schedule import parse_schedule as p; p('* * * * *');"
        "p('@daily', dialect='extended'); assert 'croniter' not in sys.modules;"
        "p('* * * * *', dialect='extended'); assert 'croniter' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
