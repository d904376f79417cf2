"""The next runs of a schedule, and what clock changes do to them. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise, takewhile

from asynq_py.clock import from_unix_s
from asynq_py.schedule import Schedule, parse_schedule
from asynq_py.schedule.zone import Zone, load_zone

#: The most skipped times of one change that are counted.
MOST_SKIPPED = 1500


@dataclass(frozen=True, slots=True)
class Line:
    """A run, or local times at which the spec would run if they existed."""

    #: Unix seconds of the run, or of the change that skips the times.
    at_s: int
    #: What the zone's clock shows, or would: seconds as if it were UTC.
    local_s: int
    #: How many times are skipped; 0 for a run.
    skipped: int
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Change:
    """The clocks change at an instant, from one offset to another, seconds."""

    at_s: int
    before: int
    after: int

    @property
    def how(self) -> str:
        """In words: clocks go forward from 02:00 to 03:00."""
        old_s, new_s = self.at_s + self.before, self.at_s + self.after
        old, new = _clock(old_s), _clock(new_s)
        if old_s // 86400 != new_s // 86400:
            old = f"{from_unix_s(old_s).date()} {old}"
            new = f"{from_unix_s(new_s).date()} {new}"
        return f"clocks go {'forward' if new_s > old_s else 'back'} from {old} to {new}"


def upcoming(schedule: Schedule, after: datetime, n: int) -> list[Line]:
    """The next ``n`` runs after a moment, and the times that are skipped on the way."""
    zone = load_zone(schedule.location)
    plain = _without_zone(schedule)
    start_s = int(after.timestamp())
    runs = [int(run.timestamp()) for run in schedule.upcoming(after, n)]
    changes = list(_changes(zone, start_s, runs[-1])) if runs else []
    lines = []
    offset = zone.offset(start_s)
    for at_s in runs:
        line = Line(at_s, at_s + zone.offset(at_s), 0)
        if zone.offset(at_s) != offset:
            offset = zone.offset(at_s)
            line.remarks.append(f"from here on UTC{_offset(offset)}")
        if plain is not None:
            line.remarks[:0] = _remarks(line, schedule, plain, changes)
        lines.append(line)
    if plain is not None:
        lines += (line for change in changes for line in _skipped(change, plain, runs))
    return sorted(lines, key=lambda line: (line.at_s, line.skipped == 0))


def local_text(line: Line) -> str:
    """What the clock shows, in ISO 8601 without a zone."""
    return from_unix_s(line.local_s).replace(tzinfo=None).isoformat()


def zone_now(location: str, at: datetime) -> str:
    """A zone at a moment, for people: "CEST, UTC+02:00"; some have no name, "UTC+05:45"."""
    there = at.astimezone(load_zone(location).tz)
    offset = _offset(int((there.utcoffset() or timedelta()).total_seconds()))
    name = there.tzname() or ""
    return f"{name}, UTC{offset}" if name.isalpha() and name != "UTC" else f"UTC{offset}"


def _without_zone(schedule: Schedule) -> Schedule | None:
    """The same on a clock that never changes; None if it does not follow a clock."""
    spec = schedule.spec
    if spec.startswith(("TZ=", "CRON_TZ=")):
        spec = spec.split(" ", 1)[1].strip()
    if spec.startswith("@every"):
        return None
    return parse_schedule(spec, "UTC", dialect=schedule.dialect)


def _changes(zone: Zone, after_s: int, last_s: int) -> Iterator[_Change]:
    # A change behind the last run can still be what repeats it.
    spans = list(takewhile(lambda span: span.start <= last_s + 86400, zone.spans(after_s)))
    for before, span in pairwise(spans):
        yield _Change(span.start, before.offset, span.offset)


def _is_due(schedule: Schedule, at_s: int) -> bool:
    return schedule.next_s(at_s - 1) == at_s


def _remarks(
    run: Line, schedule: Schedule, plain: Schedule, changes: list[_Change]
) -> Iterator[str]:
    """What a change does to a run that is there."""
    shown = _clock(run.local_s)
    for change in changes:
        twice_s = change.before - change.after
        if twice_s > 0 and change.at_s - twice_s <= run.at_s < change.at_s + twice_s:
            first = run.at_s < change.at_s
            which = "first" if first else "second"
            twin = run.at_s + twice_s if first else run.at_s - twice_s
            what = "this is" if _is_due(schedule, twin) else "it runs only"
            yield f"{change.how}, {shown} is repeated: {what} the {which} time"
    if not _is_due(plain, run.local_s):
        moved = [change for change in changes if change.at_s == run.at_s]
        missing = next((_wanted(change, plain, 1) for change in moved), [])
        if missing:
            yield f"{moved[0].how}: in place of {_clock(missing[0])}, which does not exist"
        else:
            yield "not a time of the spec: what Asynq makes of a clock change nearby"


def _skipped(change: _Change, plain: Schedule, runs: list[int]) -> Iterator[Line]:
    """The times that a change skips and for which nothing else runs."""
    if not runs or change.at_s > runs[-1]:
        return
    wanted = _wanted(change, plain, MOST_SKIPPED)
    in_place = change.at_s in runs and not _is_due(plain, change.at_s + change.after)
    if not wanted or in_place:
        return
    day = from_unix_s(wanted[0]).date()
    what = f"{_clock(wanted[0])} does not exist on {day}, skipped"
    if len(wanted) > 1:
        last = _clock(wanted[-1])
        what = (
            f"{len(wanted)} times from {_clock(wanted[0])} to {last} do not exist on {day}, skipped"
        )
    yield Line(change.at_s, wanted[0], len(wanted), [f"{what}: {change.how}"])


def _wanted(change: _Change, plain: Schedule, most: int) -> list[int]:
    """The local times of the spec among those that a change skips."""
    low, high = change.at_s + change.before, change.at_s + change.after
    found: list[int] = []
    while low < high and len(found) < most:
        due = plain.next_s(low - 1)
        if due is None or due >= high:
            break
        found.append(due)
        low = due + 1
    return found


def _clock(local_s: int) -> str:
    shown = from_unix_s(local_s)
    return f"{shown:%H:%M:%S}" if shown.second else f"{shown:%H:%M}"


def _offset(seconds: int) -> str:
    sign = "-" if seconds < 0 else "+"
    hours, rest = divmod(abs(seconds), 3600)
    text = f"{sign}{hours:02d}:{rest // 60:02d}"
    return f"{text}:{rest % 60:02d}" if rest % 60 else text
