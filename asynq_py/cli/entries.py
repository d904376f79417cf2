"""The commands `cron ls` and `cron history`: what schedulers, Go's too, show of themselves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

from asynq_py.broker.control import read_paused
from asynq_py.broker.presence import (
    PublishedEntries,
    list_schedulers,
    read_scheduler_entries,
)
from asynq_py.cli.arguments import usage
from asynq_py.cli.options import Output
from asynq_py.cli.output import (
    SEPARATOR,
    bytes_json,
    bytes_text,
    cell,
    console,
    iso,
    moment_json,
    moment_text,
    printable,
    show_json,
    show_table,
    since,
    until,
)
from asynq_py.clock import SYSTEM_CLOCK, unix_ns
from asynq_py.connection.sync import Connection
from asynq_py.inspector.sync import Inspector
from asynq_py.wire.presence import SchedulerEntry, timestamp_ns


def run_list(connection: Connection, output: Output) -> int:
    """Prints the entries of all running schedulers; returns the exit code."""
    now_ns = SYSTEM_CLOCK.now_ns()
    entries, unreadable = published(connection, now_ns)
    paused = connection.run(read_paused())
    entries.sort(key=_order)
    if output is Output.JSON:
        show_json([_to_programs(entry, paused) for entry in entries])
    elif entries:
        columns = ("EntryID", "Spec", "Type", "Payload", "Options", "Next", "Prev")
        rows = [_to_people(entry, paused, now_ns) for entry in entries]
        show_table(columns, rows, fold=["Payload", "Options"])
    else:
        console().print("No scheduler entries")
    if unreadable:
        sys.stderr.write(f"asynq-py: {unreadable} more could not be read\n")
    return 0


def run_history(
    inspector: Inspector, entry_ids: Sequence[str], page: int, size: int, output: Output
) -> int:
    """Prints a page of the runs of each entry; returns the exit code."""
    with usage():
        found = [
            (entry_id, inspector.scheduler_history(entry_id, page=page, size=size))
            for entry_id in entry_ids
        ]
    if output is Output.JSON:
        show_json(
            [
                {
                    "entry": entry_id,
                    "task_id": run.task_id,
                    "enqueued_at": moment_json(run.enqueued_at),
                }
                for entry_id, runs in found
                for run in runs
            ]
        )
        return 0
    now_ns = SYSTEM_CLOCK.now_ns()
    for number, (entry_id, runs) in enumerate(found):
        if number:
            console().print(f"\n{SEPARATOR}\n")
        console().print(f"Entry: {printable(entry_id)}\n")
        if runs:
            rows = [(run.task_id, _enqueued(run.enqueued_at, now_ns)) for run in runs]
            show_table(("TaskID", "EnqueuedAt"), rows)
        else:
            console().print("No runs are known" + (f" on page {page}" if page > 1 else ""))
    return 0


def published(connection: Connection, now_ns: int) -> PublishedEntries:
    """The entries of all schedulers that show some now."""
    return connection.run(read_scheduler_entries(connection.run(list_schedulers(now_ns))))


def stops(control_name: str, entry_id: str) -> bool:
    """Whether what is paused by that name is this entry, in all groups or in one."""
    return control_name == entry_id or control_name.endswith(f"/{entry_id}")


def _order(entry: SchedulerEntry) -> tuple[bool, int, str]:
    next_ns = timestamp_ns(entry.next_enqueue_time)
    return next_ns is None, next_ns or 0, entry.id


def _to_people(entry: SchedulerEntry, paused: set[str], now_ns: int) -> tuple[str, ...]:
    when = until(timestamp_ns(entry.next_enqueue_time), now_ns).capitalize()
    names = sorted(name for name in paused if stops(name, entry.id))
    if entry.id in names:
        when = "Paused"
    elif names:
        # An entry that is shown does not tell its group.
        when += f" (paused in {', '.join(name.removesuffix('/' + entry.id) for name in names)})"
    return (
        entry.id,
        entry.spec,
        entry.task_type,
        cell(bytes_text(entry.task_payload)),
        ", ".join(entry.enqueue_options),
        when,
        since(timestamp_ns(entry.prev_enqueue_time), now_ns),
    )


def _to_programs(entry: SchedulerEntry, paused: set[str]) -> dict[str, object]:
    return {
        "id": entry.id,
        "spec": entry.spec,
        "type": entry.task_type,
        **bytes_json("payload", entry.task_payload),
        "options": list(entry.enqueue_options),
        "next": iso(timestamp_ns(entry.next_enqueue_time)),
        "prev": iso(timestamp_ns(entry.prev_enqueue_time)),
        "paused": sorted(name for name in paused if stops(name, entry.id)),
    }


def _enqueued(at: datetime | None, now_ns: int) -> str:
    return "N/A" if at is None else f"{moment_text(at)} ({since(unix_ns(at), now_ns)})"
