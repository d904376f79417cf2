"""The commands `cron pause`, `cron resume` and `cron trigger`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from asynq_py.broker.control import pause, read_paused, resume, trigger
from asynq_py.cli.entries import published, stops
from asynq_py.cli.options import Output
from asynq_py.cli.output import note, show_done
from asynq_py.clock import SYSTEM_CLOCK
from asynq_py.connection.sync import Connection
from asynq_py.wire.gotext import quote

#: Steers an entry, maybe of one group only; returns the exit code.
Steer: TypeAlias = Callable[[Connection, str, str | None, Output], int]


def run_pause(connection: Connection, entry_id: str, group: str | None, output: Output) -> int:
    """Pauses an entry; returns the exit code."""
    changed = connection.run(pause(entry_id, group, SYSTEM_CLOCK.now_ns()))
    said = f"{'Paused' if changed else 'Already paused:'} {_shown(entry_id, group)}"
    facts = {"id": entry_id, "group": group, "paused": True, "changed": changed}
    code = show_done(output, said, facts)
    _note_unless_published(connection, entry_id)
    return code


def run_resume(connection: Connection, entry_id: str, group: str | None, output: Output) -> int:
    """Resumes an entry; returns the exit code."""
    changed = connection.run(resume(entry_id, group))
    said = f"{'Resumed' if changed else 'Not paused:'} {_shown(entry_id, group)}"
    facts = {"id": entry_id, "group": group, "paused": False, "changed": changed}
    code = show_done(output, said, facts)
    names = sorted(name for name in connection.run(read_paused()) if stops(name, entry_id))
    for name in names:
        if name == entry_id:
            note(f"{_shown(entry_id, None)} is still paused in all groups: resume without --group")
        elif group is None:
            other = name.removesuffix(f"/{entry_id}")
            note(f"{_shown(entry_id, other)} is still paused: resume with --group {other}")
    if not changed and not names:
        _note_unless_published(connection, entry_id)
    return code


def run_trigger(connection: Connection, entry_id: str, group: str | None, output: Output) -> int:
    """Asks for a run of an entry; returns the exit code."""
    request_id = connection.run(trigger(entry_id, group))
    said = f"Triggered {_shown(entry_id, group)} (request {request_id})"
    facts = {"id": entry_id, "group": group, "request": request_id}
    code = show_done(output, said, facts)
    _note_unless_published(connection, entry_id)
    return code


def _note_unless_published(connection: Connection, entry_id: str) -> None:
    """Says that no scheduler shows such an entry: the ID may be mistyped."""
    entries = published(connection, SYSTEM_CLOCK.now_ns()).entries
    if all(entry.id != entry_id for entry in entries):
        note(f"no running scheduler shows an entry {quote(entry_id)} now")


def _shown(entry_id: str, group: str | None) -> str:
    name = quote(entry_id)
    return name if group is None else f"{name} in group {quote(group)}"
