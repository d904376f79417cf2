"""The Schedule itself: arguments, values, threads."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from asynq_py.errors import ConfigError, ScheduleSyntaxError
from asynq_py.schedule import Schedule, parse_schedule
from asynq_py.schedule.cron import Cron
from asynq_py.schedule.grammar import parse_fields
from asynq_py.schedule.zone import Zone

AFTER = datetime(2024, 3, 9, 12, 34, 56, 789_000, UTC)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"location": "Nope/Nowhere"}, "Nope/Nowhere"),
        ({"location": ""}, "''"),
        ({"location": "Europe"}, "Europe"),
        ({"location": "../UTC"}, "../UTC"),
        ({"location": "a\0b"}, "a"),
        ({"location": 3}, "3"),
        ({"dialect": "quartz"}, "asynq, extended"),
        ({"dst": "twice"}, "asynq, once"),
        ({"spec": None}, "None"),
    ],
)
def test_an_argument_that_can_never_work_is_named(arguments: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_schedule(**{"spec": "* * * * *", **arguments})
    assert named in str(caught.value)
    assert not isinstance(caught.value, ScheduleSyntaxError)


@pytest.mark.parametrize("spec", ["0 9 * * *", "@every 5s"])
@pytest.mark.parametrize("after", [datetime(2024, 1, 1), "2024-01-01"])  # noqa: DTZ001
def test_only_aware_datetimes_are_taken(spec: str, after: datetime) -> None:
    schedule = parse_schedule(spec)
    with pytest.raises(ConfigError, match="aware"):
        schedule.next(after)
    with pytest.raises(ConfigError, match="aware"):
        schedule.upcoming(after, 1)


def test_times_are_in_the_zone_of_the_schedule() -> None:
    schedule = parse_schedule("0 9 * * *", ZoneInfo("Europe/Berlin"))
    due = schedule.next(AFTER.astimezone(timezone(timedelta(hours=-8))))
    assert due == datetime(2024, 3, 10, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    assert due is not None
    assert due.tzinfo is ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("spec", "location"),
    [
        ("0 9 * * *", "Europe/Berlin"),
        ("TZ=Asia/Tokyo 0 9 * * *", "Asia/Tokyo"),
        ("CRON_TZ=Asia/Tokyo   @daily ", "Asia/Tokyo"),
        ("TZ=Local 0 9 * * *", "Europe/Berlin"),
        ("TZ= 0 9 * * *", "UTC"),
    ],
)
def test_the_location_is_the_zone_in_use(spec: str, location: str) -> None:
    assert parse_schedule(spec, "Europe/Berlin").location == location


def test_upcoming_lists_times_and_stops_at_the_last() -> None:
    hourly = parse_schedule("@hourly").upcoming(AFTER, 3)
    assert hourly == [datetime(2024, 3, 9, hour, tzinfo=UTC) for hour in (13, 14, 15)]
    assert parse_schedule("0 0 1 1 *").upcoming(datetime(9998, 6, 1, tzinfo=UTC), 9) == [
        datetime(9999, 1, 1, tzinfo=UTC)
    ]
    assert parse_schedule("0 0 31 2 *").upcoming(AFTER, 3) == []
    assert parse_schedule("@hourly").upcoming(AFTER, 0) == []


ALL = [
    parse_schedule("0 9 * * *"),
    parse_schedule("0 9 * * *", "Europe/Berlin"),
    parse_schedule("0 9 * * *", "Europe/Berlin", dst="once"),
    parse_schedule("0 9 * * *", "Europe/Berlin", dialect="extended"),
    parse_schedule("TZ=Local 0 9 * * *", "Europe/Berlin"),
    parse_schedule("TZ=Asia/Tokyo @every 5s"),
]


def test_schedules_are_equal_when_they_are_defined_alike() -> None:
    assert len(set(ALL)) == len(ALL)
    again = parse_schedule("0 9 * * *", ZoneInfo("Europe/Berlin"))
    assert again == ALL[1]
    assert hash(again) == hash(ALL[1])


@pytest.mark.parametrize("schedule", ALL, ids=repr)
def test_schedules_can_be_copied_and_pickled(schedule: Schedule) -> None:
    for twin in (pickle.loads(pickle.dumps(schedule)), copy.deepcopy(schedule)):
        assert twin == schedule
        assert twin.next(AFTER) == schedule.next(AFTER)


def test_schedules_do_not_change_and_say_what_they_are() -> None:
    schedule = parse_schedule("0 9 * * *", "Europe/Berlin", dst="once")
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.spec = "0 10 * * *"  # type: ignore[misc]
    assert repr(schedule) == (
        "Schedule(spec='0 9 * * *', location='Europe/Berlin', dialect='asynq', dst='once')"
    )


def test_a_zone_may_be_shared_by_threads() -> None:
    alone = Cron(parse_fields("30 2 * * *"), Zone(ZoneInfo("Europe/Berlin")))
    shared = Cron(parse_fields("30 2 * * *"), Zone(ZoneInfo("Europe/Berlin")))
    asked = [year * 31_556_952 for year in range(20, 60)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(shared.next_s, asked * 4)) == [alone.next_s(t) for t in asked * 4]
