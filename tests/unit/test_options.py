"""The rules of options: what is rounded, what is refused, and in which words."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py import ConfigError
from asynq_py.clock import NANOSECONDS
from asynq_py.options import merge, normalize

NAIVE = datetime(2030, 1, 1)  # noqa: DTZ001  # what is to be refused
DURATIONS = ["timeout", "unique", "process_in", "retention"]
TEXTS = ["queue", "task_id", "group"]


def refusal(**options: Any) -> str:  # noqa: ANN401
    """What options are refused with."""
    with pytest.raises(ConfigError) as caught:
        normalize(options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (0, 0),
        (0.0, 0),
        (timedelta(0), 0),
        (1, 1),
        (1.0, 1),
        (0.1, 1),
        (1e-12, 1),
        (1.001, 2),
        (timedelta(microseconds=1), 1),
        (timedelta(seconds=59, microseconds=999_999), 60),
        (timedelta(minutes=30), 1800),
    ],
)
@pytest.mark.parametrize("name", ["timeout", "retention"])
def test_a_duration_is_rounded_up_to_whole_seconds(
    name: str, given: timedelta | float, seconds: int
) -> None:
    assert normalize({name: given}) == {name: seconds}


@given(st.floats(min_value=1e-9, max_value=9e9))
def test_a_duration_is_never_shorter_than_asked_and_less_than_a_second_longer(span: float) -> None:
    seconds = normalize({"timeout": span})["timeout"]

    assert seconds >= 1
    # A float of seconds is exact to its last bit only; the nanosecond is the wire's limit.
    assert 0 <= seconds * NANOSECONDS - round(span * NANOSECONDS) < NANOSECONDS


def test_a_tenth_of_a_second_is_exact() -> None:
    assert normalize({"process_in": 0.1}) == {"process_in": 100_000_000}


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize(
    "span", [-1, -0.001, -1e-300, -1e300, timedelta(microseconds=-1), timedelta.min]
)
def test_a_negative_duration_is_refused(name: str, span: object) -> None:
    assert "must not be negative" in refusal(**{name: span})


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("span", [math.nan, math.inf, -math.inf])
def test_a_duration_that_is_not_finite_is_refused(name: str, span: float) -> None:
    assert "must be finite" in refusal(**{name: span})


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("span", [2**63 // NANOSECONDS + 1, 1e10, 1e300, timedelta.max])
def test_a_duration_beyond_gos_is_refused(name: str, span: object) -> None:
    assert "292 years" in refusal(**{name: span})


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("span", [True, "10", b"10", [], object()])
def test_a_duration_of_another_kind_is_refused(name: str, span: object) -> None:
    assert "timedelta or a number of seconds" in refusal(**{name: span})


@pytest.mark.parametrize("span", [0, 0.0, timedelta(0)])
def test_a_lock_that_lives_no_time_is_refused(span: object) -> None:
    assert "more than zero" in refusal(unique=span)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u3000", "\u00a0"])
def test_blank_text_is_refused(name: str, text: str) -> None:
    assert "not blank" in refusal(**{name: text})


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_taken_verbatim(name: str) -> None:
    text = " Größe:{x}\n\0 "

    assert normalize({name: text}) == {name: text}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("text", ["a\ud800", "\udfffa", "\ud83d"])
def test_text_with_a_lone_surrogate_is_refused(name: str, text: str) -> None:
    assert "no valid Unicode" in refusal(**{name: text})


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("text", [1, b"q", True, ["q"]])
def test_text_of_another_kind_is_refused(name: str, text: object) -> None:
    assert "must be a str" in refusal(**{name: text})


@pytest.mark.parametrize("retries", [0, 25, 2**31 - 1])
def test_max_retry_may_be_any_int32_that_is_not_negative(retries: int) -> None:
    assert normalize({"max_retry": retries}) == {"max_retry": retries}


@pytest.mark.parametrize("retries", [-1, 2**31, 2**64])
def test_max_retry_outside_of_int32_is_refused(retries: int) -> None:
    assert "2147483647" in refusal(max_retry=retries)


@pytest.mark.parametrize("retries", [True, 3.0, "3"])
def test_max_retry_of_another_kind_is_refused(retries: object) -> None:
    assert "must be an int" in refusal(max_retry=retries)


@pytest.mark.parametrize("name", ["process_at", "deadline"])
def test_a_naive_datetime_is_refused(name: str) -> None:
    text = refusal(**{name: NAIVE})

    assert "no time zone" in text
    assert "datetime.now(UTC)" in text


@pytest.mark.parametrize("name", ["process_at", "deadline"])
@pytest.mark.parametrize("moment", [1_900_000_000, "2030-01-01", NAIVE.date(), timedelta(1)])
def test_a_moment_of_another_kind_is_refused(name: str, moment: object) -> None:
    assert "must be a datetime" in refusal(**{name: moment})


def test_a_deadline_is_rounded_up_to_a_whole_second() -> None:
    moment = datetime(2030, 1, 1, 0, 0, 0, 1, tzinfo=UTC)

    assert normalize({"deadline": moment}) == {"deadline": 1893456001}


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=-11, minutes=-30)), ZoneInfo("Asia/Kathmandu")]
)
def test_a_moment_is_the_same_in_every_zone(zone: Any) -> None:  # noqa: ANN401
    moment = datetime(2030, 1, 1, 12, 0, 0, 999_999, tzinfo=UTC)

    assert normalize({"process_at": moment.astimezone(zone)}) == {
        "process_at": 1893499200_999_999_000
    }


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_moment_is_exact_to_the_microsecond(moment: datetime) -> None:
    ns = normalize({"process_at": moment})["process_at"]

    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000) == moment
    assert ns % 1000 == 0


def test_none_is_as_good_as_not_given() -> None:
    names = ["queue", "max_retry", "deadline", "unique", "process_in"]

    assert normalize(dict.fromkeys(names)) == {}


@pytest.mark.parametrize("value", [1, None])
def test_an_unknown_option_is_refused_with_a_hint(value: object) -> None:
    text = refusal(max_retries=value)

    assert "unknown option 'max_retries'" in text
    assert "did you mean 'max_retry'?" in text


def test_an_option_like_no_other_is_refused_with_the_list() -> None:
    text = refusal(zzz=1)

    assert "did you mean" not in text
    assert "there are queue, task_id" in text


def test_process_at_and_process_in_exclude_each_other() -> None:
    text = refusal(process_at=datetime(2030, 1, 1, tzinfo=UTC), process_in=1)

    assert "exclude each other" in text


def test_the_calls_options_win_over_the_tasks() -> None:
    merged = merge({"queue": "a", "max_retry": 1}, {"queue": "b", "timeout": 2})

    assert merged == {"queue": "b", "max_retry": 1, "timeout": 2}


def test_the_calls_way_to_say_when_wins_over_the_tasks() -> None:
    assert merge({"process_in": 1}, {"process_at": 2}) == {"process_at": 2}
    assert merge({"process_at": 1}, {"process_in": 2}) == {"process_in": 2}
    assert merge({"process_at": 1}, {"queue": "q"}) == {"process_at": 1, "queue": "q"}


def test_merging_changes_neither_side() -> None:
    ours: Any = {"process_in": 1, "queue": "a"}
    theirs: Any = {"process_at": 2}

    merge(ours, theirs)

    assert ours == {"process_in": 1, "queue": "a"}
    assert theirs == {"process_at": 2}
