"""The command `cron explain`: when a schedule runs next."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import typer
from rich.cells import cell_len

from asynq_py.cli.clock_changes import Line, local_text, upcoming, zone_now
from asynq_py.cli.options import Output
from asynq_py.cli.output import console, iso, printable, show_json, show_table, span
from asynq_py.clock import NANOSECONDS, from_unix_s
from asynq_py.errors import ScheduleSyntaxError
from asynq_py.schedule import Schedule, parse_schedule
from asynq_py.schedule.zone import find_zone, load_zone

#: What is said of the rules that are not Asynq's.
_RULES = {"extended": "the extended dialect", "once": "each local time once"}


def run_explain(
    spec: str, tz: str | None, n: int, dialect: str, dst: str, start: str | None, output: Output
) -> int:
    """Prints the next runs; returns the exit code."""
    if tz is not None and find_zone(tz) is None:
        raise typer.BadParameter(f"{tz!r} is no known time zone", param_hint="'--tz'")
    try:
        schedule = parse_schedule(spec, tz or "UTC", dialect=dialect, dst=dst)
    except ScheduleSyntaxError as error:
        sys.stderr.write(f"asynq-py: {printable(str(error))}\n{_pointer(error)}")
        return 1
    after = datetime.now(UTC) if start is None else _moment(start, schedule)
    lines = upcoming(schedule, after, n)
    if output is Output.JSON:
        _show_to_programs(schedule, after, lines)
    else:
        _show_zone(schedule, tz, after)
        _show_lines(schedule, after, lines, n)
    return 0


def _moment(text: str, schedule: Schedule) -> datetime:
    """What --from means: in the schedule's zone, unless it names its offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        wrong = f"{text!r} is no moment like 2026-03-28T12:00 or 2026-03-28T12:00:00Z"
        raise typer.BadParameter(wrong, param_hint="'--from'") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=load_zone(schedule.location).tz)


def _pointer(error: ScheduleSyntaxError) -> str:
    """The spec with a caret under the place that is wrong."""
    if not error.spec:
        return ""
    before = printable(error.spec[: error.position])
    return f"  {printable(error.spec)}\n  {' ' * cell_len(before)}^\n"


def _show_zone(schedule: Schedule, tz: str | None, after: datetime) -> None:
    if schedule.spec.startswith(("TZ=", "CRON_TZ=")):
        origin = "the spec says so"
    else:
        origin = "by --tz" if tz else "the default; see --tz"
    out = console()
    out.print(f"Zone   {schedule.location} ({origin}), {zone_now(schedule.location, after)}")
    rules = [_RULES[rule] for rule in (schedule.dialect, schedule.dst) if rule in _RULES]
    if rules:
        out.print(f"Rules  {', '.join(rules)}")


def _show_lines(schedule: Schedule, after: datetime, lines: Sequence[Line], n: int) -> None:
    out = console()
    if not lines:
        out.print("\nIt never runs.")
        return
    zone = load_zone(schedule.location)
    start_s = int(after.timestamp())
    rows: list[tuple[str, ...]] = []
    count = 0
    for line in lines:
        remarks = "; ".join(line.remarks)
        if line.skipped:
            rows.append(("-", local_text(line).replace("T", " "), "", "", remarks))
            continue
        count += 1
        local = f"{zone.datetime(line.at_s):%Y-%m-%d %H:%M:%S %a %Z}"
        utc = f"{from_unix_s(line.at_s):%Y-%m-%d %H:%M:%S}"
        rows.append((str(count), local, utc, span(line.at_s - start_s), remarks))
    out.print()
    show_table(("", "Local", "UTC", "In", "Remarks"), rows, fold=["Remarks"])
    if count < n:
        out.print("\nIt does not run again after that.")


def _show_to_programs(schedule: Schedule, after: datetime, lines: Sequence[Line]) -> None:
    zone = load_zone(schedule.location)
    show_json(
        {
            "spec": schedule.spec,
            "location": schedule.location,
            "dialect": schedule.dialect,
            "dst": schedule.dst,
            "from": after.isoformat(),
            "runs": [
                {
                    "local": zone.datetime(line.at_s).isoformat(),
                    "utc": iso(line.at_s * NANOSECONDS),
                    "remarks": line.remarks,
                }
                for line in lines
                if not line.skipped
            ],
            "skipped": [
                {"local": local_text(line), "times": line.skipped, "remarks": line.remarks}
                for line in lines
                if line.skipped
            ],
        }
    )
