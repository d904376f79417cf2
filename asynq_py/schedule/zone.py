"""Time zones as tables of offset changes, for lookups in whole seconds.

Two kinds of numbers are used throughout the package: an *instant* is a Unix time
in seconds; a *local* time is what the zone's clock shows, counted as if it were
UTC. In a span of constant offset, local = instant + offset.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from asynq_py.errors import ConfigError

MINUTE = 60
HOUR = 3600
DAY = 86400

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Earlier instants are answered as if this one had been asked: 0002-01-01, UTC.
FIRST_S = (datetime(2, 1, 1, tzinfo=UTC) - EPOCH).days * DAY
#: Nothing is due from here on, so that no zone leaves datetime's years: 9999-12-31, UTC.
HORIZON_S = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH).days * DAY

_SLOT = 1 << 25  # 388 days, the unit in which changes are looked for
_SLOTS_AHEAD = 6  # more than the six years a search may take
# The closest change and change back in the tz database are 95 hours apart
# (Africa/Freetown, June 1939), so a probe a day sees every change.
_PROBE = DAY
_NEIGHBOURS = 3 * DAY


class Span(NamedTuple):
    """A time of constant offset.

    Attributes:
        start: First instant; of the first span asked for, any instant in it.
        end: First instant after it.
        offset: Local minus instant, seconds.
        peak: One more than the latest local time shown before ``start``.
    """

    start: int
    end: int
    offset: int
    peak: int


class Table:
    """The offset changes of some years. Immutable once built.

    Span ``i`` lies between ``changes[i - 1]`` and ``changes[i]``. A local day is
    *touched* when a local time that a change skips or repeats, or the end of
    such a stretch, falls into it.

    Attributes:
        start: First instant covered.
        end: First instant no longer covered.
        changes: The instants of the changes, ascending.
        offsets: Offset of each span, one more than changes.
        quiet_from: Local start of the first day of a span that no earlier change touches.
        quiet_until: Local start of the first day that the change ending the span touches.
        rough: How many changes before the span touch a midnight or have another near.
        peaks: One more than the latest local time shown before each span.
    """

    __slots__ = (
        "changes", "end", "offsets", "peaks", "quiet_from", "quiet_until", "rough", "start",
    )  # fmt: skip

    def __init__(self, start: int, end: int, changes: list[int], offsets: list[int]) -> None:
        self.start = start
        self.end = end
        self.changes = changes
        self.offsets = offsets
        self.quiet_from = [start - DAY]
        self.quiet_until = []
        self.rough = [0]
        self.peaks = [start - DAY]
        for i, change in enumerate(changes):
            before, after = offsets[i], offsets[i + 1]
            low, high = change + min(before, after), change + max(before, after)
            near = (i > 0 and change - changes[i - 1] < _NEIGHBOURS) or (
                i + 1 < len(changes) and changes[i + 1] - change < _NEIGHBOURS
            )
            inside_a_day = low % DAY > 0 and low // DAY == high // DAY
            self.quiet_until.append(low // DAY * DAY)
            self.quiet_from.append(max(self.quiet_from[-1], (high // DAY + 1) * DAY))
            self.rough.append(self.rough[-1] + (near or not inside_a_day))
            self.peaks.append(max(self.peaks[-1], change + before))
        self.quiet_until.append(end - DAY)


class Zone:
    """A time zone with its offsets tabulated on demand. Safe to share between threads.

    Attributes:
        name: Its IANA name.
        tz: The same zone for datetimes.
    """

    __slots__ = ("_slots", "_tables", "name", "tz")

    def __init__(self, tz: ZoneInfo) -> None:
        self.name: str = tz.key
        self.tz = tz
        # Entries are pure functions of their key: a race only computes one twice.
        self._slots: dict[int, list[tuple[int, int]]] = {}
        self._tables: dict[int, Table] = {}

    def __repr__(self) -> str:
        return f"Zone({self.name!r})"

    def table(self, instant: int) -> Table:
        """Returns the table for searches from ``instant``, with a year before and six after."""
        slot = instant // _SLOT
        table = self._tables.get(slot)
        if table is None:
            table = self._tables[slot] = self._tabulate(slot - 1, slot + _SLOTS_AHEAD)
        return table

    def offset(self, instant: int) -> int:
        """Returns local minus instant, seconds; beyond the years of datetime the nearest known."""
        moment = EPOCH + timedelta(seconds=min(max(instant, FIRST_S), HORIZON_S))
        offset = moment.astimezone(self.tz).utcoffset()
        return 0 if offset is None else offset.days * DAY + offset.seconds

    def spans(self, instant: int) -> Iterator[Span]:
        """Yields the spans from the one that holds ``instant`` up to `HORIZON_S`."""
        while instant < HORIZON_S:
            table = self.table(instant)
            for i in range(bisect_right(table.changes, instant), len(table.offsets)):
                end = table.changes[i] if i < len(table.changes) else table.end
                yield Span(instant, end, table.offsets[i], table.peaks[i])
                instant = end

    def datetime(self, instant: int) -> datetime:
        """Returns an instant as an aware datetime in this zone."""
        return (EPOCH + timedelta(seconds=instant)).astimezone(self.tz)

    def _tabulate(self, first: int, last: int) -> Table:
        changes: list[int] = []
        offsets = [self.offset(first * _SLOT)]
        for slot in range(first, last + 1):
            found = self._slots.get(slot)
            if found is None:
                found = self._slots[slot] = self._changes_in(slot)
            for change, offset in found:
                changes.append(change)
                offsets.append(offset)
        return Table(first * _SLOT, (last + 1) * _SLOT, changes, offsets)

    def _changes_in(self, slot: int) -> list[tuple[int, int]]:
        """Finds the changes after the first instant of a slot up to that of the next."""
        found: list[tuple[int, int]] = []
        low = slot * _SLOT
        end = low + _SLOT
        offset = self.offset(low)
        while low < end:
            high = min(low + _PROBE, end)
            offset_at_high = self.offset(high)
            while offset != offset_at_high:
                below, above = low, high  # the offset changes somewhere between
                while above - below > 1:
                    middle = (below + above) // 2
                    if self.offset(middle) == offset:
                        below = middle
                    else:
                        above = middle
                low, offset = above, self.offset(above)
                found.append((low, offset))
            low = high
        return found


_zones: dict[str, Zone] = {}
_zones_lock = threading.Lock()


def find_zone(name: str) -> Zone | None:
    """Returns the zone of that IANA name, or None when zoneinfo does not know it."""
    zone = _zones.get(name)
    if zone is None:
        try:
            tz = ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # a folder or another file is an OSError
            return None
        with _zones_lock:
            zone = _zones.setdefault(name, Zone(tz))
    return zone


def load_zone(location: str | ZoneInfo) -> Zone:
    """Returns the zone that a caller named.

    Args:
        location: An IANA name, or a ZoneInfo, which is taken by its key.

    Raises:
        ConfigError: Nothing is known by that name.
    """
    name = location.key if isinstance(location, ZoneInfo) else location
    zone = find_zone(name) if isinstance(name, str) and name else None
    if zone is None:
        raise ConfigError(f"location {location!r}: unknown time zone")
    return zone
