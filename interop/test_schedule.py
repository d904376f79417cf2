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
from asynq_py.schedule import parse_schedule
from asynq_py.schedule.grammar import parse_fields
from asynq_py.schedule.robfig import Endless, search
from asynq_py.schedule.zone import load_zone


class Oracle(Protocol):
    def post(self, path: str, payload: object) -> Any: ...  # noqa: ANN401


Query = dict[str, Any]
Changes = list[list[int]]

QUERIES = 2500
SEEDS = (1, 2, 3, 4)
ZONES = 100  # besides the odd ones
FIRST = int(datetime(1950, 1, 1, tzinfo=UTC).timestamp())
LAST = int(datetime(2037, 1, 1, tzinfo=UTC).timestamp())
COMPARED_UNTIL = int(datetime(2044, 1, 1, tzinfo=UTC).timestamp())  # searches look ahead
# Drawn more often: changes at midnight, of half an hour, of two hours, ...
ODD_ZONES = (
    "Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "America/Asuncion",
    "America/Havana", "America/New_York", "America/Santiago", "America/Sao_Paulo",
    "America/Scoresbysund", "America/St_Johns", "Antarctica/Troll", "Asia/Amman", "Asia/Beirut",
    "Asia/Gaza", "Asia/Tehran", "Atlantic/Azores", "Australia/Lord_Howe", "Europe/Dublin",
)  # fmt: skip
NAMES = {12: ["jan", "DEC", "feb-Jun", "apr-12"], 6: ["sun", "Mon-fri", "sat", "2-THU"]}
ALPHABET = '0123456789*/-,?@ \tLW#JanFrisuntTZ=UTC+."\\\u00a0\u0130\u00e9\u200b'


def our_changes(zone: str) -> Changes:
    spans = takewhile(lambda span: span.start <= COMPARED_UNTIL, load_zone(zone).spans(FIRST))
    known = [[span.start, span.offset] for span in spans]
    return known[:1] + [b for a, b in pairwise(known) if a[1] != b[1]]


@pytest.fixture(scope="module")
def changes(oracle: Oracle) -> dict[str, Changes]:
    """The clock changes of the zones that are the same on both sides."""
    known = sorted(n for n in available_timezones() if not n.startswith(("posix/", "right/")))
    names = sorted({*ODD_ZONES, *random.Random(0).sample(known, ZONES)})
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
        # Where a whole day was skipped Go may never answer; a test of its own looks at that.
        self.zones = [
            zone
            for zone, known in changes.items()
            if all(abs(b[1] - a[1]) < 20 * 3600 for a, b in pairwise(known))
        ]
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
        within = self.random.randrange(choose([7200, 90000, 35 * 86400]))
        distance = choose([0, 1, 60, 3600, 7200, 86400, within, within, within])
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
            return (
                self.random.choice(["TZ=", "CRON_TZ="]) + self.random.choice(names) + blank + spec
            )
        return spec

    def body(self) -> str:
        choose = self.random.choice
        kind = self.random.random()
        if kind < 0.05:
            return "@" + choose(
                ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"]
            )
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
        if high in NAMES and self.random.random() < 0.2:
            base = self.random.choice(NAMES[high])
        step = f"/{self.random.choice([1, 2, 3, 5, 7, 10, 15, 30])}"
        return base + (step if self.random.random() < 0.2 else "")

    def damaged(self, spec: str) -> str:
        characters = list(spec)
        for _ in range(self.random.choice([1, 1, 2, 3])):
            i = self.random.randrange(len(characters) + 1)
            new = self.random.choice([[], [self.random.choice(ALPHABET)]])
            characters[i : i + self.random.randrange(2)] = new
        return "".join(characters)


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() // 1)


def difference(query: Query, answer: Query) -> str | None:
    """Says in what our answer differs from Go's, or returns None."""
    try:
        schedule = parse_schedule(query["spec"], query["zone"])
    except ScheduleSyntaxError as error:
        if "panic" in answer:
            return None if error.field == "time zone" else f"another error: {error}"
        return None if str(error).startswith(f"{answer.get('error')} (") else f"refused: {error}"
    if "next" not in answer:
        return f"not refused: {answer}"
    at: int | None = seconds(query["from"])
    for text in answer["next"]:
        assert at is not None
        due = schedule.next_s(at)
        expected = None if text == "zero" else seconds(text)
        if expected is not None and expected <= at:
            # Go would run at once, again and again; we take the next time that is one.
            return None if due is not None and due > at else f"{due} after {at}"
        if due != expected:
            return f"{due} is not {expected}, after {at}"
        at = due
    return None


@pytest.mark.parametrize("seed", SEEDS)
def test_specs_mean_what_they_mean_in_go(
    oracle: Oracle, changes: dict[str, Changes], seed: int
) -> None:
    draw = Draw(seed, changes)
    queries = [draw.query() for _ in range(QUERIES)]
    answers = oracle.post("/cron", queries)
    assert len(answers) == len(queries)
    found = [
        (query, answer, wrong)
        for query, answer in zip(queries, answers, strict=True)
        if (wrong := difference(query, answer))
    ]
    assert not found, f"{len(found)} differences, the first: {found[0]}"
    # Enough of each kind was asked for the above to mean something.
    assert sum("next" in answer for answer in answers) > QUERIES * 0.7
    assert sum("error" in answer for answer in answers) > QUERIES * 0.05


@pytest.mark.parametrize(
    "query",
    [
        {"spec": "0 9 31 12 *", "zone": "Pacific/Apia", "from": "2011-12-28T12:00:00-10:00"},
        {"spec": "0 9 15 * *", "zone": "Pacific/Kiritimati", "from": "1994-12-29T12:00:00-10:00"},
    ],
    ids=lambda query: query["zone"],
)
def test_we_answer_where_go_never_does(oracle: Oracle, query: Query) -> None:
    assert oracle.post("/cron", [{**query, "n": 1}]) == [{"timeout": True}]
    zone, start = load_zone(query["zone"]), seconds(query["from"]) + 1
    with pytest.raises(Endless):
        search(parse_fields(query["spec"]), zone, start, 2020)
    due = parse_schedule(query["spec"], query["zone"]).next(datetime.fromisoformat(query["from"]))
    assert due is not None
    assert due - datetime.fromisoformat(query["from"]) < timedelta(days=20)


def test_go_panics_where_the_blank_after_the_zone_is_missing(oracle: Oracle) -> None:
    query = {"spec": "TZ=UTC", "zone": "UTC", "from": "2024-01-01T00:00:00Z", "n": 1}
    assert "out of range" in oracle.post("/cron", [query])[0]["panic"]
    with pytest.raises(ScheduleSyntaxError, match="blank is missing"):
        parse_schedule("TZ=UTC")
