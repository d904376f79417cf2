"""robfig/cron's search for the next time, step by step.

The search moves an instant forward field by field, month first. A field that
matched is not looked at again when a later field moves, unless that field wraps
round, which starts the search over. Around clock changes this gives results
that no calendar would, and they are what asynq does.

Source: robfig/cron v3.0.1, SpecSchedule.Next, and Go's time.Date.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date
from typing import NamedTuple

from asynq_py.schedule.fields import EPOCH_ORDINAL, Fields
from asynq_py.schedule.zone import DAY, HORIZON_S, HOUR, MINUTE, Zone

# Without a circle these loops end at the next January and at the next first of a month.
_MOST_MONTHS = 24
_MOST_DAYS = 62


class Endless(Exception):
    """The search runs in circles: robfig never returns."""


class _Wall(NamedTuple):
    """What the local clock shows; ``day`` counts from 1970-01-01, ``second`` from midnight."""

    date: date
    day: int
    second: int


def search(fields: Fields, zone: Zone, start: int, last_year: int) -> int | None:
    """Returns what robfig's search finds from ``start`` on.

    Args:
        fields: What to find; at least one date and time is possible.
        zone: Where.
        start: The instant after the one asked about.
        last_year: The last local year to look at: five after that of ``start``.

    Returns:
        An instant, which may lie before ``start``; or None when the search gives up.

    Raises:
        Endless: The search would never return.
    """
    return _Search(fields, zone, start).run(last_year)


class _Search:
    """The moving instant ``at``, and whether it has been moved yet."""

    def __init__(self, fields: Fields, zone: Zone, start: int) -> None:
        self.fields = fields
        self.zone = zone
        self.table = zone.table(start)
        self.at = start
        self.moved = False

    def run(self, last_year: int) -> int | None:
        # Every start-over but the first happens after a move, so `at` is all its state.
        seen: set[int] = set()
        while self.at < HORIZON_S and self.wall().date.year <= last_year:
            if self.month() and self.day() and self.hour() and self.minute() and self.second():
                return self.at if self.at < HORIZON_S else None
            if self.at in seen:
                raise Endless
            seen.add(self.at)
        return None

    # Each step moves on until its field matches and returns True, or False to start over.

    def month(self) -> bool:
        for _ in range(_MOST_MONTHS):
            wall = self.wall()
            if self.fields.months >> wall.date.month & 1:
                return True
            if not self.moved:
                wall = self.to(wall.date.year, wall.date.month, 1, 0)
            wall = self.to(wall.date.year, wall.date.month + 1, wall.date.day, wall.second)
            if wall.date.month == 1 or self.at >= HORIZON_S:
                return False
        raise Endless

    def day(self) -> bool:
        for _ in range(_MOST_DAYS):
            wall = self.wall()
            today = wall.date
            if self.fields.day_matches(wall.day, today.day):
                return True
            if not self.moved:
                wall = self.to(today.year, today.month, today.day, 0)
                today = wall.date
            wall = self.to(today.year, today.month, today.day + 1, wall.second)
            hour = wall.second // HOUR
            if hour:  # midnight is skipped on that day
                self.at += (24 - hour if hour > 12 else -hour) * HOUR
                wall = self.wall()
            if wall.date.day == 1 or self.at >= HORIZON_S:
                return False
        raise Endless

    def hour(self) -> bool:
        while True:
            wall = self.wall()
            hour = wall.second // HOUR
            if self.fields.hours >> hour & 1:
                return True
            if not self.moved:
                self.to(wall.date.year, wall.date.month, wall.date.day, hour * HOUR)
            self.at += HOUR
            if self.wall().second // HOUR == 0:
                return False

    def minute(self) -> bool:
        while True:
            minute = self.wall().second // MINUTE % 60
            if self.fields.minutes >> minute & 1:
                return True
            if not self.moved:
                self.moved = True
                self.at -= self.at % MINUTE
            self.at += MINUTE
            if self.wall().second // MINUTE % 60 == 0:
                return False

    def second(self) -> bool:
        if self.wall().second % MINUTE == 0:
            return True
        self.moved = True
        while self.wall().second % MINUTE:
            self.at += 1
        return False

    def wall(self) -> _Wall:
        local = min(self.at + self.offset(self.at), HORIZON_S)
        day, second = divmod(local, DAY)
        return _Wall(date.fromordinal(day + EPOCH_ORDINAL), day, second)

    def to(self, year: int, month: int, day: int, second: int) -> _Wall:
        """Moves to a local time, month and day possibly one too large, as Go's time.Date does."""
        self.moved = True
        if month > 12:
            year, month = year + 1, month - 12
        if year > date.max.year:
            self.at = HORIZON_S
            return self.wall()
        first = date(year, month, 1).toordinal() - EPOCH_ORDINAL
        local = (first + day - 1) * DAY + second
        # For a skipped or repeated local time this takes one of the two offsets.
        self.at = local - self.offset(local - self.offset(local))
        return self.wall()

    def offset(self, instant: int) -> int:
        table = self.table
        if table.start <= instant < table.end:
            return table.offsets[bisect_right(table.changes, instant)]
        return self.zone.offset(instant)
