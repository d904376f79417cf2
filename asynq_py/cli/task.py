"""The commands around tasks: asynq-py task ..."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from asynq_py.broker.steering import ARCHIVE, DELETE, RUN
from asynq_py.cli.arguments import named, placed, span_value
from asynq_py.cli.enqueue import JSONOption, PayloadFileOption, enqueue
from asynq_py.cli.options import (
    GroupOption,
    IDArgument,
    IDOption,
    ListOutput,
    Output,
    OutputOption,
    QueueArgument,
    QueueOption,
    StateArgument,
    StateOption,
    YesOption,
)
from asynq_py.cli.where import commands_of, connected
from asynq_py.connection import RedisConfig
from asynq_py.inspector.sync import Inspector
from asynq_py.wire.message import TaskState

if TYPE_CHECKING:
    from asynq_py.cli.tasks import MoveAll

app = commands_of("Enqueue tasks, look at them and steer them.")
app.command("enqueue")(enqueue)

PayloadArgument: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="PAYLOAD", help='Text; "-" reads standard input.')
]
PayloadOption: TypeAlias = Annotated[
    str | None, typer.Option("--payload", "-l", metavar="PAYLOAD", help="The same.")
]


@app.command("list", hidden=True)
@app.command("ls")
@connected
def list_(
    where: RedisConfig,
    queue: QueueArgument = None,
    state: StateArgument = None,
    q: QueueOption = None,
    s: StateOption = None,
    group: GroupOption = None,
    page: Annotated[int, typer.Option(min=1, help="Which page.")] = 1,
    size: Annotated[int, typer.Option(min=1, max=10_000, help="Tasks on a page.")] = 30,
    type: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help='Only of this type; "*" and "?" stand for anything.'),
    ] = None,
    error: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only those that failed with this in the error."),
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(
            metavar="SPAN",
            parser=span_value,
            help="Only those done, failed or due longer ago, like 90 or 1h30m.",
        ),
    ] = None,
    all: Annotated[
        bool, typer.Option("--all", help="No pages but all tasks; as JSON lines by default.")
    ] = False,
    output: Annotated[
        ListOutput | None,
        typer.Option(
            "--output",
            metavar="table|json|jsonl",
            help="For people or for programs; by default table.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """List the tasks of a state, the next to run (or to go) first."""
    from asynq_py.cli.tasks import Selection, run_list

    name, word = named({"QUEUE": q, "STATE": s}, queue, state)
    if all and page != 1:
        raise typer.BadParameter("--all has no pages")
    selection = Selection(name, word, group, type, error, older_than)
    how = output or (ListOutput.JSONL if all else ListOutput.TABLE)
    with Inspector(where) as inspector:
        return run_list(inspector, selection, None if all else (page, size), how)


@app.command()
@connected
def inspect(
    where: RedisConfig,
    queue: QueueArgument = None,
    task_id: IDArgument = None,
    q: QueueOption = None,
    i: IDOption = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """Show one task, with its whole payload."""
    from asynq_py.cli.tasks import run_inspect

    name, id_ = named({"QUEUE": q, "ID": i}, queue, task_id)
    with Inspector(where) as inspector:
        return run_inspect(inspector, name, id_, output)


@app.command()
@connected
def cancel(
    where: RedisConfig,
    task_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Of active tasks.")],
    output: OutputOption = Output.TABLE,
) -> int:
    """Ask the workers that run tasks to stop; nobody answers."""
    from asynq_py.cli.tasks import run_cancel

    with Inspector(where) as inspector:
        return run_cancel(inspector, task_ids, output)


def _on_one(
    move: Callable[[Inspector, str, str], None], done: str, state: TaskState | None
) -> Callable[..., int]:
    """A command that brings one task to a state; None where it is then gone."""

    @connected
    def command(
        where: RedisConfig,
        queue: QueueArgument = None,
        task_id: IDArgument = None,
        q: QueueOption = None,
        i: IDOption = None,
        output: OutputOption = Output.TABLE,
    ) -> int:
        from asynq_py.cli.tasks import run_one

        name, id_ = named({"QUEUE": q, "ID": i}, queue, task_id)
        with Inspector(where) as inspector:
            return run_one(partial(move, inspector), name, id_, done, state, output)

    return command


app.command(
    "run", help="Make a task pending, whatever it waits for; also if it is archived or completed."
)(_on_one(Inspector.run_task, "task is now pending", TaskState.PENDING))
app.command("archive", help="Have a task never run, and keep it to look at.")(
    _on_one(Inspector.archive_task, "task archived", TaskState.ARCHIVED)
)
for _name in ("delete", "remove", "rm"):
    app.command(
        _name, help="Delete a task, and free its uniqueness lock.", hidden=_name != "delete"
    )(_on_one(Inspector.delete_task, "task deleted", None))


@app.command()
@connected
def update(
    where: RedisConfig,
    queue: QueueArgument = None,
    task_id: IDArgument = None,
    payload: PayloadArgument = None,
    q: QueueOption = None,
    i: IDOption = None,
    p: PayloadOption = None,
    payload_file: PayloadFileOption = None,
    json: JSONOption = False,
    output: OutputOption = Output.TABLE,
) -> int:
    """Give a scheduled task another payload; its uniqueness lock stays as it is."""
    from asynq_py.cli.payload import payload_of
    from asynq_py.cli.tasks import run_one

    name, id_, text = placed({"QUEUE": q, "ID": i, "PAYLOAD": p}, queue, task_id, payload)
    data = payload_of(text, payload_file, json)
    if name is None or id_ is None or data is None:
        raise typer.BadParameter("QUEUE, ID and PAYLOAD are needed")
    with Inspector(where) as inspector:
        return run_one(
            lambda queue, id_: inspector.update_payload(queue, id_, data),
            *(name, id_, "payload updated", TaskState.SCHEDULED, output),
        )


def _on_all(move: MoveAll, target: str, verb: str, done: str) -> Callable[..., int]:
    """A command that does something with all tasks of a state."""

    @connected
    def command(
        where: RedisConfig,
        queue: QueueArgument = None,
        state: StateArgument = None,
        q: QueueOption = None,
        s: StateOption = None,
        group: GroupOption = None,
        yes: YesOption = False,
        output: OutputOption = Output.TABLE,
    ) -> int:
        from asynq_py.cli.tasks import Bulk, run_bulk

        name, word = named({"QUEUE": q, "STATE": s}, queue, state)
        with Inspector(where) as inspector:
            bulk = Bulk(move, target, verb, done)
            return run_bulk(inspector, bulk, name, word, group, yes, output)

    return command


app.command(
    "runall",
    help="Make all tasks of a state pending: scheduled, retry, archived, completed, aggregating.",
)(_on_all(Inspector.run_all, RUN, "Run", "tasks are now pending"))
app.command(
    "archiveall",
    help="Archive all tasks of a state: pending, scheduled, retry, completed, aggregating.",
)(_on_all(Inspector.archive_all, ARCHIVE, "Archive", "tasks archived"))
app.command(
    "deleteall",
    help="Delete all tasks of a state, whichever but active, and free their uniqueness locks.",
)(_on_all(Inspector.delete_all, DELETE, "Delete", "tasks deleted"))
