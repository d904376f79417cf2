"""Asking before much is lost, and showing how far long work is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer


def agreed(question: str, yes: bool) -> bool:
    """Whether a user wants it: asked on a terminal, unless --yes says so.

    Raises:
        typer.Exit: With 2: nobody can be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        sys.stderr.write("asynq-py: nobody can be asked here; --yes does it without asking\n")
        raise typer.Exit(2)
    if typer.confirm(question, err=True):
        return True
    sys.stderr.write("asynq-py: nothing was changed\n")
    return False


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error, if that is a terminal and there is work, until it is done."""
    if not total or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
