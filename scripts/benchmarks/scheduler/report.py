"""What came out, as tables for people and as data for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..page import Page, Report, Table, described
from .model import Aim, Figure, Measured, Outcome
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
) -> Report:
    """Everything that was measured; also of a suite that measures in the same way."""
    foot = tuple(_foot(outcome, legend))
    page = Page(tuple(_head(outcome, title)), tuple(_tables(outcome)), foot)
    return Report(page, _data(outcome, suite))


def _head(outcome: Outcome, title: str) -> Iterator[str]:
    rounds = max(one.part.rounds for one in outcome.measured)
    yield f"{title}: medians of up to {rounds} interleaved rounds"
    yield ""
    yield from described(outcome.machine, outcome.versions)


def _tables(outcome: Outcome) -> Iterator[Table]:
    parts: dict[str, list[Measured]] = {}
    for one in outcome.measured:
        parts.setdefault(one.part.key, []).append(one)
    for measured in parts.values():
        yield _table(measured, outcome)


def _table(measured: list[Measured], outcome: Outcome) -> Table:
    """A figure in each line, and beside each of ours its ratio to Go's."""
    part = measured[0].part
    rounds = "1 round" if part.rounds == 1 else f"{part.rounds} rounds"
    heads: list[str] = []
    for one in measured:
        heads += [one.contender.name] if one.contender.key == GO else [one.contender.name, "of Go"]
    rows = (
        (figure.name, *(cell for one in measured for cell in _cells(one, figure, outcome)))
        for figure in part.figures
    )
    return Table(f"{part.title} ({rounds})", tuple(heads), tuple(rows))


def _cells(one: Measured, figure: Figure, outcome: Outcome) -> Iterator[str]:
    yield f"{one.median(figure.key):,.{figure.digits}f}" if one.rounds else "not measured"
    if one.contender.key == GO:
        return
    ratio = outcome.ratio(one.part.key, one.contender.key, figure.key, GO)
    yield f"{ratio:.2f}" if figure.compared and ratio is not None else ""


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
        reached = _reached(aim, outcome)
        if reached is None:
            yield f"  ?    {aim.text}: not measured"
        else:
            mark = "yes" if reached <= aim.at_most else "NO "
            yield f"  {mark}  {aim.text}: {reached:.3g} (aim: at most {aim.at_most:g})"


def _reached(aim: Aim, outcome: Outcome) -> float | None:
    if aim.against:
        return outcome.ratio(aim.part, aim.contender, aim.figure, aim.against)
    return outcome.value(aim.part, aim.contender, aim.figure)


def _data(outcome: Outcome, suite: str) -> dict[str, Any]:
    return {
        "suite": suite,
        "machine": outcome.machine,
        "versions": outcome.versions,
        "results": [_result(one, outcome) for one in outcome.measured],
        "aims": [
            {"aim": aim.text, "at_most": aim.at_most, "reached": _reached(aim, outcome)}
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
