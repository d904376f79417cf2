"""How things are printed: tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from asynq_py.clock import NANOSECONDS, from_unix_ns
from asynq_py.wire.gotext import duration

#: The widest that a table is where it is not shown on a terminal: as wide as it needs.
_UNLIMITED = 100_000
#: The narrowest that a column is folded to.
_FOLDED_TO = 24


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, fold: str = "") -> None:
    """Prints a table.

    Args:
        fold: The columns that break their lines where the terminal is narrow, by their names.
            Where not even that is enough, whole lines are left to the terminal to break.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column not in fold.split(), overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    out = console()
    fixed = sum(
        2 + max(cell_len(cell) for cell in cells)
        for cells in zip(columns, *rows, strict=True)
        if cells[0] not in fold.split()
    )
    if out.width - fixed < _FOLDED_TO * len(fold.split()):
        out.width = _UNLIMITED
    with out.capture() as captured:
        out.print(table)
    # The cells of the last column are filled up with blanks.
    for line in captured.get().splitlines():
        sys.stdout.write(line.rstrip() + "\n")


def show_json(data: object) -> None:
    """Prints data as JSON."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")


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


def until(at_ns: int | None, now_ns: int) -> str:
    """When something happens, as Go's tools say it: "In 12s", "Now"; "never" for None."""
    if at_ns is None:
        return "never"
    left_s = _rounded_s(at_ns - now_ns)
    return f"In {duration(left_s * NANOSECONDS)}" if left_s > 0 else "Now"


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


def _rounded_s(ns: int) -> int:
    return (ns + NANOSECONDS // 2) // NANOSECONDS
