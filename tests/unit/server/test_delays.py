"""How long a failed task waits for its retry."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

from asynq_py import (
    ConfigError,
    Task,
    default_retry_delay,
    delay_by_error,
    exponential_delay,
    fixed_delay,
)

TASK = Task("t")
ERROR = ValueError("x")


@pytest.mark.parametrize(
    ("retried", "least", "most"),
    [(0, 15, 44), (1, 16, 74), (2, 31, 118), (10, 10_015, 10_334), (24, 331_791, 332_516)],
)
def test_the_default_is_asynqs(retried: int, least: int, most: int) -> None:
    delays = [default_retry_delay(retried, ERROR, TASK) for _ in range(3000)]

    assert (min(delays), max(delays)) == (least, most)
    assert all((delay - least) % (retried + 1) == 0 for delay in delays)


def test_a_fixed_one_is_always_the_same() -> None:
    rule = fixed_delay(timedelta(minutes=2))

    assert [rule(retried, ERROR, TASK) for retried in (0, 1, 25)] == [120, 120, 120]


def test_an_exponential_one_grows_up_to_its_cap() -> None:
    rule = exponential_delay(2, factor=3, cap=100, jitter=0)

    assert [rule(retried, ERROR, TASK) for retried in range(6)] == [2, 6, 18, 54, 100, 100]
    assert rule(10_000, ERROR, TASK) == 100


def test_jitter_takes_off_a_part_by_chance() -> None:
    rule = exponential_delay(100, jitter=0.5)
    random.seed(1)
    delays = [rule(0, ERROR, TASK) for _ in range(1000)]

    assert all(50 <= float(str(delay)) <= 100 for delay in delays)
    assert len(set(delays)) > 900


def test_the_nearest_base_class_of_an_error_counts() -> None:
    rule = delay_by_error({OSError: 1, ConnectionError: 2, Exception: fixed_delay(9)})

    errors = [OSError(), ConnectionError(), ConnectionResetError(), PermissionError(), KeyError()]
    assert [rule(0, error, TASK) for error in errors] == [1, 2, 2, 1, 9]


def test_other_errors_wait_as_usual_or_as_said() -> None:
    assert delay_by_error({OSError: 1}, fixed_delay(7))(0, ERROR, TASK) == 7
    assert 15 <= float(str(delay_by_error({OSError: 1})(0, ERROR, TASK))) <= 44


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: fixed_delay(-1), "delay must not be negative, but is -1"),
        (lambda: fixed_delay("x"), "delay must be a timedelta or a number of seconds, not str"),
        (lambda: exponential_delay(-1), "base must not be negative"),
        (lambda: exponential_delay(cap=-1), "cap must not be negative"),
        (lambda: exponential_delay(factor=0.5), "factor must be 1 or more, and jitter from 0 to 1"),
        (lambda: exponential_delay(jitter=1.1), "factor must be 1 or more, and jitter from 0 to 1"),
        (lambda: exponential_delay(factor=float("nan")), "factor must be 1 or more"),
        (lambda: delay_by_error({OSError: -1}), "delay must not be negative"),
    ],
)
def test_values_that_can_never_work_are_refused(make: Any, reason: str) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match=reason):
        make()
