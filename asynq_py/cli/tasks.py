"""What the commands `task ...` do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Protocol

import typer

from asynq_py.broker.steering import Progress
from asynq_py.cli.arguments import usage
from asynq_py.cli.asking import agreed, progress_bar
from asynq_py.cli.options import ListOutput, Output
from asynq_py.cli.output import (
    console,
    printable,
    show_done,
    show_json,
    show_json_lines,
    show_table,
)
from asynq_py.cli.task_shown import TABLES, describe, row, task_json
from asynq_py.clock import SYSTEM_CLOCK, from_unix_ns
from asynq_py.info import TaskInfo
from asynq_py.inspector.calls import check_group, check_state, check_target
from asynq_py.inspector.sync import Inspector
from asynq_py.options import check_text
from asynq_py.wire.gotext import quote
from asynq_py.wire.message import TaskState


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tasks are listed."""

    queue: str
    state: str
    group: str | None
    type: str | None
    error: str | None
    older_than: float | None

    @property
    def is_filtered(self) -> bool:
        return (self.type, self.error, self.older_than) != (None, None, None)


class MoveAll(Protocol):
    """What an inspector does with all tasks of a state."""

    def __call__(
        self,
        inspector: Inspector,
        /,
        queue: str,
        state: TaskState,
        *,
        group: str | None,
        progress: Progress | None,
    ) -> int: ...


@dataclass(frozen=True, slots=True)
class Bulk:
    """What is done with all tasks of a state."""

    move: MoveAll
    target: str
    verb: str
    done: str


def run_list(
    inspector: Inspector, selection: Selection, page: tuple[int, int] | None, output: ListOutput
) -> int:
    """Prints tasks, all or a page (its number and size); returns the exit code."""
    with usage():
        check_text("queue", selection.queue)
        state = check_state(selection.state)
        check_group(state, selection.group)
    tasks = _selected(inspector, selection, page)
    if output is ListOutput.JSONL:
        show_json_lines(map(task_json, tasks))
        return 0
    found = list(tasks)
    if output is ListOutput.JSON:
        show_json([task_json(task) for task in found])
    elif found:
        now_ns = SYSTEM_CLOCK.now_ns()
        styles = ["red" if task.damage else "" for task in found]
        rows = [row(task, now_ns) for task in found]
        show_table(TABLES[state], rows, fold=["Payload", "Result", "Last Error"], styles=styles)
    else:
        console().print(_none(selection, page))
    return 0


def run_inspect(inspector: Inspector, queue: str, task_id: str, output: Output) -> int:
    """Prints one task; returns the exit code."""
    with usage():
        task = inspector.get_task(queue, task_id)
    if output is Output.JSON:
        show_json(task_json(task))
    else:
        sys.stdout.write(describe(task, SYSTEM_CLOCK.now_ns()))
    return 0


def run_cancel(inspector: Inspector, task_ids: Sequence[str], output: Output) -> int:
    """Asks for tasks to be stopped; returns the exit code."""
    for task_id in task_ids:
        with usage():
            inspector.cancel_task(task_id)
        if output is Output.TABLE:
            typer.echo(printable(f"Sent cancelation signal for task {task_id}"))
    if output is Output.JSON:
        show_json([{"id": task_id} for task_id in task_ids])
    return 0


def run_one(
    act: Callable[[str, str], None],
    queue: str,
    task_id: str,
    done: str,
    state: TaskState | None,
    output: Output,
) -> int:
    """Acts on one task, which is then in a state or gone; returns the exit code."""
    with usage():
        act(queue, task_id)
    return show_done(output, done, {"queue": queue, "id": task_id, "state": state})


def run_bulk(
    inspector: Inspector,
    bulk: Bulk,
    queue: str,
    state: str,
    group: str | None,
    yes: bool,
    output: Output,
) -> int:
    """Acts on all tasks of a state; returns the exit code."""
    with usage():
        which = check_state(state)
        check_group(which, group)
        check_target(which, bulk.target)
    total = _count(inspector, queue, which, group)
    place = f"queue {quote(queue)}" if group is None else f"group {quote(group)} of {quote(queue)}"
    question = f"{bulk.verb} all {which} tasks of {place}, {total} now?"
    if not agreed(question, yes):
        return 1
    with usage(), progress_bar(f"{bulk.verb} {which} tasks", total) as progress:
        count = bulk.move(inspector, queue, which, group=group, progress=progress)
    facts = {"queue": queue, "state": which, "group": group, "moved": count}
    return show_done(output, f"{count} {bulk.done}", facts)


def show_enqueued(task: TaskInfo, output: Output) -> int:
    """Says that a task was enqueued; returns the exit code."""
    said = f"Enqueued task {task.id} to queue {task.queue}"
    return show_done(output, said, task_json(task))


def _selected(
    inspector: Inspector, selection: Selection, page: tuple[int, int] | None
) -> Iterator[TaskInfo]:
    queue, state, group = selection.queue, selection.state, selection.group
    if page is not None and not selection.is_filtered:
        number, size = page
        yield from inspector.list_tasks(queue, state, group=group, page=number, size=size)
        return
    older_than = None
    if selection.older_than is not None:
        now = from_unix_ns(SYSTEM_CLOCK.now_ns())
        older_than = now - timedelta(seconds=selection.older_than)
    tasks = inspector.iter_tasks(
        queue,
        state,
        group=group,
        type=selection.type,
        error=selection.error,
        older_than=older_than,
    )
    if page is None:
        yield from tasks
    else:
        number, size = page
        yield from islice(tasks, (number - 1) * size, number * size)


def _none(selection: Selection, page: tuple[int, int] | None) -> str:
    """Go's words, where they are true."""
    what = f"No {selection.state} tasks"
    if selection.is_filtered:
        what += " like that"
    if page is not None and page[0] > 1:
        what += f" on page {page[0]}"
    if selection.group is not None:
        return f"{what} in group {quote(selection.group)}"
    return f"{what} in {quote(selection.queue)} queue"


def _count(inspector: Inspector, queue: str, state: TaskState, group: str | None) -> int:
    if group is not None:
        return {g.group: g.size for g in inspector.groups(queue)}.get(group, 0)
    return int(getattr(inspector.queue_info(queue, memory=False), state.value))
