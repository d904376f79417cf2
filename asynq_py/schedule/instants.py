"""From matching local times to instants, with the two plain ways through clock changes."""

from __future__ import annotations

from typing import Protocol

from asynq_py.schedule.zone import FIRST_S, HORIZON_S, Zone


class Calendar(Protocol):
    """Knows which local times match."""

    @property
    def any_hour(self) -> bool:
        """Whether every hour of the day matches."""

    def first(self, local: int, last_year: int) -> int | None:
        """Returns the first matching local time at or after ``local``, or None."""


class Rule(Protocol):
    """Says when a schedule is due, in Unix seconds."""

    def next_s(self, after_s: int) -> int | None:
        """Returns the first time due after ``after_s``, or None."""


def each_showing(calendar: Calendar, zone: Zone, after_s: int, last_year: int) -> int | None:
    """Returns the first instant after ``after_s`` at which the local clock shows a match.

    A skipped local time is never shown, a repeated one is shown twice.
    """
    for span in zone.spans(max(after_s + 1, FIRST_S)):
        local = calendar.first(span.start + span.offset, last_year)
        if local is None:
            return None
        due = local - span.offset
        if due < span.end:
            return due if due < HORIZON_S else None
    return None


def first_reaching(calendar: Calendar, zone: Zone, after_s: int, last_year: int) -> int | None:
    """Returns the first instant after ``after_s`` at which the local clock reaches a match.

    The clock reaches a local time when it first shows that time *or a later one*:
    right after the gap for a skipped time, the first time round for a repeated one.
    Skipped times of one gap are reached together and make one instant.
    """
    local: int | None = None
    for span in zone.spans(max(after_s, FIRST_S)):
        if local is None:
            # All local times up to here have been reached by now.
            local = calendar.first(max(span.start + span.offset + 1, span.peak), last_year)
            if local is None:
                return None
        if local < span.end + span.offset:
            due = max(span.start, local - span.offset)
            return due if due < HORIZON_S else None
    return None
