"""The command `doctor`: what is damaged in a Redis, why, and mending it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from asynq_py.cli.options import Output
from asynq_py.cli.output import console, printable, show_json
from asynq_py.connection import RedisConfig
from asynq_py.doctor.doctor import Doctor
from asynq_py.doctor.finding import KINDS, Finding, Severity
from asynq_py.doctor.look import Progress

#: How many findings of a kind a table shows.
EXAMPLES = 5
#: How many findings are mended at a time.
_CHUNK = 20_000
#: How often all is looked at and mended: what is mended may bring other damage to light.
_ROUNDS = 5
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


class Report:
    """What was found, by kind."""

    def __init__(self, kept: int | None) -> None:
        #: How many findings of each kind are kept; None for all.
        self._kept = kept
        self.counts: Counter[str] = Counter()
        self.findings: dict[str, list[Finding]] = {}

    def add(self, finding: Finding) -> None:
        self.counts[finding.code] += 1
        kept = self.findings.setdefault(finding.code, [])
        if self._kept is None or len(kept) < self._kept:
            kept.append(finding)

    @property
    def codes(self) -> list[str]:
        """The kinds that were found, the worst first."""
        order = list(reversed(Severity))
        return sorted(self.counts, key=lambda code: order.index(KINDS[code].severity))

    def number(self, *severities: Severity) -> int:
        """How many findings there are of some severities."""
        return sum(self.counts[code] for code in self.counts if KINDS[code].severity in severities)

    @property
    def repairable(self) -> int:
        return sum(count for code, count in self.counts.items() if KINDS[code].repair)

    @property
    def is_healthy(self) -> bool:
        return not self.number(Severity.WARNING, Severity.ERROR)


def run_doctor(
    config: RedisConfig,
    queues: Sequence[str] | None,
    *,
    fix: bool,
    yes: bool,
    quick: bool,
    output: Output,
) -> int:
    """Looks, and mends if it is asked to; returns the exit code."""
    if fix and not yes and not sys.stdin.isatty():
        raise typer.BadParameter("needs --yes where nobody can be asked", param_hint="--fix")
    kept = None if output is Output.JSON else EXAMPLES

    def look(each: Callable[[Finding], None] | None = None) -> Report:
        report = Report(kept)
        with _progress() as progress:
            for finding in doctor.examine(queues or None, deep=not quick, progress=progress):
                report.add(finding)
                if each is not None:
                    each(finding)
        return report

    with Doctor(config) as doctor:
        report = look()
        mended: Counter[str] | None = None
        if fix and report.repairable and not yes:
            if output is Output.TABLE:
                _show(report)
            typer.confirm(f"Mend {report.repairable:,} of them?", abort=True, err=True)
        if fix:
            report, mended = _mend(doctor, look, report)
    if output is Output.JSON:
        show_json(_to_programs(report, mended))
    else:
        if mended:
            for code, count in mended.items():
                console().print(f"Mended {count:,} {code}: {KINDS[code].repair}")
        _show(report)
        console().print(_summary(report, fix=fix))
    return 0 if report.is_healthy else 1


Look = Callable[[Callable[[Finding], None] | None], Report]


def _mend(doctor: Doctor, look: Look, report: Report) -> tuple[Report, Counter[str]]:
    """Mends until nothing more can be mended; what is left, and how many were mended."""
    mended: Counter[str] = Counter()
    waiting: list[Finding] = []

    def flush() -> None:
        for finding, done in zip(waiting, doctor.fix_all(waiting), strict=True):
            mended[finding.code] += done
        waiting.clear()

    def take(finding: Finding) -> None:
        if finding.repair is not None:
            waiting.append(finding)
        if len(waiting) >= _CHUNK:
            flush()

    for _ in range(_ROUNDS):
        if not report.repairable:
            return report, +mended
        before = mended.total()
        report = look(take)
        flush()
        if mended.total() == before:
            return report, +mended
    return look(None), +mended


def _show(report: Report) -> None:
    """Prints what was found: of each kind why, and the first findings."""
    out = console()
    for code in report.codes:
        kind = KINDS[code]
        head = Text(f"{kind.severity.upper():8}", _STYLES[kind.severity])
        out.print(head.append(f"{code}  {report.counts[code]:,}", "bold"))
        out.print(Padding(Text(kind.why), (0, 0, 0, 8), expand=False))
        if kind.repair:
            out.print(Padding(Text(f"Repair: {kind.repair}"), (0, 0, 0, 8), expand=False))
        for finding in report.findings[code]:
            where = finding.key or (f'queue "{finding.queue}"' if finding.queue else "")
            line = f"{printable(where)}: " if where else ""
            text = Text("- " + line + printable(finding.what))
            out.print(Padding(text, (0, 0, 0, 8), expand=False))
        if more := report.counts[code] - len(report.findings[code]):
            out.print(Padding(Text(f"- and {more:,} more"), (0, 0, 0, 8), expand=False))
        out.print()


def _summary(report: Report, *, fix: bool) -> str:
    if not report.counts:
        return "Healthy: nothing is damaged"
    words = []
    for severity, word in (
        (Severity.ERROR, "errors"),
        (Severity.WARNING, "warnings"),
        (Severity.INFO, "to know"),
    ):
        if number := report.number(severity):
            words.append(f"{number:,} {word if number > 1 else word.removesuffix('s')}")
    text = ("Left: " if fix else "Found: ") + ", ".join(words)
    if report.is_healthy:
        text = f"Healthy. {text}"
    if report.repairable and not fix:
        text += f"; --fix mends {report.repairable:,}"
    return text


def _to_programs(report: Report, mended: Counter[str] | None) -> dict[str, object]:
    kinds = [
        {
            "code": code,
            "severity": KINDS[code].severity,
            "count": report.counts[code],
            "why": KINDS[code].why,
            "repair": KINDS[code].repair,
            "findings": [
                {"queue": _safe(f.queue), "key": _safe(f.key), "what": _safe(f.what)}
                for f in report.findings[code]
            ],
        }
        for code in report.codes
    ]
    data: dict[str, object] = {"healthy": report.is_healthy, "kinds": kinds}
    if mended is not None:
        data["mended"] = dict(mended)
    return data


def _safe(text: str) -> str:
    """Text that is UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """Shows on a terminal how far it is."""
    out = Console(stderr=True, highlight=False, markup=False)
    if not out.is_terminal:
        yield None
        return
    with out.status("Looking") as status:

        def tell(what: str, number: int) -> None:
            status.update(f"Looking at {printable(what)}: {number:,} so far")

        yield tell
