"""The commands around groups: asynq-py group ..."""

from __future__ import annotations

from asynq_py.cli.arguments import named
from asynq_py.cli.options import Output, OutputOption, QueueArgument, QueueOption
from asynq_py.cli.where import commands_of, connected
from asynq_py.connection import RedisConfig
from asynq_py.inspector.sync import Inspector

app = commands_of("Look at groups of tasks.")


@app.command("list", hidden=True)
@app.command("ls")
@connected
def list_(
    where: RedisConfig,
    queue: QueueArgument = None,
    q: QueueOption = None,
    output: OutputOption = Output.TABLE,
) -> int:
    """List the groups of a queue in which tasks wait for each other."""
    from asynq_py.cli.queues import run_groups

    (name,) = named({"QUEUE": q}, queue)
    with Inspector(where) as inspector:
        return run_groups(inspector, name, output)
