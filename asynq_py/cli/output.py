"""How things are printed: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from asynq_py.cli.options import Output
from asynq_py.clock import NANOSECONDS, from_unix_ns, unix_ns
from asynq_py.wire.gotext import duration

#: The widest that a table is where it is not shown on a terminal: as wide as it needs.
_UNLIMITED = 100_000
#: The narrowest that a column is folded to.
_FOLDED_TO = 24
#: The most characters of a payload or an error that a table shows.
CELL_SHOWN = 80
#: What parts one queue, or entry, from the next.
SEPARATOR = "=" * 49


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    fold: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> None:
    """Prints a table; see :func:`table_text`."""
    sys.stdout.write(table_text(columns, rows, fold=fold, styles=styles))


def table_text(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    fold: Sequence[str] = (),
    styles: Sequence[str] = (),
) -> str:
    """A table, with colours if it is for a terminal.

    Args:
        columns: Their names; printable.
        rows: Their cells.
        fold: The columns that break their lines where the terminal is narrow, by their names.
            Where not even that is enough, whole lines are left to the terminal to break.
        styles: How each row looks, if not plain.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column not in fold, overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(*map(printable, row), style=styles[number] if styles else None)
    out = console()
    fixed = sum(
        2 + max(cell_len(cell) for cell in cells)
        for cells in zip(columns, *rows, strict=True)
        if cells[0] not in fold
    )
    if out.width - fixed < _FOLDED_TO * sum(column in fold for column in columns):
        out.width = _UNLIMITED
    with out.capture() as captured:
        out.print(table)
    # The cells of the last column are filled up with blanks.
    return "".join(line.rstrip() + "\n" for line in captured.get().splitlines())


def heading(text: str) -> str:
    """A line in bold, if it is for a terminal."""
    out = console()
    with out.capture() as captured:
        out.print(text, style="bold")
    return captured.get()


def show_json(data: object) -> None:
    """Prints data as JSON."""
    sys.stdout.write(_utf8(json.dumps(data, indent=2, ensure_ascii=False)) + "\n")


def show_done(output: Output, said: str, facts: object) -> int:
    """Says what was done, to people in a line, to programs as JSON; returns the exit code."""
    if output is Output.JSON:
        show_json(facts)
    else:
        sys.stdout.write(printable(said) + "\n")
    return 0


def show_json_lines(items: Iterable[object]) -> None:
    """Prints each item as a line of JSON as soon as it is there."""
    for item in items:
        line = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
        sys.stdout.write(_utf8(line) + "\n")


def note(text: str) -> None:
    """Says something beside the output, on standard error."""
    sys.stderr.write(f"asynq-py: {printable(text)}\n")


def console() -> Console:
    """Where tables and notes are printed; lines are broken on terminals only.

    What stands in Redis is printed as it is: "[red]" is no colour, ":x:" no picture.
    """
    width = None if sys.stdout.isatty() else _UNLIMITED
    return Console(highlight=False, markup=False, emoji=False, width=width)


def printable(text: str) -> str:
    """Text in which nothing steers the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cell(text: str) -> str:
    """Text that is not too long for a table."""
    return text if len(text) <= CELL_SHOWN else text[: CELL_SHOWN - 1] + "…"


def bytes_text(data: bytes) -> str:
    """What bytes say to people, in the words of Go's tools where they say nothing."""
    text = _text(data)
    if text is None or not text.isprintable():
        return "non-printable bytes"
    return text


def bytes_json(name: str, data: bytes) -> dict[str, str]:
    """Bytes for programs: under their name if they are text, else in base 64."""
    text = _text(data)
    if text is not None:
        return {name: text}
    return {f"{name}_base64": b64encode(data).decode()}


def moment_text(at: datetime | None) -> str:
    """A moment for people."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def moment_json(at: datetime | None) -> str | None:
    """A moment for programs."""
    return None if at is None else iso(unix_ns(at))


def error_rate(processed: int, failed: int) -> str:
    """How much of it failed, as Go's tools say it."""
    return f"{failed / processed:.2%}" if processed else "N/A"


def until(at_ns: int | None, now_ns: int) -> str:
    """When something happens, as Go's tools say it: "in 12s", "now"; "never" for None."""
    if at_ns is None:
        return "never"
    left_s = _rounded_s(at_ns - now_ns)
    return f"in {duration(left_s * NANOSECONDS)}" if left_s > 0 else "now"


def since(at_ns: int | None, now_ns: int) -> str:
    """When something happened, as Go's tools say it: "3s ago"; "N/A" for None."""
    if at_ns is None:
        return "N/A"
    return f"{duration(max(0, _rounded_s(now_ns - at_ns)) * NANOSECONDS)} ago"


def iso(at_ns: int | None) -> str | None:
    """A moment in UTC for programs."""
    return None if at_ns is None else from_unix_ns(at_ns).isoformat().replace("+00:00", "Z")


def span(seconds: int) -> str:
    """A span for people, in its two largest units: "3d 4h"."""
    parts = []
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, seconds = divmod(seconds, unit)
        if count:
            parts.append(f"{count}{name}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0s"


def _utf8(text: str) -> str:
    """JSON in which what has no UTF-8 form, as of names that are no UTF-8, is escaped."""
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _rounded_s(ns: int) -> int:
    return (ns + NANOSECONDS // 2) // NANOSECONDS
