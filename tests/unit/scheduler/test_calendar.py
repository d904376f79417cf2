"""A schedule with a phase, a beginning, an end, and days that are left out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py.clock import NANOSECONDS, from_unix_s
from asynq_py.schedule import parse_schedule
from asynq_py.scheduler.calendar import Calendar

START_S = 1_700_000_000
ZONES = ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia"]


def unix_s(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def calendar(
    spec: str,
    zone: str = "UTC",
    *,
    start: int | None = None,
    end: int | None = None,
    exclude: list[str] | None = None,
) -> Calendar:
    return Calendar(
        parse_schedule(spec, zone),
        None if start is None else start * NANOSECONDS,
        None if end is None else end * NANOSECONDS,
        frozenset(date.fromisoformat(day) for day in exclude or ()),
    )


def ticks(made: Calendar, after_s: int, most: int = 100) -> Iterator[int]:
    tick = made.next_s(after_s)
    while tick is not None and most:
        yield tick
        most -= 1
        tick = made.next_s(tick)


def local(made: Calendar, after_s: int, most: int) -> list[str]:
    zone = ZoneInfo(made.schedule.location)
    return [
        from_unix_s(tick).astimezone(zone).isoformat(timespec="minutes")
        for tick in ticks(made, after_s, most)
    ]


# -- bounds --


def test_no_tick_is_before_the_beginning_or_after_the_end() -> None:
    made = calendar("* * * * *", start=START_S, end=START_S + 150)

    assert list(ticks(made, 0)) == [START_S + 40, START_S + 100]


def test_a_tick_on_the_beginning_or_the_end_counts() -> None:
    on = START_S - START_S % 60
    made = calendar("* * * * *", start=on, end=on + 60)

    assert list(ticks(made, 0)) == [on, on + 60]


def test_bounds_within_a_second_count_by_the_nanosecond() -> None:
    on = START_S - START_S % 60
    schedule = parse_schedule("* * * * *", "UTC")
    made = Calendar(schedule, on * NANOSECONDS + 1, (on + 120) * NANOSECONDS - 1)

    assert list(ticks(made, 0)) == [on + 60]


def test_after_the_end_there_is_never_a_tick() -> None:
    assert calendar("* * * * *", end=START_S).next_s(START_S) is None


# -- the phase of @every --


def test_every_without_an_anchor_counts_from_when_it_is_asked() -> None:
    made = calendar("@every 10s")

    assert made.next_s(START_S + 3) == START_S + 13


def test_every_with_an_anchor_keeps_its_phase() -> None:
    made = calendar("@every 10s")
    made.anchor_s = START_S

    assert [made.next_s(START_S + after) for after in (-11, 0, 3, 9, 10)] == [
        START_S - 10,
        START_S + 10,
        START_S + 10,
        START_S + 10,
        START_S + 20,
    ]


def test_every_begins_with_the_beginning_and_counts_from_it() -> None:
    made = calendar("@every 10s", start=START_S + 5)

    assert list(ticks(made, START_S - 100, 3)) == [START_S + 5, START_S + 15, START_S + 25]


def test_every_keeps_its_phase_over_days_that_are_left_out() -> None:
    made = calendar("@every 7h", start=unix_s("2026-01-01T00:00"), exclude=["2026-01-02"])

    assert local(made, 0, 5) == [
        "2026-01-01T00:00+00:00",
        "2026-01-01T07:00+00:00",
        "2026-01-01T14:00+00:00",
        "2026-01-01T21:00+00:00",
        "2026-01-03T01:00+00:00",
    ]


# -- days that are left out --


def test_days_are_left_out_in_the_zone_of_the_schedule() -> None:
    made = calendar("0 */8 * * *", "Asia/Tokyo", exclude=["2026-01-02"])

    assert local(made, unix_s("2026-01-01T15:30", "Asia/Tokyo"), 3) == [
        "2026-01-01T16:00+09:00",
        "2026-01-03T00:00+09:00",
        "2026-01-03T08:00+09:00",
    ]


@pytest.mark.parametrize(
    ("zone", "changes", "after", "expected"),
    [
        # 23 hours, 25 hours.
        ("Europe/Berlin", "2026-03-29", "2026-03-28T20:00", ["2026-03-30T00:00+02:00"]),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T20:00", ["2026-10-26T00:00+01:00"]),
        # The day before begins the one whose midnight is skipped.
        ("America/Sao_Paulo", "2018-11-03", "2018-11-02T20:00", ["2018-11-04T01:00-02:00"]),
        # A midnight that comes twice.
        ("America/Havana", "2026-10-31", "2026-10-30T20:00", ["2026-11-01T00:00-04:00"]),
        # A day that never was, after the one that is left out.
        ("Pacific/Apia", "2011-12-29", "2011-12-28T20:00", ["2011-12-31T00:00+14:00"]),
    ],
)
def test_a_day_on_which_the_clock_changes_is_left_out_whole(
    zone: str, changes: str, after: str, expected: list[str]
) -> None:
    made = calendar("@every 15m", zone, exclude=[changes])
    made.anchor_s = unix_s(after, zone)
    before = [text for text in local(made, unix_s(after, zone), 400) if text[:10] < changes]

    following = local(made, unix_s(after, zone), len(before) + 1)[len(before) :]

    assert len(before) == 15
    assert following == expected


def test_very_many_days_that_are_left_out_come_to_an_end() -> None:
    first = date(2026, 1, 1)
    days = [(first + timedelta(days=n)).isoformat() for n in range(3000)]
    made = calendar("@daily", exclude=days)

    assert local(made, unix_s("2025-12-31T12:00"), 1) == ["2034-03-20T00:00+00:00"]


def test_a_schedule_on_days_that_are_all_left_out_never_ticks() -> None:
    made = calendar("@every 1h", end=unix_s("2026-01-03T00:00") - 1, exclude=["2026-01-02"])

    assert made.next_s(unix_s("2026-01-01T23:30")) is None


# -- whatever it is --


@given(
    st.sampled_from(["* * * * *", "*/17 3 * * *", "0 0 * * mon", "@every 37m", "@every 26h"]),
    st.sampled_from(ZONES),
    st.integers(0, 4_000_000_000),
    st.none() | st.integers(-(10**6), 10**6),
    st.none() | st.integers(0, 10**7),
    st.sets(st.integers(-3, 12), max_size=8),
)
def test_the_next_tick_is_the_first_of_the_schedule_that_is_allowed(
    spec: str, zone: str, after_s: int, start: int | None, end: int | None, excluded: set[int]
) -> None:
    today = from_unix_s(after_s).astimezone(ZoneInfo(zone)).date()
    exclude = [(today + timedelta(days=n)).isoformat() for n in excluded]
    start_s = None if start is None else after_s + start
    end_s = None if end is None else after_s + end
    made = calendar(spec, zone, start=start_s, end=end_s, exclude=exclude)
    if made.anchor_s is None:
        made.anchor_s = after_s

    tick = made.next_s(after_s)

    def allowed(each: int) -> bool:
        day = from_unix_s(each).astimezone(ZoneInfo(zone)).date().isoformat()
        within = (start_s is None or each >= start_s) and (end_s is None or each <= end_s)
        return within and day not in exclude

    # What the schedule itself has, one by one.
    every_s = made.schedule.every_s
    each = after_s if start_s is None else max(after_s, start_s - 1)
    following: int | None = each
    while following is not None:
        if every_s is None:
            following = made.schedule.next_s(following)
        else:
            following += every_s - (following - made.anchor_s) % every_s
        if following is None or allowed(following) or (end_s is not None and following > end_s):
            break
    expected = following if following is not None and allowed(following) else None
    assert tick == expected
    if tick is not None:
        assert tick > after_s
        assert every_s is None or (tick - made.anchor_s) % every_s == 0


def test_a_calendar_answers_in_utc_seconds_as_its_schedule_does() -> None:
    schedule = parse_schedule("30 4 * * *", "Europe/Berlin")
    made = Calendar(schedule)

    assert list(ticks(made, START_S, 5)) == [
        int(moment.timestamp())
        for moment in schedule.upcoming(datetime.fromtimestamp(START_S, UTC), 5)
    ]
