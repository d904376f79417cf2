"""What users hold: a schedule that answers when it is due next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asynq_py.errors import ConfigError
from asynq_py.schedule.every import Every
from asynq_py.schedule.instants import Rule
from asynq_py.schedule.zone import DAY, EPOCH, Zone


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a cron spec is due. Made by `parse_schedule`; immutable, comparable by its definition.

    Attributes:
        spec: The text, as given.
        location: Name of the time zone in use; a prefix in the spec decides before the argument.
        dialect: The syntax of the spec, "asynq" or "extended".
        dst: The rule for clock changes, "asynq" or "once".
    """

    spec: str
    location: str
    dialect: str
    dst: str
    _rule: Rule = field(repr=False, compare=False)
    _zone: Zone = field(repr=False, compare=False)

    @property
    def every_s(self) -> int | None:
        """The distance of ``@every`` in seconds; None for a schedule that is no distance."""
        return self._rule.delay if isinstance(self._rule, Every) else None

    def next(self, after: datetime) -> datetime | None:
        """Returns the first time due after ``after``, or None when it is never due again.

        Args:
            after: Aware; its fraction of a second is cut off first, as in Go.

        Returns:
            An aware datetime in the schedule's zone, on a whole second.

        Raises:
            ConfigError: ``after`` is naive.
        """
        due = self._rule.next_s(_unix_s(after))
        return None if due is None else self._zone.datetime(due)

    def next_s(self, after_s: int) -> int | None:
        """Returns the same as `next` in Unix seconds: strictly after ``after_s``, or None."""
        return self._rule.next_s(after_s)

    def upcoming(self, after: datetime, n: int) -> list[datetime]:
        """Returns the next ``n`` times due after ``after``; fewer when there are no more.

        Raises:
            ConfigError: ``after`` is naive.
        """
        times: list[datetime] = []
        due: int | None = _unix_s(after)
        while len(times) < n and due is not None:
            due = self._rule.next_s(due)
            if due is not None:
                times.append(self._zone.datetime(due))
        return times

    def __reduce__(self) -> tuple[Callable[..., Schedule], tuple[Any, ...]]:
        return _restore, (self.spec, self.location, self.dialect, self.dst)


def _unix_s(moment: datetime) -> int:
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise ConfigError(f"after={moment!r}: needs an aware datetime")
    since = moment - EPOCH
    return since.days * DAY + since.seconds


def _restore(spec: str, location: str, dialect: str, dst: str) -> Schedule:
    from asynq_py.schedule.parse import parse_schedule

    return parse_schedule(spec, location, dialect=dialect, dst=dst)
