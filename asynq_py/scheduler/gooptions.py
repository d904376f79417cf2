"""Options as Go prints them, for the entries its tools list.

Source: asynq v0.26.0, client.go: each option's String method.
"""

from __future__ import annotations

from collections.abc import Callable

from asynq_py.clock import NANOSECONDS, from_unix_ns, from_unix_s
from asynq_py.options import Normalized
from asynq_py.wire.gotext import duration, quote, unix_date

_FORMS: dict[str, Callable[[object], str]] = {
    "max_retry": lambda v: f"MaxRetry({v})",
    "queue": lambda v: f"Queue({quote(str(v))})",
    "timeout": lambda v: f"Timeout({_seconds(v)})",
    "deadline": lambda v: f"Deadline({unix_date(from_unix_s(_int(v)))})",
    "unique": lambda v: f"Unique({duration(_int(v))})",
    "process_at": lambda v: f"ProcessAt({unix_date(from_unix_ns(_int(v)))})",
    "process_in": lambda v: f"ProcessIn({duration(_int(v))})",
    "task_id": lambda v: f"TaskID({quote(str(v))})",
    "retention": lambda v: f"Retention({_seconds(v)})",
    "group": lambda v: f"Group({quote(str(v))})",
}


def option_strings(options: Normalized) -> list[str]:
    """The options in the order they were given, as Go's tools read them."""
    return [_FORMS[name](value) for name, value in options.items()]


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _seconds(value: object) -> str:
    return duration(_int(value) * NANOSECONDS)
