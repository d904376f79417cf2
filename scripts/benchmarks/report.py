"""What came out of a suite of bursts, as tables for people and as data for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from .model import Aim, Measured, Outcome
from .page import Page, Report, Table, described

HEADS = ("tasks/s", "min - max", "ratio", "client µs", "Redis µs")
LEGEND = (
    "tasks/s: median over rounds; min - max: slowest and fastest round; ratio: to the baseline "
    "named in the table's head;",
    "client µs, Redis µs: CPU time, user and system, for one task",
)


def report(outcome: Outcome) -> Report:
    """Everything that was measured."""
    page = Page(tuple(_head(outcome)), tuple(_tables(outcome)), tuple(_foot(outcome)))
    return Report(page, _data(outcome))


def _data(outcome: Outcome) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    for one in outcome.measured:
        contender = one.contender
        result: dict[str, Any] = {
            "key": contender.key,
            "name": contender.name,
            "section": contender.section,
        }
        if one.bursts:
            low, high = one.spread
            result |= {
                "tasks_per_second": one.rate,
                "slowest": low,
                "fastest": high,
                "ratio": _ratio(one, outcome),
                "client_cpu_us_per_task": one.client_us,
                "server_cpu_us_per_task": one.server_us,
                "bursts": [asdict(burst) for burst in one.bursts],
            }
        else:
            result["not_measured"] = one.reason
        results.append(result)
    return {
        "suite": outcome.suite.name,
        "settings": asdict(outcome.settings),
        "machine": outcome.machine,
        "versions": outcome.versions,
        "results": results,
        "aims": [
            {"aim": aim.text, "at_least": aim.at_least, "reached": _reached(aim, outcome)}
            for aim in outcome.suite.aims
        ],
    }


def _head(outcome: Outcome) -> Iterator[str]:
    settings = outcome.settings
    size = f"{settings.tasks} tasks" if settings.tasks else f"about {settings.seconds:g} s"
    yield f"{outcome.suite.title}: {settings.rounds} interleaved rounds, bursts of {size}"
    yield ""
    yield from described(outcome.machine, outcome.versions)


def _tables(outcome: Outcome) -> Iterator[Table]:
    sections: dict[str, list[tuple[str, ...]]] = {}
    for one in outcome.measured:
        sections.setdefault(one.contender.section, []).append(_row(one, outcome))
    for section, rows in sections.items():
        yield Table(section, HEADS, tuple(rows))


def _row(one: Measured, outcome: Outcome) -> tuple[str, ...]:
    if not one.bursts:
        return (one.contender.name, "not measured", "", "", "", "")
    low, high = one.spread
    ratio = _ratio(one, outcome)
    return (
        one.contender.name,
        f"{one.rate:,.0f}",
        f"{low:,.0f} - {high:,.0f}",
        "" if ratio is None else f"{ratio:.2f}",
        f"{one.client_us:.1f}",
        f"{one.server_us:.1f}",
    )


def _foot(outcome: Outcome) -> Iterator[str]:
    yield ""
    yield from LEGEND
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in outcome.measured:
        if not one.bursts:
            key = (one.contender.program.name, one.reason)
            reasons.setdefault(key, []).append(one.contender.name)
    for (_, reason), names in reasons.items():
        yield f"not measured: {'; '.join(names)}: {reason}"
    if outcome.suite.aims:
        yield ""
        yield "Aims"
    for aim in outcome.suite.aims:
        reached = _reached(aim, outcome)
        if reached is None:
            yield f"  ?    {aim.text}: not measured"
        else:
            mark = "yes" if reached >= aim.at_least else "NO "
            yield f"  {mark}  {aim.text}: {reached:.2f} (aim: {aim.at_least:g})"


def _ratio(one: Measured, outcome: Outcome) -> float | None:
    baseline = outcome.best(one.contender.baseline)
    return one.rate / baseline if baseline else None


def _reached(aim: Aim, outcome: Outcome) -> float | None:
    rate, baseline = outcome.best((aim.contender,)), outcome.best(aim.against)
    return rate / baseline if rate and baseline else None
