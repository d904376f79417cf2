"""``dst="once"``: every local time counts exactly once, whatever the clock does."""

from __future__ import annotations

from datetime import date

from asynq_py.schedule.fields import EPOCH_ORDINAL
from asynq_py.schedule.instants import Calendar, each_showing, first_reaching
from asynq_py.schedule.zone import DAY, FIRST_S, HORIZON_S, Zone


class EachShowing:
    """Due whenever the local clock shows a match: not in a gap, twice when it is repeated."""

    __slots__ = ("calendar", "years", "zone")

    def __init__(self, calendar: Calendar, zone: Zone, years: int) -> None:
        self.calendar = calendar
        self.zone = zone
        self.years = years

    def next_s(self, after_s: int) -> int | None:
        """Returns the first time due after ``after_s``, or None within ``years`` years."""
        if after_s >= HORIZON_S:
            return None
        return each_showing(self.calendar, self.zone, after_s, self._last_year(after_s))

    def _last_year(self, after_s: int) -> int:
        start = max(after_s + 1, FIRST_S)
        local_day = (start + self.zone.offset(start)) // DAY
        return date.fromordinal(local_day + EPOCH_ORDINAL).year + self.years


class Once(EachShowing):
    """Due when the local clock first reaches a match: right after a gap, once when repeated.

    A calendar that matches every hour of the day describes an interval, not a
    time of day: it is due at each showing, so that ``*/15`` keeps its fifteen
    minutes through a repeated hour and adds nothing after a gap.
    """

    __slots__ = ()

    def next_s(self, after_s: int) -> int | None:
        """Returns the first time due after ``after_s``, or None within ``years`` years."""
        if self.calendar.any_hour:
            return super().next_s(after_s)
        if after_s >= HORIZON_S:
            return None
        return first_reaching(self.calendar, self.zone, after_s, self._last_year(after_s))
