"""The options of a task, as a user gives them and as they are sent.

Source: asynq v0.26.0, client.go. Unlike Go, nothing is cut to zero: durations and moments
are rounded up to whole seconds, so nothing runs early and no lock is shorter than asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias, TypedDict, cast

from asynq_py.clock import NANOSECONDS, ceil_s, unix_ns
from asynq_py.errors import ConfigError

#: A span of time: a timedelta, or a number of seconds.
Duration: TypeAlias = timedelta | int | float

DEFAULT_QUEUE = "default"
DEFAULT_MAX_RETRY = 25
#: Seconds; in force where neither a timeout nor a deadline is given.
DEFAULT_TIMEOUT_S = 1800

_INT32_MAX = 2**31 - 1
# Go keeps durations in int64 nanoseconds.
_DURATION_MAX_NS = 2**63 - 1
_MICROSECOND = timedelta(microseconds=1)


class EnqueueOptions(TypedDict, total=False):
    """How a task is to be run; None is as good as not given."""

    #: The queue; any text that is not blank.
    queue: str | None
    #: The task's ID, unique in its queue; a random UUID where none is given.
    task_id: str | None
    #: How often a failed task is tried again; 25.
    max_retry: int | None
    #: How long one run may take; 0 is "not set": 30 minutes, unless there is a deadline.
    timeout: Duration | None
    #: When the task must be done; a moment of the past fails it at once.
    deadline: datetime | None
    #: How long no other task of the same queue, type and payload may be enqueued.
    unique: Duration | None
    #: When to run; a moment of the past means now.
    process_at: datetime | None
    #: When to run, counted from now.
    process_in: Duration | None
    #: How long the task is kept after it succeeded; 0 is "not at all".
    retention: Duration | None
    #: The group whose tasks a server aggregates into one.
    group: str | None


class Normalized(TypedDict, total=False):
    """Options that were checked, in the units they are computed with."""

    queue: str
    task_id: str
    max_retry: int
    timeout: int  # whole seconds
    deadline: int  # Unix seconds
    unique: int  # nanoseconds
    process_at: int  # Unix nanoseconds
    process_in: int  # nanoseconds
    retention: int  # whole seconds
    group: str


def normalize(options: Mapping[str, object]) -> Normalized:
    """Checks options.

    Raises:
        ConfigError: An option is unknown or has a value that can never work.
    """
    normalized: dict[str, str | int] = {}
    for name, value in options.items():
        check = _CHECKS.get(name)
        if check is None:
            raise ConfigError(_unknown(name))
        if value is not None:
            normalized[name] = check(name, value)
    if "process_at" in normalized and "process_in" in normalized:
        raise ConfigError("process_at and process_in exclude each other: give one of them")
    return cast(Normalized, normalized)


def merge(defaults: Normalized, given: Normalized) -> Normalized:
    """The options of a task overlaid with those of the call."""
    if not given:
        return defaults
    if not defaults:
        return given
    merged = defaults | given
    # They say the same thing in two ways; the call's own way wins.
    if "process_at" in given:
        merged.pop("process_in", None)
    elif "process_in" in given:
        merged.pop("process_at", None)
    return merged


def check_text(name: str, value: object) -> str:
    """Text that can be stored and is not blank."""
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a str, not {type(value).__name__}")
    if not value or value.isspace():
        raise ConfigError(f"{name} must contain one or more characters that are not blank")
    return check_encodable(name, value)


def check_encodable(name: str, value: str) -> str:
    """Text that has a UTF-8 form."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"{name} is no valid Unicode: {value[error.start]!r} at index {error.start}"
                " has no UTF-8 form"
            ) from None
    return value


def duration_ns(name: str, value: object) -> int:
    """Nanoseconds of a span that is not negative."""
    if isinstance(value, timedelta):
        ns = value // _MICROSECOND * 1000
    elif isinstance(value, int) and not isinstance(value, bool):
        ns = value * NANOSECONDS
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigError(f"{name} must be finite, not {value}")
        # To the nearest: 0.1 s is 100 ms and not a hair more. Cut, lest the product overflow.
        ns = round(min(max(value, -1.0), 1e10) * NANOSECONDS)
        if ns == 0 and value:  # less than a nanosecond is not nothing
            ns = 1 if value > 0 else -1
    else:
        raise ConfigError(
            f"{name} must be a timedelta or a number of seconds, not {type(value).__name__}"
        )
    if ns < 0:
        raise ConfigError(f"{name} must not be negative, but is {value}")
    if ns > _DURATION_MAX_NS:
        raise ConfigError(f"{name} must be less than 292 years (Go's limit), but is {value}")
    return ns


def moment_ns(name: str, value: object) -> int:
    """Unix nanoseconds of an aware datetime."""
    if not isinstance(value, datetime):
        raise ConfigError(f"{name} must be a datetime, not {type(value).__name__}")
    if value.utcoffset() is None:
        raise ConfigError(
            f"{name} must be an aware datetime, but {value.isoformat()} has no time zone;"
            " use datetime.now(UTC), or tzinfo=ZoneInfo(...)"
        )
    return unix_ns(value)


def _duration_s(name: str, value: object) -> int:
    return ceil_s(duration_ns(name, value))


def _deadline_s(name: str, value: object) -> int:
    return ceil_s(moment_ns(name, value))


def _lock_ns(name: str, value: object) -> int:
    ns = duration_ns(name, value)
    if ns == 0:
        raise ConfigError(f"{name} must be more than zero: it is how long the lock is held")
    return ns


def _max_retry(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{name} must be an int, not {type(value).__name__}")
    if not 0 <= value <= _INT32_MAX:
        raise ConfigError(f"{name} must be from 0 to {_INT32_MAX}, but is {value}")
    return value


_CHECKS: dict[str, Callable[[str, object], str | int]] = {
    "queue": check_text,
    "task_id": check_text,
    "max_retry": _max_retry,
    "timeout": _duration_s,
    "deadline": _deadline_s,
    "unique": _lock_ns,
    "process_at": moment_ns,
    "process_in": duration_ns,
    "retention": _duration_s,
    "group": check_text,
}


def _unknown(name: str) -> str:
    # Rarely needed, and slow to import.
    from difflib import get_close_matches

    near = get_close_matches(name, _CHECKS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown option {name!r}{hint} (there are {', '.join(_CHECKS)})"
