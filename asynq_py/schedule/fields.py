"""The five fields of a cron spec as bit sets, and the search in them.

This is calendar only: local times, no zones, no offsets.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from asynq_py.schedule.zone import DAY, MINUTE

EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
ALL_HOURS = (1 << 24) - 1
ALL_DAYS = (1 << 32) - 2
ALL_MONTHS = (1 << 13) - 2
ALL_WEEKDAYS = (1 << 7) - 1

_LONGEST = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EVERY_WEEK = sum(1 << 7 * week for week in range(6))


@lru_cache(maxsize=4096)
def _minutes_of_day(hours: int, minutes: int) -> int:
    times = 0
    for hour in range(24):
        if hours >> hour & 1:
            times |= minutes << 60 * hour
    return times


def lowest(bits: int) -> int:
    """Returns the index of the lowest bit that is set; ``bits`` is not 0."""
    return (bits & -bits).bit_length() - 1


class Fields:
    """What a spec asks for. Immutable.

    Attributes:
        minutes, hours, days, months, weekdays: Bit sets; bit n is the value n (Sunday is 0).
        both: Whether a day must match day of month *and* day of week, not one of them.
        times: The minutes of a day that match, as a bit set; bit n is n minutes after midnight.
        possible: Whether any date and time matches at all.
    """

    __slots__ = (
        "_all_days", "_first_time", "_weekday_rows", "both", "days", "hours", "minutes",
        "months", "possible", "times", "weekdays",
    )  # fmt: skip

    def __init__(
        self, minutes: int, hours: int, days: int, months: int, weekdays: int, *, both: bool
    ) -> None:
        self.minutes = minutes
        self.hours = hours
        self.days = days
        self.months = months
        self.weekdays = weekdays
        self.both = both
        self.times = _minutes_of_day(hours, minutes)
        self._first_time = lowest(self.times) * MINUTE if self.times else 0
        self._weekday_rows = weekdays * _EVERY_WEEK
        full_days, full_week = days == ALL_DAYS, weekdays == ALL_WEEKDAYS
        self._all_days = months == ALL_MONTHS and (
            full_days and full_week if both else full_days or full_week
        )
        dated = any(
            months >> month & 1 and days & ((2 << _LONGEST[month]) - 1) for month in range(1, 13)
        )
        some_day = dated and weekdays if both else dated or (months and weekdays)
        self.possible = bool(self.times and some_day)

    @property
    def any_hour(self) -> bool:
        """Whether every hour of the day matches."""
        return self.hours == ALL_HOURS

    def day_matches(self, day: int, day_of_month: int) -> bool:
        """Tells whether a day fits the two day fields; its month is not looked at.

        Args:
            day: Days since 1970-01-01.
            day_of_month: The same day's number in its month.
        """
        in_month = self.days >> day_of_month & 1
        in_week = self.weekdays >> (day + 4) % 7 & 1
        return bool(in_month and in_week if self.both else in_month or in_week)

    def first(self, local: int, last_year: int) -> int | None:
        """Returns the first matching local time at or after ``local``, in seconds.

        None when there is none up to the end of ``last_year``.
        """
        if not self.possible:
            return None
        day, second = divmod(local, DAY)
        minute = (second + MINUTE - 1) // MINUTE  # 1440 from 23:59:01 on
        if self._all_days:
            later = self.times >> minute
            if later:
                return day * DAY + (minute + lowest(later)) * MINUTE
            return (day + 1) * DAY + self._first_time
        today = date.fromordinal(day + EPOCH_ORDINAL)
        if self.months >> today.month & 1 and self.day_matches(day, today.day):
            later = self.times >> minute
            if later:
                return day * DAY + (minute + lowest(later)) * MINUTE
        next_day = self._day_after(today, last_year)
        return None if next_day is None else next_day * DAY + self._first_time

    def _day_after(self, today: date, last_year: int) -> int | None:
        year, month, past = today.year, today.month, today.day + 1
        last_year = min(last_year, date.max.year)
        while year <= last_year:
            if self.months >> month & 1:
                first = date(year, month, 1).toordinal() - EPOCH_ORDINAL
                left = self._days_of(year, month, first) >> past
                if left:
                    return first + past + lowest(left) - 1
            past = 1
            month += 1
            if month == 13:
                year, month = year + 1, 1
        return None

    def _days_of(self, year: int, month: int, first: int) -> int:
        """Returns the days of a month that match, as a bit set; ``first`` is its first day."""
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        length = 28 if month == 2 and not leap else _LONGEST[month]
        by_week = self._weekday_rows >> (first + 4) % 7 << 1
        matching = self.days & by_week if self.both else self.days | by_week
        return matching & ((2 << length) - 2)
