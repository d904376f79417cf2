"""A table of a configuration file: its values are checked as they are taken, and every
fault is noted with its place instead of being raised alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import TypeVar

from asynq_py.errors import ConfigError
from asynq_py.options import Duration, check_text, duration_ns
from asynq_py.scheduler.policy import Misfire
from asynq_py.wire.gotext import DurationError, parse_duration

T = TypeVar("T")
#: Takes a key and its value; gives what is meant, or raises ConfigError.
Check = Callable[[str, object], T]


class Table:
    """The keys and values at one place of a file.

    Args:
        values: As the file has them.
        place: What faults begin with: ``task 3 ("daily")``; "" at the top.
        faults: Where they are noted.
    """

    def __init__(self, values: Mapping[object, object], place: str, faults: list[str]) -> None:
        self._values = dict(values)
        self._place = place
        self._faults = faults
        self._known: list[str] = []

    def take(self, name: str, check: Check[T]) -> T | None:
        """The value of a key; None where there is none, or none that can be used."""
        self._known.append(name)
        value = self._values.pop(name, None)
        if value is None:
            return None
        try:
            return check(name, value)
        except ConfigError as error:
            self.fault(str(error))
            return None

    def need(self, name: str, check: Check[T]) -> T | None:
        """As :meth:`take`; that the key is missing is a fault."""
        if self._values.get(name) is None:
            self.fault(f"{name} is missing")
        return self.take(name, check)

    def has(self, name: str) -> bool:
        """Whether a key that was not taken yet is there, be it with no value."""
        return name in self._values

    def end(self) -> None:
        """Notes every key that nobody asked for."""
        for name in self._values:
            # Rarely needed, and slow to import.
            from difflib import get_close_matches

            near = get_close_matches(str(name), self._known, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            self.fault(f'unknown key "{name}"{hint}')

    def fault(self, text: str) -> None:
        """Notes what is wrong here; on one line."""
        text = " ".join(text.splitlines())
        self._faults.append(f"{self._place}: {text}" if self._place else text)


# --- checks ---


def table(name: str, value: object) -> Mapping[object, object]:
    """A table."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} must be a table, not {_shown(value)}")
    return value


def items(name: str, value: object) -> list[object]:
    """A list of anything."""
    if not isinstance(value, list):
        raise ConfigError(f"{name} must be a list, not {_shown(value)}")
    return value


def duration(name: str, value: object) -> Duration:
    """A span that is not negative: a number of seconds, or Go's text for one."""
    if isinstance(value, str):
        try:
            ns = parse_duration(value)
        except DurationError:
            raise ConfigError(_no_duration(name, value)) from None
        value = ns // 10**9 if ns % 10**9 == 0 else ns / 10**9
    elif not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ConfigError(_no_duration(name, value))
    duration_ns(name, value)
    return value


def positive(name: str, value: object) -> Duration:
    """A span of more than zero."""
    span = duration(name, value)
    if duration_ns(name, span) == 0:
        raise ConfigError(f"{name} must be more than zero")
    return span


def number(name: str, value: object) -> float:
    """A number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ConfigError(f"{name} must be a number, not {_shown(value)}")
    return value


def moment(name: str, value: object) -> datetime:
    """A date and time with its offset from UTC, or ISO 8601 text for one."""
    if isinstance(value, str):
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise ConfigError(
            f"{name} must be a moment with its offset from UTC, like 2026-01-31T09:00:00Z or"
            f" 2026-01-31T09:00:00+02:00, not {_shown(value)}"
        )
    return value


def days(name: str, value: object) -> list[date]:
    """A list of dates, or of ISO 8601 texts for them."""
    return [_day(name, day) for day in items(name, value)]


def one_of(*choices: str) -> Check[str]:
    """One of some words."""

    def check(name: str, value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {_shown(value)}")
        return value

    return check


def misfire(name: str, value: object) -> Misfire:
    """A policy by its name, or a table of policy, grace and cap."""
    if not isinstance(value, Mapping):
        return Misfire(check_text(name, value))
    faults: list[str] = []
    fields = Table(value, "", faults)
    policy = fields.need("policy", check_text)
    grace = fields.take("grace", duration)
    cap = fields.take("cap", _whole)
    fields.end()
    if faults:
        raise ConfigError(f"{name}: {'; '.join(faults)}")
    made = Misfire(policy or "skip", grace)
    return made if cap is None else made(grace=grace, cap=cap)


def _whole(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{name} must be a whole number, not {_shown(value)}")
    return value


def _day(name: str, value: object) -> date:
    if isinstance(value, str):
        with suppress(ValueError):
            return date.fromisoformat(value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ConfigError(f"{name} must hold dates like 2026-01-31, not {_shown(value)}")
    return value


def _no_duration(name: str, value: object) -> str:
    return f'{name} must be a number of seconds or text like "1m30s", not {_shown(value)}'


def _shown(value: object) -> str:
    """A value as people wrote it, in short."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return f'"{value}"' if isinstance(value, str) else str(value)
