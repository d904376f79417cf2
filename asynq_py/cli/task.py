"""The commands around tasks: asynq-py task ..."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

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
from asynq_py.cli.where import connected
from asynq_py.connection import RedisConfig
from asynq_py.inspector.sync import Inspector

app = typer.Typer(help="Enqueue tasks, look at them and steer them.", no_args_is_help=True)
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
) -> int:
    """Ask the workers that run tasks to stop; nobody answers."""
    from asynq_py.cli.tasks import run_cancel

    with Inspector(where) as inspector:
        return run_cancel(inspector, task_ids)


@app.command()
@connected
def run(
    where: RedisConfig,
    queue: QueueArgument = None,
    task_id: IDArgument = None,
    q: QueueOption = None,
    i: IDOption = None,
) -> int:
    """Make a task pending, whatever it waits for; also if it is archived or completed."""
    from asynq_py.cli.tasks import run_one

    name, id_ = named({"QUEUE": q, "ID": i}, queue, task_id)
    with Inspector(where) as inspector:
        return run_one(inspector.run_task, name, id_, "task is now pending")


@app.command()
@connected
def archive(
    where: RedisConfig,
    queue: QueueArgument = None,
    task_id: IDArgument = None,
    q: QueueOption = None,
    i: IDOption = None,
) -> int:
    """Have a task never run, and keep it to look at."""
    from asynq_py.cli.tasks import run_one

    name, id_ = named({"QUEUE": q, "ID": i}, queue, task_id)
    with Inspector(where) as inspector:
        return run_one(inspector.archive_task, name, id_, "task archived")


@app.command("remove", hidden=True)
@app.command("rm", hidden=True)
@app.command("delete")
@connected
def delete(
    where: RedisConfig,
    queue: QueueArgument = None,
    task_id: IDArgument = None,
    q: QueueOption = None,
    i: IDOption = None,
) -> int:
    """Delete a task, and free its uniqueness lock."""
    from asynq_py.cli.tasks import run_one

    name, id_ = named({"QUEUE": q, "ID": i}, queue, task_id)
    with Inspector(where) as inspector:
        return run_one(inspector.delete_task, name, id_, "task deleted")


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
            name,
            id_,
            "payload updated",
        )


@app.command()
@connected
def runall(
    where: RedisConfig,
    queue: QueueArgument = None,
    state: StateArgument = None,
    q: QueueOption = None,
    s: StateOption = None,
    group: GroupOption = None,
    yes: YesOption = False,
) -> int:
    """Make all tasks of a state pending: scheduled, retry, archived, completed, aggregating."""
    from asynq_py.cli.tasks import Bulk, run_bulk

    name, word = named({"QUEUE": q, "STATE": s}, queue, state)
    with Inspector(where) as inspector:
        bulk = Bulk(inspector.run_all, "Run", "tasks are now pending")
        return run_bulk(inspector, bulk, name, word, group, yes)


@app.command()
@connected
def archiveall(
    where: RedisConfig,
    queue: QueueArgument = None,
    state: StateArgument = None,
    q: QueueOption = None,
    s: StateOption = None,
    group: GroupOption = None,
    yes: YesOption = False,
) -> int:
    """Archive all tasks of a state: pending, scheduled, retry, completed, aggregating."""
    from asynq_py.cli.tasks import Bulk, run_bulk

    name, word = named({"QUEUE": q, "STATE": s}, queue, state)
    with Inspector(where) as inspector:
        bulk = Bulk(inspector.archive_all, "Archive", "tasks archived")
        return run_bulk(inspector, bulk, name, word, group, yes)


@app.command()
@connected
def deleteall(
    where: RedisConfig,
    queue: QueueArgument = None,
    state: StateArgument = None,
    q: QueueOption = None,
    s: StateOption = None,
    group: GroupOption = None,
    yes: YesOption = False,
) -> int:
    """Delete all tasks of a state, whichever but active, and free their uniqueness locks."""
    from asynq_py.cli.tasks import Bulk, run_bulk

    name, word = named({"QUEUE": q, "STATE": s}, queue, state)
    with Inspector(where) as inspector:
        bulk = Bulk(inspector.delete_all, "Delete", "tasks deleted")
        return run_bulk(inspector, bulk, name, word, group, yes)
