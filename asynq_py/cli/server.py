"""The commands around worker servers: asynq-py server ..."""

from __future__ import annotations

from asynq_py.cli.options import Output, OutputOption
from asynq_py.cli.where import commands_of, connected
from asynq_py.connection import RedisConfig
from asynq_py.inspector.sync import Inspector

app = commands_of("Look at worker servers, in Go or in Python.")


@app.command("list", hidden=True)
@app.command("ls")
@connected
def list_(where: RedisConfig, output: OutputOption = Output.TABLE) -> int:
    """List the servers that are alive, with what they are at."""
    from asynq_py.cli.servers import run_list

    with Inspector(where) as inspector:
        return run_list(inspector, output)
