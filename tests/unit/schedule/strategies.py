"""Hypothesis strategies for specs, zones and instants; instants near clock changes on purpose."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from itertools import pairwise, takewhile
from zoneinfo import available_timezones

from hypothesis import strategies as st

from asynq_py.schedule.zone import load_zone

ODD_ZONES = (
    "UTC", "Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "Africa/Monrovia",
    "America/Asuncion", "America/Havana", "America/New_York", "America/Santiago",
    "America/Sao_Paulo", "America/Scoresbysund", "America/St_Johns", "Antarctica/Troll",
    "Asia/Beirut", "Asia/Gaza", "Asia/Kolkata", "Atlantic/Azores", "Australia/Lord_Howe",
    "Europe/Berlin", "Europe/Dublin", "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Kwajalein",
)  # fmt: skip
ZONES = tuple(
    sorted(name for name in available_timezones() if name[:6] not in ("posix/", "right/"))
)

FIRST = int(datetime(1960, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2037, 1, 1, tzinfo=UTC).timestamp())
_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))

zones = st.sampled_from(ODD_ZONES) | st.sampled_from(ZONES)


@cache
def changes(zone: str) -> tuple[int, ...]:
    """The instants at which a zone changes its offset, from `FIRST` on."""
    spans = takewhile(lambda span: span.start < LAST, load_zone(zone).spans(FIRST))
    return tuple(b.start for a, b in pairwise(spans) if a.offset != b.offset)


@st.composite
def instants(draw: st.DrawFn, zone: str) -> int:
    """Unix seconds."""
    if changes(zone) and draw(st.sampled_from([True, False])):
        near = draw(st.sampled_from(changes(zone)))
        unit, most = draw(st.sampled_from([(1, 7200), (900, 120), (86400, 40)]))
        return near + unit * draw(st.integers(-most, most))
    return draw(st.integers(FIRST, LAST))


@st.composite
def _piece(draw: st.DrawFn, low: int, high: int) -> str:
    first, last = sorted(draw(st.tuples(st.integers(low, high), st.integers(low, high))))
    base = draw(st.sampled_from(["*", str(first), str(first), f"{first}-{last}"]))
    return base + draw(st.sampled_from(["", "", "", "/1", "/2", "/7", "/15"]))


@st.composite
def specs(draw: st.DrawFn) -> str:
    """Five fields, often of the simple kind that falls into a skipped or repeated time."""
    if draw(st.booleans()):
        minute = draw(st.sampled_from(["0", "1", "15", "30", "*/20", "*"]))
        hour = draw(st.sampled_from(["0", "1", "2", "3", "23", "*", "*/2", "9-17"]))
        day = draw(st.sampled_from(["* *", "* *", "1 *", "*/2 *", "31 12", "30 *", "1 1"]))
        return f"{minute} {hour} {day} {draw(st.sampled_from(['*', '*', '1-5', '0']))}"
    fields = []
    for bounds in _BOUNDS:
        pieces = draw(st.lists(_piece(*bounds), min_size=1, max_size=2))
        fields.append(draw(st.sampled_from(["*", ",".join(pieces)])))
    return " ".join(fields)
