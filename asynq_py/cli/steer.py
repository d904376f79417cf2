"""The commands `cron pause`, `cron resume` and `cron trigger`."""

from __future__ import annotations

import typer

from asynq_py.broker.control import pause, read_paused, resume, trigger
from asynq_py.cli.entries import published, stops
from asynq_py.cli.output import note
from asynq_py.clock import SYSTEM_CLOCK
from asynq_py.connection.sync import Connection


def run_pause(connection: Connection, entry_id: str, group: str | None) -> int:
    """Pauses an entry; returns the exit code."""
    changed = connection.run(pause(entry_id, group, SYSTEM_CLOCK.now_ns()))
    typer.echo(f"{'Paused' if changed else 'Already paused:'} {_shown(entry_id, group)}")
    _note_unless_published(connection, entry_id)
    return 0


def run_resume(connection: Connection, entry_id: str, group: str | None) -> int:
    """Resumes an entry; returns the exit code."""
    changed = connection.run(resume(entry_id, group))
    typer.echo(f"{'Resumed' if changed else 'Not paused:'} {_shown(entry_id, group)}")
    names = sorted(name for name in connection.run(read_paused()) if stops(name, entry_id))
    for name in names:
        if name == entry_id:
            note(f"{_shown(entry_id, None)} is still paused in all groups: resume without --group")
        elif group is None:
            other = name.removesuffix(f"/{entry_id}")
            note(f"{_shown(entry_id, other)} is still paused: resume with --group {other}")
    return 0


def run_trigger(connection: Connection, entry_id: str, group: str | None) -> int:
    """Asks for a run of an entry; returns the exit code."""
    request_id = connection.run(trigger(entry_id, group))
    typer.echo(f"Triggered {_shown(entry_id, group)} (request {request_id})")
    _note_unless_published(connection, entry_id)
    return 0


def _note_unless_published(connection: Connection, entry_id: str) -> None:
    """Says that no scheduler shows such an entry: the ID may be mistyped."""
    entries = published(connection, SYSTEM_CLOCK.now_ns()).entries
    if all(entry.id != entry_id for entry in entries):
        note(f"no running scheduler shows an entry {entry_id!r} now")


def _shown(entry_id: str, group: str | None) -> str:
    return repr(entry_id) if group is None else f"{entry_id!r} in group {group!r}"
