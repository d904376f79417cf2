"""The commands around queues: asynq-py queue ..."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from asynq_py.cli.completion import queues as known_queues
from asynq_py.cli.options import Output, OutputOption, YesOption
from asynq_py.cli.where import commands_of, connected
from asynq_py.connection import RedisConfig
from asynq_py.inspector.sync import Inspector

app = commands_of("Look at queues, pause and remove them.")

QueuesArgument: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="QUEUE...", help="Their names.", autocompletion=known_queues),
]


@app.command("list", hidden=True)
@app.command("ls")
@connected
def list_(where: RedisConfig, output: OutputOption = Output.TABLE) -> int:
    """List the names of all queues; of a cluster, with the nodes that hold them."""
    from asynq_py.cli.queues import run_list

    with Inspector(where) as inspector:
        return run_list(inspector, where.kind == "cluster", output)


@app.command()
@connected
def inspect(where: RedisConfig, queues: QueuesArgument, output: OutputOption = Output.TABLE) -> int:
    """Show how much is in queues, and what became of today's tasks."""
    from asynq_py.cli.queues import run_inspect

    with Inspector(where) as inspector:
        return run_inspect(inspector, queues, output)


@app.command()
@connected
def history(
    where: RedisConfig,
    queues: QueuesArgument,
    days: Annotated[
        int, typer.Option("--days", "-x", min=1, max=90, help="How many, today first.")
    ] = 10,
    output: OutputOption = Output.TABLE,
) -> int:
    """Show what became of the tasks of queues, day by day."""
    from asynq_py.cli.queues import run_history

    with Inspector(where) as inspector:
        return run_history(inspector, queues, days, output)


@app.command()
@connected
def pause(where: RedisConfig, queues: QueuesArgument, output: OutputOption = Output.TABLE) -> int:
    """Have workers take nothing from queues until they are resumed."""
    from asynq_py.cli.queues import run_pause

    with Inspector(where) as inspector:
        return run_pause(inspector, queues, output)


@app.command("unpause")
@app.command("resume")
@connected
def resume(where: RedisConfig, queues: QueuesArgument, output: OutputOption = Output.TABLE) -> int:
    """Have workers take from queues again; resume and unpause are the same."""
    from asynq_py.cli.queues import run_resume

    with Inspector(where) as inspector:
        return run_resume(inspector, queues, output)


@app.command("delete", hidden=True)
@app.command("remove", hidden=True)
@app.command("rm")
@connected
def remove(
    where: RedisConfig,
    queues: QueuesArgument,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="With their tasks, unless one is active.")
    ] = False,
    yes: YesOption = False,
    output: OutputOption = Output.TABLE,
) -> int:
    """Remove queues with all that belongs to them, if they are empty or it is forced."""
    from asynq_py.cli.queues import run_remove

    with Inspector(where) as inspector:
        return run_remove(inspector, queues, force, yes, output)
