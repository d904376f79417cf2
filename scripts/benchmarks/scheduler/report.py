"""What came out, as tables for people and as data for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from ..page import Page, Report, Table, described
from .model import Figure, Measured, Outcome, Part
from .suite import GO

LEGEND = (
    "In Redis: when the list of pending tasks was first seen to have room for the task; "
    "pending_since: the moment that a",
    "task carries, which its maker took before it waited for a connection. The whole run: from "
    "registering to the end of",
    "stopping, which is done once all tasks have come and the entries are listed. Commands: also "
    "those inside of scripts.",
)


def report(
    outcome: Outcome,
    *,
    suite: str = "scheduler",
    title: str = "Schedulers with many entries",
    legend: Sequence[str] = LEGEND,
    rows: Literal["figures", "contenders"] = "figures",
) -> Report:
    """Everything that was measured; also of a suite that measures in the same way."""
    foot = tuple(_foot(outcome, legend))
    table = _table if rows == "figures" else _turned
    tables = tuple(table(measured, outcome) for measured in _by_part(outcome))
    page = Page(tuple(_head(outcome, title)), tables, foot)
    return Report(page, _data(outcome, suite))


def _head(outcome: Outcome, title: str) -> Iterator[str]:
    rounds = max(one.part.rounds for one in outcome.measured)
    yield f"{title}: medians of up to {rounds} interleaved rounds"
    yield ""
    yield from described(outcome.machine, outcome.versions)


def _by_part(outcome: Outcome) -> Iterable[list[Measured]]:
    parts: dict[str, list[Measured]] = {}
    for one in outcome.measured:
        parts.setdefault(one.part.key, []).append(one)
    return parts.values()


def _title(part: Part) -> str:
    return f"{part.title} ({part.rounds} round{'s' * (part.rounds > 1)})"


def _table(measured: list[Measured], outcome: Outcome) -> Table:
    """A figure in each line, and beside each of ours its ratio to Go's."""
    part = measured[0].part
    heads: list[str] = []
    for one in measured:
        heads += [one.contender.name] if one.contender.key == GO else [one.contender.name, "of Go"]
    rows = (
        (figure.name, *(cell for one in measured for cell in _cells(one, figure, outcome)))
        for figure in part.figures
    )
    return Table(_title(part), tuple(heads), tuple(rows))


def _turned(measured: list[Measured], outcome: Outcome) -> Table:
    """A contender in each line."""
    part = measured[0].part
    heads: list[str] = []
    for figure in part.figures:
        heads += [figure.name, *["min - max"] * figure.spread, *["of Go"] * figure.compared]
    rows = []
    for one in measured:
        cells = [one.contender.name]
        for figure in part.figures:
            value, ratio = _value(one, figure), _ratio(one, figure, outcome)
            cells += [value, *[_range(one, figure)] * figure.spread, *[ratio] * figure.compared]
        rows.append(tuple(cells))
    return Table(_title(part), tuple(heads), tuple(rows))


def _cells(one: Measured, figure: Figure, outcome: Outcome) -> Iterator[str]:
    yield _value(one, figure)
    if one.contender.key != GO:
        yield _ratio(one, figure, outcome)


def _value(one: Measured, figure: Figure) -> str:
    return f"{one.median(figure.key):,.{figure.digits}f}" if one.rounds else "not measured"


def _range(one: Measured, figure: Figure) -> str:
    if not one.rounds:
        return ""
    low, high = one.range(figure.key)
    return f"{low:,.{figure.digits}f} - {high:,.{figure.digits}f}"


def _ratio(one: Measured, figure: Figure, outcome: Outcome) -> str:
    ratio = outcome.ratio(one.part.key, one.contender.key, figure.key, GO)
    return f"{ratio:.2f}" if figure.compared and ratio is not None else ""


def _foot(outcome: Outcome, legend: Sequence[str]) -> Iterator[str]:
    yield ""
    yield from legend
    for one in outcome.measured:
        if not one.rounds:
            yield f"not measured: {one.part.title}: {one.contender.name}: {one.reason}"
    if outcome.aims:
        yield ""
        yield "Aims"
    for aim in outcome.aims:
        reached = outcome.reached(aim)
        if reached is None:
            yield f"  ?    {aim.text}: not measured"
        else:
            mark = "yes" if aim.is_met(reached) else "NO "
            yield f"  {mark}  {aim.text}: {reached:.3g} (aim: {aim.bound_text})"


def _data(outcome: Outcome, suite: str) -> dict[str, Any]:
    return {
        "suite": suite,
        "machine": outcome.machine,
        "versions": outcome.versions,
        "results": [_result(one, outcome) for one in outcome.measured],
        "aims": [
            {
                "aim": aim.text,
                "at_least" if aim.reach else "at_most": aim.bound,
                "reached": outcome.reached(aim),
            }
            for aim in outcome.aims
        ],
    }


def _result(one: Measured, outcome: Outcome) -> dict[str, Any]:
    part, contender = one.part, one.contender
    result: dict[str, Any] = {
        "part": part.key,
        "title": part.title,
        "entries": part.entries,
        "key": contender.key,
        "name": contender.name,
    }
    if not one.rounds:
        return {**result, "not_measured": one.reason}
    return {
        **result,
        "medians": {figure: one.median(figure) for figure in one.rounds[0]},
        "ratios": {
            figure.key: outcome.ratio(part.key, contender.key, figure.key, GO)
            for figure in part.figures
            if figure.compared
        },
        "rounds": one.rounds,
    }
