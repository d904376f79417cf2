"""Times of a five-field spec exactly as robfig/cron finds them, by a shorter way where possible.

Away from clock changes, robfig's search ends at the first matching local time.
That is looked up in bit sets; the search itself is only run when a change comes near.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import date

from asynq_py.schedule.fields import ALL_MONTHS, EPOCH_ORDINAL, Fields
from asynq_py.schedule.instants import each_showing
from asynq_py.schedule.robfig import Endless, search
from asynq_py.schedule.zone import DAY, FIRST_S, HORIZON_S, MINUTE, Table, Zone

_YEARS = 5


class Cron:
    """Due as robfig/cron v3.0.1 says, oddities around clock changes included.

    Two answers of robfig's are of no use, and are replaced by the next instant at
    which the local clock shows a match: no answer at all (its search can run in
    circles around a local day that does not exist) and a time that is not after
    the one asked about (around a change that repeats midnight, for example).
    """

    __slots__ = ("fields", "zone")

    def __init__(self, fields: Fields, zone: Zone) -> None:
        self.fields = fields
        self.zone = zone

    def next_s(self, after_s: int) -> int | None:
        """Returns the first time due after ``after_s``, or None.

        None when nothing matches up to the end of the fifth year after this one.
        """
        fields = self.fields
        start = max(after_s + 1, FIRST_S)
        if start >= HORIZON_S or not fields.possible:
            return None
        table = self.zone.table(start)
        i = bisect_right(table.changes, start)
        offset = table.offsets[i]
        local = start + offset
        last_year = date.fromordinal(local // DAY + EPOCH_ORDINAL).year + _YEARS
        match = fields.first(local, last_year)
        if match is not None and local >= table.quiet_from[i] and offset % MINUTE == 0:
            if match < table.quiet_until[i]:
                j = i
            else:
                j = _quiet_span(table, match) if local < table.quiet_until[i] else -1
            if (
                j >= 0
                and table.rough[j] == table.rough[i]
                and (fields.months == ALL_MONTHS or self._month_begins_well(table, i, local))
            ):
                due = match - table.offsets[j]
                return due if due < HORIZON_S else None
        return self._search(start, last_year)

    def _month_begins_well(self, table: Table, i: int, local: int) -> bool:
        """Whether robfig's jump to the start of the month meets no odd midnight, or is not made."""
        day = local // DAY
        today = date.fromordinal(day + EPOCH_ORDINAL)
        if self.fields.months >> today.month & 1:
            return True
        first = (day - today.day + 1) * DAY
        return table.rough[bisect_right(table.quiet_from, first) - 1] == table.rough[i]

    def _search(self, start: int, last_year: int) -> int | None:
        try:
            due = search(self.fields, self.zone, start, last_year)
        except Endless:
            due = FIRST_S - 1
        if due is not None and due < start:
            due = each_showing(self.fields, self.zone, start - 1, last_year)
        return due


def _quiet_span(table: Table, local: int) -> int:
    """Returns the span in which a local time lies on a quiet day with even minutes, or -1."""
    j = bisect_right(table.quiet_from, local) - 1
    return j if local < table.quiet_until[j] and table.offsets[j] % MINUTE == 0 else -1
