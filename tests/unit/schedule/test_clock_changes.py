"""Skipped and repeated local times, under both rules."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py.schedule import parse_schedule
from asynq_py.schedule.grammar import parse_fields
from asynq_py.schedule.robfig import Endless, search
from asynq_py.schedule.zone import Zone, load_zone

from .strategies import changes, zones

BERLIN = "Europe/Berlin"  # 2024-03-31 02:00 -> 03:00, 2024-10-27 03:00 -> 02:00


def times(spec: str, zone: str, after: str, n: int, dst: str = "once") -> list[str]:
    schedule = parse_schedule(spec, zone, dst=dst)
    return [time.isoformat() for time in schedule.upcoming(datetime.fromisoformat(after), n)]


def test_once_runs_a_skipped_time_right_after_the_gap() -> None:
    assert times("30 2 * * *", BERLIN, "2024-03-30T12:00:00+01:00", 2) == [
        "2024-03-31T03:00:00+02:00",
        "2024-04-01T02:30:00+02:00",
    ]


def test_once_runs_skipped_times_of_one_gap_together() -> None:
    assert times("*/15 2,3 * * *", BERLIN, "2024-03-31T00:00:00+01:00", 3) == [
        "2024-03-31T03:00:00+02:00",
        "2024-03-31T03:15:00+02:00",
        "2024-03-31T03:30:00+02:00",
    ]


def test_once_still_runs_a_skipped_time_when_asked_one_second_before_the_change() -> None:
    assert times("30 2 * * *", BERLIN, "2024-03-31T01:59:59+01:00", 1) == [
        "2024-03-31T03:00:00+02:00"
    ]
    assert times("30 2 * * *", BERLIN, "2024-03-31T03:00:00+02:00", 1) == [
        "2024-04-01T02:30:00+02:00"
    ]


def test_once_runs_a_repeated_time_the_first_time_round() -> None:
    assert times("30 2 * * *", BERLIN, "2024-10-26T12:00:00+02:00", 2) == [
        "2024-10-27T02:30:00+02:00",
        "2024-10-28T02:30:00+01:00",
    ]
    assert times("*/30 2 * * *", BERLIN, "2024-10-27T02:30:00+02:00", 1) == [
        "2024-10-28T02:00:00+01:00"
    ]


@pytest.mark.parametrize("after", ["02:00:00+01:00", "02:29:59+01:00", "02:59:59+01:00"])
def test_once_runs_nothing_while_the_clock_repeats_itself(after: str) -> None:
    assert times("30 2 * * *", BERLIN, f"2024-10-27T{after}", 1) == ["2024-10-28T02:30:00+01:00"]


def test_asynq_skips_the_skipped_and_repeats_the_repeated() -> None:
    assert times("30 2 * * *", BERLIN, "2024-03-30T12:00:00+01:00", 1, "asynq") == [
        "2024-04-01T02:30:00+02:00"
    ]
    assert times("30 2 * * *", BERLIN, "2024-10-26T12:00:00+02:00", 2, "asynq") == [
        "2024-10-27T02:30:00+02:00",
        "2024-10-27T02:30:00+01:00",
    ]


@pytest.mark.parametrize("dialect", ["asynq", "extended"])
@pytest.mark.parametrize("spec", ["*/15 * * * *", "*/15 0-23 * * *"])
@pytest.mark.parametrize("day", ["2024-03-31", "2024-10-27"])
def test_an_interval_keeps_its_pace_through_a_change(spec: str, day: str, dialect: str) -> None:
    schedule = parse_schedule(spec, BERLIN, dst="once", dialect=dialect)
    due = schedule.upcoming(datetime.fromisoformat(f"{day}T00:00:00Z").astimezone(UTC), 20)
    assert {b.timestamp() - a.timestamp() for a, b in pairwise(due)} == {900}


def test_once_a_skipped_midnight_runs_when_the_day_begins() -> None:
    assert times("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00-03:00", 2) == [
        "2018-11-04T01:00:00-02:00",
        "2018-11-05T00:00:00-02:00",
    ]


def test_once_a_skipped_day_runs_when_the_next_begins() -> None:
    assert times("0 9 * * *", "Pacific/Apia", "2011-12-29T00:00:00-10:00", 3) == [
        "2011-12-29T09:00:00-10:00",
        "2011-12-31T00:00:00+14:00",
        "2011-12-31T09:00:00+14:00",
    ]


@cache
def shown(zone: Zone, start: int, end: int) -> list[tuple[int, int]]:
    """All whole minutes as (instant, local), by zoneinfo alone."""
    pairs = []
    for instant in range(start, end, 60):
        local = datetime.fromtimestamp(instant, zone.tz).replace(tzinfo=UTC)
        pairs.append((instant, int(local.timestamp())))
    return pairs


@given(
    st.data(),
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Asia/Beirut",
                     "Antarctica/Troll", "America/Havana", "Pacific/Apia", "Asia/Gaza"]),
    st.integers(0, 59), st.integers(0, 23),
)  # fmt: skip
def test_once_is_the_first_instant_at_which_the_clock_reaches_the_time(
    data: st.DataObject, name: str, minute: int, hour: int
) -> None:
    zone = load_zone(name)
    modern = [change for change in changes(name) if change > 500_000_000]
    change = data.draw(st.sampled_from(modern))
    minutes = shown(zone, change // 60 * 60 - 40 * 3600, change + 70 * 3600)
    due, latest = [], minutes[0][1]
    for instant, local in minutes[1:]:
        # The wanted times that the clock has reached for the first time just now.
        reached = range(latest // 60 + 1, local // 60 + 1)
        if any(m % 60 == minute and m // 60 % 24 == hour for m in reached):
            due.append(instant)
        latest = max(latest, local)
    schedule = parse_schedule(f"{minute} {hour} * * *", name, dst="once")
    near = data.draw(st.sampled_from([3 * 3600, 24 * 3600]))
    after = data.draw(st.integers(change - near, change + near))
    assert schedule.next_s(after) == next(instant for instant in due if instant > after)


# Where robfig's search runs in circles, asked two days before.
ENDLESS = [
    ("0 9 31 12 *", "Pacific/Apia", "2011-12-28T12:00:00-10:00", "2011-12-31T09:00:00+14:00"),
    ("0 0 1 * *", "Pacific/Apia", "2011-12-28T12:00:00-10:00", "2012-01-01T00:00:00+14:00"),
    ("0 9 25 8 *", "Pacific/Kwajalein", "1993-08-19T12:00:00-12:00", "1993-08-25T09:00:00+12:00"),
    ("0 9 15 * *", "Pacific/Kiritimati", "1994-12-29T12:00:00-10:00", "1995-01-15T09:00:00+14:00"),
    ("0 9 * * 3", "Pacific/Kanton", "1994-12-29T12:00:00-11:00", "1995-01-04T09:00:00+13:00"),
]


@pytest.mark.parametrize(("spec", "zone", "after", "expected"), ENDLESS)
def test_a_search_in_circles_is_noticed_and_answered(
    spec: str, zone: str, after: str, expected: str
) -> None:
    start = int(datetime.fromisoformat(after).timestamp()) + 1
    with pytest.raises(Endless):
        search(parse_fields(spec), load_zone(zone), start, 2020)
    assert times(spec, zone, after, 1, "asynq") == [expected]


def test_a_time_that_robfig_finds_in_the_past_is_replaced() -> None:
    # 23:30 for the second time; the search jumps back to the midnight before the repetition.
    after = "2006-10-28T23:30:00-03:30"
    start = int(datetime.fromisoformat(after).timestamp()) + 1
    zone = load_zone("America/St_Johns")
    found = search(parse_fields("0 0 * * *"), zone, start, 2011)
    assert found is not None
    assert found < start
    assert times("0 0 * * *", "America/St_Johns", after, 1, "asynq") == [
        "2006-10-29T00:00:00-03:30"
    ]


@given(zones, st.integers(-2_000_000_000, 4_000_000_000))
def test_the_tables_say_what_zoneinfo_says(name: str, instant: int) -> None:
    zone = load_zone(name)
    span = next(zone.spans(instant))
    for moment in (span.start, (span.start + span.end) // 2, span.end - 1):
        assert zone.offset(moment) == span.offset
        local = datetime.fromtimestamp(moment, UTC).astimezone(zone.tz).utcoffset()
        assert local is not None
        assert local.total_seconds() == span.offset


@pytest.mark.parametrize(
    ("name", "change", "back"),
    [
        ("America/Boa_Vista", "2000-10-08T04:00:00Z", "2000-10-15T03:00:00Z"),
        ("America/Noronha", "2000-10-08T02:00:00Z", "2000-10-15T01:00:00Z"),
        ("Africa/Casablanca", "2010-05-02T00:00:00Z", "2010-08-07T23:00:00Z"),
    ],
)
def test_short_summers_are_found_to_the_second(name: str, change: str, back: str) -> None:
    expected = [int(datetime.fromisoformat(text).timestamp()) for text in (change, back)]
    assert [c for c in changes(name) if expected[0] <= c <= expected[1]] == expected


# Answers of robfig/cron v3.0.1 that no calendar would give.
ODDITIES = [
    ("30 2 1 * *", "Africa/Monrovia", "1972-01-07T02:14:30+00:00", "1972-03-01T02:30:00+00:00"),
    ("0 1 31 * *", "Pacific/Kiritimati", "1979-10-01T22:40:00-10:00", "1979-12-31T01:00:00-10:00"),
    ("30 * * 1-6 1-5", "America/Sao_Paulo", "1967-11-02T01:30-02:00", "1968-01-01T23:30:00-02:00"),
    ("15 1 15 11 *", "America/Asuncion", "1978-10-13T14:00:00-03:00", "1978-12-15T01:15:00-03:00"),
    ("30 1 15 1-6 *", "America/Havana", "1986-03-16T05:00:00-04:00", "1986-04-15T01:30:00-04:00"),
    ("0 5 31 * 1-5", "America/Santiago", "2005-10-09T16:00:00-03:00", "2005-10-10T05:00:00-03:00"),
    ("30 1 15 * *", "America/Sao_Paulo", "2007-10-14T10:45-02:00", "2007-10-15T01:30:00-02:00"),
]


@pytest.mark.parametrize(("spec", "zone", "after", "expected"), ODDITIES)
def test_asynq_is_as_odd_as_go(spec: str, zone: str, after: str, expected: str) -> None:
    assert times(spec, zone, after, 1, "asynq") == [expected]
