"""What came out, as tables for people and as JSON."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from .model import Aim, Measured, Outcome

HEADS = ("tasks/s", "min - max", "ratio", "client µs", "Redis µs")
LEGEND = (
    "tasks/s: median over rounds; min - max: slowest and fastest round; ratio: to the baseline "
    "named in the table's head;",
    "client µs, Redis µs: CPU time, user and system, for one task",
)
#: The least that the tables need; a narrow terminal breaks the lines but loses nothing.
WIDTH = 118


def show(outcome: Outcome) -> None:
    """Writes everything to stdout, with rich if it is installed."""
    try:
        from rich.console import Console
    except ImportError:
        sys.stdout.write(_plain(outcome))
        return
    from rich.table import Table

    console = Console(width=max(WIDTH, shutil.get_terminal_size().columns), highlight=False)
    console.print("\n".join(_head(outcome)), markup=False)
    for section, rows in _sections(outcome):
        table = Table(title=f"\n{section}", title_justify="left", title_style="bold")
        table.add_column("", no_wrap=True)
        for head in HEADS:
            table.add_column(head, justify="right", no_wrap=True)
        for name, *cells in rows:
            style = "bold" if name.startswith("asynq_py") else ""
            table.add_row(name, *cells, style=style)
        console.print(table)
    console.print("\n".join(_foot(outcome)), markup=False, soft_wrap=True)


def _plain(outcome: Outcome) -> str:
    """The same without rich."""
    lines = list(_head(outcome))
    sections = list(_sections(outcome))
    table = [("", *HEADS), *(row for _, rows in sections for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]

    def line(row: tuple[str, ...]) -> str:
        first, *cells = (text.rjust(width) for text, width in zip(row, widths, strict=True))
        return "  ".join([first.strip().ljust(widths[0]), *cells]).rstrip()

    for section, rows in sections:
        lines += ["", section, line(("", *HEADS)), *map(line, rows)]
    return "\n".join([*lines, *_foot(outcome)]) + "\n"


def to_json(outcome: Outcome) -> str:
    """Everything that was measured."""
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
    return json.dumps(
        {
            "suite": outcome.suite.name,
            "settings": asdict(outcome.settings),
            "machine": outcome.machine,
            "versions": outcome.versions,
            "results": results,
            "aims": [
                {"aim": aim.text, "at_least": aim.at_least, "reached": _reached(aim, outcome)}
                for aim in outcome.suite.aims
            ],
        },
        indent=2,
    )


def _head(outcome: Outcome) -> Iterator[str]:
    settings = outcome.settings
    size = f"{settings.tasks} tasks" if settings.tasks else f"about {settings.seconds:g} s"
    yield f"{outcome.suite.title}: {settings.rounds} interleaved rounds, bursts of {size}"
    yield ""
    known = dict(outcome.machine)
    for program, parts in outcome.versions.items():
        known[program] = ", ".join(f"{part} {version}" for part, version in parts.items())
    width = max(map(len, known))
    for name, text in known.items():
        yield f"{name.ljust(width)}  {text}"


def _sections(outcome: Outcome) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    sections: dict[str, list[tuple[str, ...]]] = {}
    for one in outcome.measured:
        sections.setdefault(one.contender.section, []).append(_row(one, outcome))
    yield from sections.items()


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
