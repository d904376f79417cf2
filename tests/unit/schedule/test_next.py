"""Next times: properties that hold for every spec, zone and instant."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from croniter import croniter  # type: ignore[import-untyped]
from hypothesis import assume, given
from hypothesis import strategies as st

from asynq_py.schedule import parse_schedule
from asynq_py.schedule.cron import Cron
from asynq_py.schedule.fields import ALL_DAYS, ALL_WEEKDAYS, Fields
from asynq_py.schedule.grammar import parse_fields
from asynq_py.schedule.instants import each_showing
from asynq_py.schedule.robfig import Endless, search
from asynq_py.schedule.zone import Zone, load_zone

from .strategies import FIRST, LAST, instants, specs, zones


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def step_by_step(fields: Fields, zone: Zone, after_s: int) -> int | None:
    """The answer without the shorter way: robfig's search, or the documented replacement."""
    start = after_s + 1
    last_year = date.fromordinal((start + zone.offset(start)) // 86400 + 719163).year + 5
    if not fields.possible:
        return None
    try:
        due = search(fields, zone, start, last_year)
    except Endless:
        return each_showing(fields, zone, after_s, last_year)
    if due is not None and due < start:
        return each_showing(fields, zone, after_s, last_year)
    return due


@given(st.data(), specs(), zones)
def test_the_shorter_way_ends_where_the_search_does(
    data: st.DataObject, spec: str, zone: str
) -> None:
    rule = Cron(parse_fields(spec), load_zone(zone))
    after_s = data.draw(instants(zone))
    for _ in range(3):
        due = rule.next_s(after_s)
        assert due == step_by_step(rule.fields, rule.zone, after_s)
        if due is None:
            break
        after_s = due


@given(st.data(), specs(), zones, st.sampled_from(["asynq", "once"]))
def test_times_are_strictly_after_and_nothing_lies_between(
    data: st.DataObject, spec: str, zone: str, dst: str
) -> None:
    schedule = parse_schedule(spec, zone, dst=dst)
    after_s = data.draw(instants(zone))
    due = schedule.next_s(after_s)
    if due is None:
        return
    assert due > after_s
    if dst == "once":  # robfig's search may skip a time, so this need not hold there
        between = data.draw(st.integers(after_s, due - 1))
        assert schedule.next_s(between) == due


@given(specs(), st.integers(FIRST, LAST))
def test_in_utc_every_time_matches_and_no_earlier_one_does(spec: str, after_s: int) -> None:
    fields = parse_fields(spec)
    due = parse_schedule(spec).next_s(after_s)

    def matches(minute_s: int) -> bool:
        moment = datetime.fromtimestamp(minute_s, UTC)
        return bool(
            fields.minutes >> moment.minute & 1
            and fields.hours >> moment.hour & 1
            and fields.months >> moment.month & 1
            and fields.day_matches(minute_s // 86400, moment.day)
        )

    first = after_s // 60 * 60 + 60
    if due is None:
        assert not any(matches(minute) for minute in range(first, first + 86400, 60))
    else:
        assert due % 60 == 0
        assert matches(due)
        assert not any(matches(minute) for minute in range(first, min(due, first + 86400), 60))


@given(specs(), st.integers(FIRST, LAST))
def test_croniter_agrees_in_utc(spec: str, after_s: int) -> None:
    """On the calendar: the fields are written as plain lists, which both read alike."""
    fields = parse_fields(spec)
    full = fields.days == ALL_DAYS or fields.weekdays == ALL_WEEKDAYS
    assume(fields.both or not full)  # croniter takes a full list for a star
    sets = (fields.minutes, fields.hours, fields.days, fields.months, fields.weekdays)
    plain = " ".join(",".join(str(n) for n in range(60) if bits >> n & 1) for bits in sets)
    due = parse_schedule(spec).next_s(after_s)
    assume(due is not None)
    assert croniter(plain, after_s, day_or=not fields.both).get_next() == due


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati", "Asia/Kolkata"])
@pytest.mark.parametrize("dst", ["asynq", "once"])
@pytest.mark.parametrize("dialect", ["asynq", "extended"])
@pytest.mark.parametrize(
    "spec", ["* * * * *", "0 9 1 1 *", "0 0 29 2 *", "59 23 31 12 *", "@hourly"]
)
def test_the_ends_of_the_calendar_are_reached_without_an_error(
    zone: str, dst: str, dialect: str, spec: str
) -> None:
    schedule = parse_schedule(spec, zone, dialect=dialect, dst=dst)
    first = schedule.next(datetime.min.replace(tzinfo=UTC))
    assert first is not None
    assert first.year <= 8
    assert schedule.next(datetime.max.replace(tzinfo=UTC)) is None
    assert schedule.next(datetime.max.replace(tzinfo=load_zone(zone).tz)) is None
    late = schedule.upcoming(datetime(9999, 12, 30, 22, tzinfo=UTC), 200)
    assert len(late) < 200
    assert schedule.next_s(10**15) is None
    assert schedule.next_s(-(10**15)) is not None


@pytest.mark.parametrize(
    "spec", ["0 0 31 2 *", "0 0 30 feb ?", ", * * * *", "* , * * *", "* * , * *"]
)
@pytest.mark.parametrize("dst", ["asynq", "once"])
def test_what_never_matches_is_never_due(spec: str, dst: str) -> None:
    assert parse_schedule(spec, "America/Havana", dst=dst).next_s(1_700_000_000) is None


@pytest.mark.parametrize("dst", ["asynq", "once"])
def test_five_years_ahead_are_searched_and_no_more(dst: str) -> None:
    leap_day = parse_schedule("0 12 29 2 *", dst=dst)
    assert leap_day.next_s(at("2096-03-01T00:00:00Z")) is None
    assert leap_day.next_s(at("2099-01-01T00:00:00Z")) == at("2104-02-29T12:00:00Z")
    assert leap_day.next_s(at("2098-12-31T23:59:58Z")) is None


@given(st.integers(0, 4_000_000_000), st.integers(0, 999_999))
def test_fractions_of_the_second_asked_about_do_not_matter(second: int, microsecond: int) -> None:
    after = datetime.fromtimestamp(second, UTC).replace(microsecond=microsecond)
    due = parse_schedule("* * * * *").next(after)
    assert due == after.replace(second=0, microsecond=0) + timedelta(minutes=1)
