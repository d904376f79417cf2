"""The command that runs a scheduler from a file: asynq-py scheduler run."""

from __future__ import annotations

import gc
import logging
import queue
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from asynq_py.cli.where import commands_of, connected
from asynq_py.connection import RedisConfig

app = commands_of("Run a scheduler.")


@app.command()
@connected
def run(
    where: RedisConfig,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .toml or .yaml file of tasks.")],
) -> int:
    """Run the scheduler that a file defines, until SIGINT or SIGTERM.

    Changes of the tasks in the file are taken over within a second or so; those of its
    table [scheduler] with the next start.
    """
    from asynq_py.cli.place import place_of
    from asynq_py.scheduler.manager import PeriodicTaskManager
    from asynq_py.scheduler.provider import FileProvider, load_file

    contents = load_file(file)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    manager = PeriodicTaskManager(
        where, FileProvider(file), sync_interval=contents.sync_interval, config=contents.config
    )
    with _until_signal() as ended, manager:
        count = len(manager.entries())
        typer.echo(
            f"Scheduler started: {count} {'entry' if count == 1 else 'entries'} of {file},"
            f" time zone {contents.config.location}, Redis {place_of(where)}"
        )
        sys.stdout.flush()
        # What is there stays: the garbage collector need not look through it again and again.
        gc.freeze()
        ended.get()
    typer.echo("Scheduler stopped")
    return 0


@contextmanager
def _until_signal() -> Iterator[queue.SimpleQueue[int]]:
    """SIGINT and SIGTERM are put into a queue, which is all a handler may safely do."""
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def note(number: int, frame: FrameType | None) -> None:
        signals.put(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
