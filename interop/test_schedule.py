"""Cron specs against robfig/cron itself: the same errors, the same times.

Go brings its own copy of the tz database and Python takes the system's. Their
releases differ, and so do ways to build them (Debian keeps old data of zones
that others have merged, most of it from before 1970). Only the zones in which
both know the same clock changes are used, and that is asked first, so that
every other difference is one of ours. What is asked is drawn with a fixed seed.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise, takewhile
from typing import Any, Protocol
from zoneinfo import available_timezones

import pytest

from asynq_py.errors import ScheduleSyntaxError
from asynq_py.schedule import Schedule, parse_schedule
from asynq_py.schedule.grammar import parse_fields
from asynq_py.schedule.robfig import Endless, search
from asynq_py.schedule.zone import load_zone


class Oracle(Protocol):
    def post(self, path: str, payload: object) -> Any: ...  # noqa: ANN401


Query = dict[str, Any]
Changes = list[list[int]]

QUERIES = 2500
SEEDS = (1, 2, 3, 4)
FIRST = int(datetime(1950, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2037, 1, 1, tzinfo=UTC).timestamp())
COMPARED_UNTIL = int(datetime(2044, 1, 1, tzinfo=UTC).timestamp())  # searches look ahead
# Drawn more often: changes at midnight, of half an hour, of two hours, of a whole day, ...
ODD_ZONES = (
    "Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "America/Asuncion",
    "America/Havana", "America/New_York", "America/Santiago", "America/Sao_Paulo",
    "America/Scoresbysund", "America/St_Johns", "Antarctica/Troll", "Asia/Amman", "Asia/Beirut",
    "Asia/Gaza", "Asia/Tehran", "Atlantic/Azores", "Australia/Lord_Howe", "Europe/Dublin",
    "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Kwajalein",
)  # fmt: skip
ALPHABET = "0123456789*/-,?@ \tLW#JanFrisuntTZ=UTC+.\"\\\u00a0\u0130\u00e9\u200b"


def our_changes(zone: str) -> Changes:
    spans = takewhile(lambda span: span.start <= COMPARED_UNTIL, load_zone(zone).spans(FIRST))
    known = [[span.start, span.offset] for span in spans]
    return known[:1] + [b for a, b in pairwise(known) if a[1] != b[1]]


@pytest.fixture(scope="module")
def changes(oracle: Oracle) -> dict[str, Changes]:
    """The clock changes of the zones that are the same on both sides."""
    names = sorted(n for n in available_timezones() if not n.startswith(("posix/", "right/")))
    queries = [{"zone": name, "from": FIRST, "to": COMPARED_UNTIL} for name in names]
    theirs = oracle.post("/cron/changes", queries)
    same = {n: c for n, c in zip(names, theirs, strict=True) if c == our_changes(n)}
    assert len(same) > len(names) * 0.6
    assert len(same.keys() & set(ODD_ZONES)) > len(ODD_ZONES) * 0.7
    return same


class Draw:
    """Draws queries."""

    def __init__(self, seed: int, changes: dict[str, Changes]) -> None:
        self.random = random.Random(seed)
        self.changes = changes
        self.zones = list(changes)
        self.odd = [zone for zone in ODD_ZONES if zone in changes]

    def query(self) -> Query:
        zone = self.random.choice(self.odd if self.random.random() < 0.4 else self.zones)
        at = datetime.fromtimestamp(self.instant(zone), UTC)
        at += timedelta(milliseconds=self.random.choice([0, 0, 1, 999]))
        n = self.random.choice([1, 2, 4, 6])
        return {"spec": self.spec(), "zone": zone, "from": at.isoformat(), "n": n}

    def instant(self, zone: str) -> int:
        choose = self.random.choice
        inner = [change[0] for change in self.changes[zone][1:] if change[0] < LAST]
        if not inner or self.random.random() < 0.2:
            return self.random.randrange(FIRST, LAST)
        distance = choose([0, 1, 60, 3600, 7200, 86400, self.random.randrange(90000),
                           self.random.randrange(7200), self.random.randrange(35 * 86400)])  # fmt: skip
        at = choose(inner) + choose([-1, 1]) * distance
        return at if self.random.random() < 0.3 else at // 60 * 60

    def spec(self) -> str:
        spec = self.body()
        kind = self.random.random()
        if kind < 0.1:
            return self.damaged(spec)
        if kind < 0.2:
            names = [*self.random.sample(self.zones, 4), "", "Local", "Nope", "../UTC", "/UTC"]
            blank = self.random.choice([" ", " ", "  ", " \t", "\t", ""])
            return self.random.choice(["TZ=", "CRON_TZ="]) + self.random.choice(names) + blank + spec
        return spec

    def body(self) -> str:
        choose = self.random.choice
        kind = self.random.random()
        if kind < 0.05:
            return "@" + choose("yearly annually monthly weekly daily midnight hourly".split())
        if kind < 0.1:
            return "@every " + choose(["1h30m", "90s", "10ms", "1.5h", "24h", "1h0.5s", "-1s"])
        if kind < 0.35:  # times of day that are often skipped or repeated
            day = choose(["*", "*", "*", "1", "*/2", "31"])
            return f"{choose([0, 0, 30, 15, 45, 1, 59])} {choose([0, 0, 1, 2, 3, 23])} {day} * *"
        bounds = [(0, 59, 0.25), (0, 23, 0.3), (1, 31, 0.6), (1, 12, 0.75), (0, 6, 0.65)]
        return " ".join(self.field(*bound) for bound in bounds)

    def field(self, low: int, high: int, star: float) -> str:
        if self.random.random() < star:
            return "*"
        pieces = (self.piece(low, high) for _ in range(self.random.choice([1, 1, 1, 2, 3])))
        return ",".join(pieces)

    def piece(self, low: int, high: int) -> str:
        first, last = sorted(self.random.choices(range(low, high + 1), k=2))
        base = self.random.choice(["*", "*", "?", str(first), str(first), f"{first}-{last}"])
        if self.random.random() < 0.1:
            base = self.random.choice(["jan", "DEC", "feb-Jun", "sun", "Mon-fri", "sat"])
        step = f"/{self.random.choice([1, 2, 3, 5, 7, 10, 15, 30])}"
        return base + (step if self.random.random() < 0.2 else "")

    def damaged(self, spec: str) -> str:
        characters = list(spec)
        for _ in range(self.random.choice([1, 1, 2, 3])):
            i = self.random.randrange(len(characters) + 1)
            new = self.random.choice([[], [self.random.choice(ALPHABET)]])
            characters[i : i + self.random.randrange(2)] = new
        return "".join(characters)


def never_returns(query: Query) -> bool:
    """Whether Go would have to be stopped, which takes time; see the test below for some."""
    try:
        schedule = parse_schedule(query["spec"], query["zone"])
        fields = parse_fields(schedule.spec.split("TZ=")[-1].partition(" ")[2]
                              if schedule.spec.startswith(("TZ=", "CRON_TZ=")) else schedule.spec)  # fmt: skip
    except Exception:
        return False
    return bool(fields) and False


def ours(schedule: Schedule, query: Query) -> list[str]:
    times = schedule.upcoming(datetime.fromisoformat(query["from"]), query["n"])
    texts = [time.astimezone(UTC).isoformat().replace("+00:00", "Z") for time in times]
    return texts if len(texts) == query["n"] else [*texts, "zero"]
