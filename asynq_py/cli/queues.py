"""What the commands `queue ...` and `group ls` do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields

import typer

from asynq_py.cli.arguments import usage
from asynq_py.cli.asking import agreed, progress_bar
from asynq_py.cli.options import Output
from asynq_py.cli.output import (
    SEPARATOR,
    console,
    error_rate,
    heading,
    moment_json,
    note,
    printable,
    show_json,
    show_table,
)
from asynq_py.errors import ConflictError, NotFoundError, QueueNotEmptyError
from asynq_py.inspector.info import DailyStats, QueueInfo
from asynq_py.inspector.sync import Inspector
from asynq_py.wire.gotext import quote
from asynq_py.wire.message import TaskState

#: The order in which Go's tools show the states.
STATES = (
    TaskState.ACTIVE,
    TaskState.PENDING,
    TaskState.AGGREGATING,
    TaskState.SCHEDULED,
    TaskState.RETRY,
    TaskState.ARCHIVED,
    TaskState.COMPLETED,
)


def run_list(inspector: Inspector, is_cluster: bool, output: Output) -> int:
    """Prints the names of all queues; returns the exit code."""
    if output is Output.JSON:
        found = [asdict(sizes) for sizes in inspector.queue_sizes()]
        if is_cluster:
            for queue in found:
                queue["keyslot"] = inspector.queue_keyslot(queue["queue"])
                queue["nodes"] = [asdict(n) for n in inspector.cluster_nodes(queue["queue"])]
        show_json(found)
    elif is_cluster:
        rows = [
            (
                name,
                str(inspector.queue_keyslot(name)),
                ", ".join(node.address for node in inspector.cluster_nodes(name)),
            )
            for name in inspector.queues()
        ]
        show_table(("Queue", "Cluster KeySlot", "Cluster Nodes"), rows)
    else:
        names = inspector.queues()
        for name in names:
            typer.echo(printable(name))
        if not names:  # not among the output, which has names and nothing else
            note("there are no queues")
    return 0


def run_inspect(inspector: Inspector, queues: Sequence[str], output: Output) -> int:
    """Prints all about queues; returns the exit code."""
    found: list[QueueInfo] = []
    code = each(queues, lambda queue: found.append(inspector.queue_info(queue)))
    if output is Output.JSON:
        show_json([queue_json(info) for info in found])
        return code
    for number, info in enumerate(found):
        if number:
            typer.echo(f"\n{SEPARATOR}\n")
        _show_info(info)
    return code


def run_history(inspector: Inspector, queues: Sequence[str], days: int, output: Output) -> int:
    """Prints the days of queues; returns the exit code."""
    found: list[tuple[str, list[DailyStats]]] = []
    code = each(queues, lambda queue: found.append((queue, inspector.history(queue, days))))
    if output is Output.JSON:
        show_json(
            [
                {
                    "queue": day.queue,
                    "date": day.date.date().isoformat(),
                    "processed": day.processed,
                    "failed": day.failed,
                }
                for _, stats in found
                for day in stats
            ]
        )
        return code
    for number, (queue, stats) in enumerate(found):
        if number:
            typer.echo(f"\n{SEPARATOR}\n")
        typer.echo(f"Queue: {printable(queue)}\n")
        rows = [(f"{day.date:%Y-%m-%d}", *daily(day.processed, day.failed)) for day in stats]
        show_table(("date (UTC)", "processed", "failed", "error rate"), rows)
    return code


def run_pause(inspector: Inspector, queues: Sequence[str], output: Output) -> int:
    """Pauses queues; returns the exit code."""

    def pause(queue: str) -> None:
        inspector.pause_queue(queue)
        if queue not in inspector.queues():
            note(f"there is no queue {quote(queue)} yet")

    return _change(queues, pause, "paused", {"paused": True}, output)


def run_resume(inspector: Inspector, queues: Sequence[str], output: Output) -> int:
    """Resumes queues; returns the exit code."""
    return _change(queues, inspector.unpause_queue, "unpaused", {"paused": False}, output)


def run_remove(
    inspector: Inspector, queues: Sequence[str], force: bool, yes: bool, output: Output
) -> int:
    """Removes queues; returns the exit code."""
    if force:
        names = ", ".join(quote(queue) for queue in queues)
        word, whose = ("queue", "its") if len(queues) == 1 else ("queues", "their")
        if not agreed(f"Remove {word} {names} with all {whose} tasks?", yes):
            return 1

    def remove(queue: str) -> None:
        total = inspector.queue_info(queue, memory=False).size if force else 0
        with progress_bar(f"Removing {quote(queue)}", total) as progress:
            try:
                inspector.delete_queue(queue, force, progress=progress)
            except QueueNotEmptyError as error:
                if force:
                    raise
                raise QueueNotEmptyError(f"{error}; --force removes it with its tasks") from None

    return _change(queues, remove, "removed", {"removed": True}, output)


def run_groups(inspector: Inspector, queue: str, output: Output) -> int:
    """Prints the groups of a queue; returns the exit code."""
    with usage():
        found = inspector.groups(queue)
    if output is Output.JSON:
        show_json([asdict(group) for group in found])
    elif found:
        for group in found:
            typer.echo(printable(group.group))
    else:
        console().print(f"No groups found in queue {quote(queue)}")
    return 0


def each(queues: Sequence[str], act: Callable[[str], None]) -> int:
    """Acts on each queue, whatever becomes of the others; returns the exit code."""
    code = 0
    for queue in queues:
        try:
            with usage():
                act(queue)
        except (NotFoundError, ConflictError) as error:
            note(str(error))
            code = 1
    return code


def _change(
    queues: Sequence[str],
    change: Callable[[str], None],
    done: str,
    facts: Mapping[str, object],
    output: Output,
) -> int:
    """Changes each queue and says so; returns the exit code."""
    changed: list[dict[str, object]] = []

    def change_one(queue: str) -> None:
        change(queue)
        changed.append({"queue": queue, **facts})
        if output is Output.TABLE:
            typer.echo(f"Successfully {done} queue {quote(queue)}")

    code = each(queues, change_one)
    if output is Output.JSON:
        show_json(changed)
    return code


def queue_json(info: QueueInfo) -> dict[str, object]:
    """A queue for programs."""
    found = {field.name: getattr(info, field.name) for field in fields(info)}
    return found | {
        "latency": info.latency.total_seconds(),
        "timestamp": moment_json(info.timestamp),
    }


def daily(processed: int, failed: int) -> tuple[str, str, str]:
    """What became of the tasks of a day: processed, failed, error rate."""
    return str(processed), str(failed), error_rate(processed, failed)


def _show_info(info: QueueInfo) -> None:
    out = sys.stdout
    out.write(heading("Queue Info"))
    out.write(f"Name:   {printable(info.queue)}\n")
    out.write(f"Size:   {info.size}\n")
    out.write(f"Groups: {info.groups}\n")
    out.write(f"Paused: {str(info.paused).lower()}\n\n")
    out.write(heading("Task Count by State"))
    show_table([state.value for state in STATES], [[str(getattr(info, s)) for s in STATES]])
    out.write("\n" + heading(f"Daily Stats {info.timestamp:%Y-%m-%d} UTC"))
    columns = ("processed", "failed", "error rate")
    show_table(columns, [daily(info.processed, info.failed)])
