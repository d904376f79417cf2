"""How long a failed task waits for its retry."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import TypeAlias

from asynq_py.clock import NANOSECONDS
from asynq_py.errors import ConfigError
from asynq_py.options import Duration, duration_ns
from asynq_py.task import Task

#: Told how often the task was retried before, what the handler raised, and the task.
RetryDelay: TypeAlias = Callable[[int, BaseException, Task], Duration]


def default_retry_delay(retried: int, error: BaseException, task: Task) -> float:
    """Asynq's own: 15 s and more at first, hours after ten retries; with jitter.

    Source: asynq v0.26.0, DefaultRetryDelayFunc.
    """
    return float(retried**4 + 15 + random.randint(0, 29) * (retried + 1))


def fixed_delay(delay: Duration) -> RetryDelay:
    """The same delay for each retry.

    Raises:
        ConfigError: It is no duration, or negative.
    """
    seconds = duration_ns("delay", delay) / NANOSECONDS
    return lambda retried, error, task: seconds


def exponential_delay(
    base: Duration = 1, *, factor: float = 2.0, cap: Duration = 3600, jitter: float = 0.5
) -> RetryDelay:
    """Delays that grow: ``base``, ``base * factor``, ``base * factor**2`` ..., never over ``cap``.

    Args:
        base: Before the first retry.
        factor: By which each next one is longer, 1 or more.
        cap: The longest one.
        jitter: The part of a delay, 0 to 1, that chance may take off, lest tasks that failed
            together come back together.

    Raises:
        ConfigError: A value can never work.
    """
    base_s = duration_ns("base", base) / NANOSECONDS
    cap_s = duration_ns("cap", cap) / NANOSECONDS
    if not factor >= 1 or not 0 <= jitter <= 1:
        raise ConfigError("factor must be 1 or more, and jitter from 0 to 1")

    def delay(retried: int, error: BaseException, task: Task) -> float:
        try:
            longest = min(cap_s, base_s * factor**retried)
        except OverflowError:
            longest = cap_s
        return longest * (1 - jitter * random.random())

    return delay


def delay_by_error(
    delays: Mapping[type[BaseException], Duration | RetryDelay],
    otherwise: RetryDelay = default_retry_delay,
) -> RetryDelay:
    """A delay, or a rule, for each kind of error; that of the nearest base class counts.

    Raises:
        ConfigError: A delay is none.
    """
    rules = {
        kind: delay if callable(delay) else fixed_delay(delay) for kind, delay in delays.items()
    }

    def rule(retried: int, error: BaseException, task: Task) -> Duration:
        for kind in type(error).__mro__:
            if kind in rules:
                return rules[kind](retried, error, task)
        return otherwise(retried, error, task)

    return rule
