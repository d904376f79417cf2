"""What is shown of a run: lines and tables, with rich if it is installed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The least that the tables need; a narrow terminal breaks the lines but loses nothing.
WIDTH = 118


@dataclass(frozen=True)
class Table:
    """A table; each row begins with its name."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Page:
    """All that people are shown."""

    head: tuple[str, ...]
    tables: tuple[Table, ...]
    foot: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What a run gave, for people and for programs."""

    page: Page
    data: Mapping[str, Any]


def described(known: Mapping[str, str], versions: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Lines about the machine, and the programs with the versions of their parts."""
    texts = dict(known)
    for program, parts in versions.items():
        texts[program] = ", ".join(f"{part} {version}" for part, version in parts.items())
    width = max(map(len, texts))
    return [f"{name.ljust(width)}  {text}" for name, text in texts.items()]


def show(page: Page) -> None:
    """Writes everything to stdout."""
    try:
        from rich.console import Console
    except ImportError:
        sys.stdout.write(_plain(page))
        return
    from rich.table import Table as RichTable

    console = Console(width=max(WIDTH, shutil.get_terminal_size().columns), highlight=False)
    console.print("\n".join(page.head), markup=False)
    for table in page.tables:
        shown = RichTable(title=f"\n{table.title}", title_justify="left", title_style="bold")
        shown.add_column("", no_wrap=True)
        for head in table.heads:
            shown.add_column(head, justify="right", no_wrap=True)
        for name, *cells in table.rows:
            style = "bold" if name.startswith("asynq_py") else ""
            shown.add_row(name, *cells, style=style)
        console.print(shown)
    console.print("\n".join(page.foot), markup=False, soft_wrap=True)


def _plain(page: Page) -> str:
    """The same without rich."""
    lines = list(page.head)
    for table in page.tables:
        grid = [("", *table.heads), *table.rows]
        widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
        lines += ["", table.title]
        for first, *cells in grid:
            padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
            lines.append("  ".join([first.ljust(widths[0]), *padded]).rstrip())
    return "\n".join([*lines, *page.foot]) + "\n"
