"""A schedule with a phase, a beginning, an end, and days that are left out. Pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from asynq_py.clock import NANOSECONDS, ceil_s, from_unix_s
from asynq_py.schedule import Schedule

#: How many days that are left out in a row are looked at before it is "never".
_MOST_DAYS = 4000


class Calendar:
    """Answers as its schedule does, within its bounds.

    ``@every`` keeps its phase: its ticks are whole delays away from an anchor, which is any
    of its ticks, or the beginning. Without an anchor it counts from when it is asked, as in Go.
    """

    __slots__ = ("_end_s", "_exclude", "_start_s", "anchor_s", "schedule")

    def __init__(
        self,
        schedule: Schedule,
        start_ns: int | None = None,
        end_ns: int | None = None,
        exclude: frozenset[date] = frozenset(),
    ) -> None:
        self.schedule = schedule
        self._start_s = None if start_ns is None else ceil_s(start_ns)
        self._end_s = None if end_ns is None else end_ns // NANOSECONDS
        self._exclude = exclude
        self.anchor_s = self._start_s

    def next_s(self, after_s: int) -> int | None:
        """The first tick after a second, Unix seconds; None: never again."""
        if self._start_s is not None:
            after_s = max(after_s, self._start_s - 1)
        for _ in range(_MOST_DAYS):
            tick = self._next_s(after_s)
            if tick is None or (self._end_s is not None and tick > self._end_s):
                return None
            if not self._exclude:
                return tick
            day = self._day(tick)
            if day not in self._exclude:
                return tick
            after_s = max(tick, self._begin_of(day + timedelta(days=1)) - 1)
        return None

    def _next_s(self, after_s: int) -> int | None:
        delay, anchor = self.schedule.every_s, self.anchor_s
        if delay is None or anchor is None:
            return self.schedule.next_s(after_s)
        return self.schedule.next_s(after_s - (after_s - anchor) % delay)

    def _day(self, tick: int) -> date:
        return from_unix_s(tick).astimezone(ZoneInfo(self.schedule.location)).date()

    def _begin_of(self, day: date) -> int:
        zone = ZoneInfo(self.schedule.location)
        return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())
