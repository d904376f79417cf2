"""What users define: what can never work is refused with reasons; what tells two entries apart."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

import pytest

from asynq_py import (
    JSON_SORTED,
    ConfigError,
    EnqueueOptions,
    LeaderElection,
    Misfire,
    Overlap,
    PeriodicTask,
    SchedulerConfig,
    Task,
)
from asynq_py.scheduler.periodic import EntryOptions

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def payload_of(moment: datetime) -> object:
    return moment.isoformat()


def another_payload_of(moment: datetime) -> object:
    return moment.year


def numbered(number: int, moment: datetime) -> object:
    return [number, moment.year]


# -- what is refused --


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spec": 5}, "spec must be a str, not int"),
        ({"task": "t"}, "only a Task can be registered, not str"),
        ({"name": ""}, "name must contain one or more characters that are not blank"),
        ({"name": 7}, "name must be a str, not int"),
        ({"misfire": "skip"}, "misfire must be a Misfire, not 'skip'"),
        ({"overlap": "twice"}, "overlap must be an Overlap, not 'twice'"),
        ({"jitter": -1}, "jitter must not be negative, but is -1"),
        ({"jitter": "1s"}, "jitter must be a timedelta or a number of seconds, not str"),
        ({"start_at": 5}, "start_at must be a datetime, not int"),
        (
            {"end_at": datetime(2026, 1, 1)},  # noqa: DTZ001
            "end_at must be an aware datetime, but 2026-01-01T00:00:00 has no time zone;"
            " use datetime.now(UTC), or tzinfo=ZoneInfo(...)",
        ),
        (
            {"start_at": NOON, "end_at": NOON - timedelta(seconds=1)},
            "end_at must not be before start_at",
        ),
        ({"max_runs": 0}, "max_runs must be a number of runs, 1 or more, not 0"),
        ({"max_runs": True}, "max_runs must be a number of runs, 1 or more, not True"),
        ({"max_runs": 1.0}, "max_runs must be a number of runs, 1 or more, not 1.0"),
        ({"exclude": ["2026-01-01"]}, "exclude must hold dates, not '2026-01-01'"),
        ({"exclude": [NOON]}, f"exclude must hold dates, not {NOON!r}"),
        ({"payload": {}}, "payload must be callable, not dict"),
        ({"max_retry": -1}, "max_retry must be from 0 to 2147483647, but is -1"),
    ],
)
def test_a_periodic_task_that_can_never_work_is_refused_with_the_reason(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        PeriodicTask(**{"spec": "@daily", "task": Task("t"), **arguments})

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": "some"}, "misfire must be one of skip, latest, all, not 'some'"),
        ({"grace": -1}, "grace must not be negative, but is -1"),
        ({"grace": "1h"}, "grace must be a timedelta or a number of seconds, not str"),
        ({"cap": 0}, "cap must be a number of ticks, 1 or more, not 0"),
        ({"cap": True}, "cap must be a number of ticks, 1 or more, not True"),
        ({"cap": 2.5}, "cap must be a number of ticks, 1 or more, not 2.5"),
    ],
)
def test_a_misfire_that_can_never_work_is_refused_with_the_reason(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Misfire(**arguments)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group": " "}, "group must contain one or more characters that are not blank"),
        ({"group": None}, "group must be a str, not NoneType"),
        ({"lease": 0.05, "renew_every": 0.01}, "lease must be 0.1 s or more, but is 0.05"),
        ({"renew_every": 0}, "renew_every must be at most half of the lease (15), but is 0"),
        ({"renew_every": 8}, "renew_every must be at most half of the lease (15), but is 8"),
        ({"lease": "15"}, "lease must be a timedelta or a number of seconds, not str"),
        ({"on_change": "log"}, "on_change must be callable, not str"),
    ],
)
def test_an_election_that_can_never_work_is_refused_with_the_reason(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        LeaderElection(**{"group": "g", **arguments})

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"leader_election": "billing"}, "leader_election must be a LeaderElection"),
        ({"misfire": "all"}, "misfire must be a Misfire, not 'all'"),
        ({"retry_for": -1}, "retry_for must not be negative, but is -1"),
        ({"max_waiting": 0}, "max_waiting must be 1 or more, not 0"),
        ({"max_waiting": 1.5}, "max_waiting must be 1 or more, not 1.5"),
        ({"rate_limit": 0}, "rate_limit must be more than zero, not 0"),
        ({"rate_limit": float("nan")}, "rate_limit must be more than zero, not nan"),
        ({"heartbeat_interval": 0}, "heartbeat_interval must be more than zero"),
    ],
)
def test_a_scheduler_that_can_never_work_is_refused_with_the_reason(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        SchedulerConfig(**arguments)

    assert str(caught.value) == message


def test_a_misfire_policy_is_the_same_with_other_limits() -> None:
    assert Misfire.ALL(grace=3600, cap=50) == Misfire("all", 3600, 50)
    assert Misfire.ALL(cap=50)(grace=5) == Misfire("all", 5, 50)
    assert Misfire.LATEST() == Misfire.LATEST


@pytest.mark.parametrize(
    ("config", "policy"),
    [
        (SchedulerConfig(), Misfire.SKIP),
        (SchedulerConfig(misfire=Misfire.LATEST), Misfire.LATEST),
        (SchedulerConfig(leader_election=LeaderElection("g")), Misfire.ALL(grace=150.0)),
        (
            SchedulerConfig(leader_election=LeaderElection("g", lease=1, renew_every=0.2)),
            Misfire.ALL(grace=60.0),
        ),
        (
            SchedulerConfig(leader_election=LeaderElection("g"), misfire=Misfire.SKIP),
            Misfire.SKIP,
        ),
    ],
)
def test_the_default_policy_makes_up_for_a_fail_over_only(
    config: SchedulerConfig, policy: Misfire
) -> None:
    assert config.default_misfire == policy


# -- the fingerprint --

#: One task for every field, each differing from the first in this field alone.
VARIANTS: dict[str, dict[str, Any]] = {
    "none": {},
    "spec": {"spec": "@hourly"},
    "dialect": {"dialect": "extended"},
    "name": {"name": "n"},
    "another name": {"name": "None"},
    "location": {"location": "Europe/Berlin"},
    "misfire": {"misfire": Misfire.ALL},
    "misfire's grace": {"misfire": Misfire.ALL(grace=5)},
    "misfire's cap": {"misfire": Misfire.ALL(cap=5)},
    "overlap": {"overlap": Overlap.SKIP},
    "jitter": {"jitter": 1},
    "start_at": {"start_at": NOON},
    "end_at": {"end_at": NOON},
    "max_runs": {"max_runs": 3},
    "exclude": {"exclude": [date(2026, 1, 1)]},
    "exclude more": {"exclude": [date(2026, 1, 2), date(2026, 1, 1)]},
    "payload": {"payload": payload_of},
    "another payload": {"payload": another_payload_of},
    "a partial payload": {"payload": partial(numbered, 1)},
    "another partial payload": {"payload": partial(numbered, 2)},
    "codec": {"payload": payload_of, "codec": JSON_SORTED},
    "an option": {"queue": "low"},
    "another option": {"group": "low"},
    "two options": {"queue": "low", "timeout": 5},
    "the task's type": {"task": Task("u", b"p", headers={"h": "1"}, max_retry=3)},
    "the task's payload": {"task": Task("t", b"q", headers={"h": "1"}, max_retry=3)},
    "the task's header": {"task": Task("t", b"p", headers={"h": "2"}, max_retry=3)},
    "the task's headers": {"task": Task("t", b"p", headers={"h": "1", "i": ""}, max_retry=3)},
    "the task's option": {"task": Task("t", b"p", headers={"h": "1"}, max_retry=4)},
    "the task's options": {"task": Task("t", b"p", headers={"h": "1"}, timeout=3)},
}


def variant(name: str) -> PeriodicTask:
    task = Task("t", b"p", headers={"h": "1"}, max_retry=3)
    return PeriodicTask(**{"spec": "@daily", "task": task, **VARIANTS[name]})


def test_a_fingerprint_differs_with_every_field() -> None:
    prints = {name: variant(name).fingerprint() for name in VARIANTS}

    assert len(set(prints.values())) == len(VARIANTS)
    assert all(len(each) == 32 for each in prints.values())


def test_every_field_has_a_variant() -> None:
    varied = {name for arguments in VARIANTS.values() for name in arguments}

    # The options are one field.
    assert set(PeriodicTask.__slots__) - {"start_ns", "end_ns", "jitter_ns", "options"} <= varied


def test_a_fingerprint_does_not_see_in_which_order_or_form_things_were_said() -> None:
    first = PeriodicTask(
        "@daily",
        Task("t", headers={"a": "1", "b": "2"}, queue="q", timeout=60),
        location="Europe/Berlin",
        jitter=60,
        start_at=NOON,
        exclude=[date(2026, 1, 1), date(2026, 1, 2)],
        max_retry=1,
        retention=60,
    )
    second = PeriodicTask(
        "@daily",
        Task("t", headers={"b": "2", "a": "1"}, timeout=timedelta(minutes=1), queue="q"),
        retention=timedelta(minutes=1),
        max_retry=1,
        exclude={date(2026, 1, 2), date(2026, 1, 1)},
        start_at=NOON.astimezone(ZoneInfo("Asia/Tokyo")),
        jitter=timedelta(minutes=1),
        location=ZoneInfo("Europe/Berlin"),
    )

    assert first.fingerprint() == second.fingerprint()


PRINTING = """
from tests.unit.scheduler.test_periodic import VARIANTS, variant
print("\\n".join(variant(name).fingerprint() for name in VARIANTS))
"""


@pytest.mark.parametrize("seed", ["1", "2"])
def test_a_fingerprint_is_the_same_in_all_processes(seed: str) -> None:
    output = subprocess.run(
        [sys.executable, "-c", PRINTING],
        env={**os.environ, "PYTHONHASHSEED": seed},
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert output.split() == [variant(name).fingerprint() for name in VARIANTS]


def test_a_codec_of_the_users_own_has_the_same_fingerprint_everywhere() -> None:
    class Own:
        def encode(self, value: object, /) -> bytes:
            return b""

        def decode(self, data: bytes, /) -> object:
            return None

    first, second = (
        PeriodicTask("@daily", Task("t"), payload=payload_of, codec=Own()) for _ in range(2)
    )

    assert first.fingerprint() == second.fingerprint()


def test_the_arguments_that_are_handed_on_are_those_of_a_periodic_task() -> None:
    taken = get_type_hints(PeriodicTask.__init__)
    for own in ("return", "spec", "task", "options"):
        del taken[own]

    assert get_type_hints(EntryOptions) == get_type_hints(EnqueueOptions) | taken
