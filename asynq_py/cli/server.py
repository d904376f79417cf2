"""The commands around worker servers: asynq-py server ..."""

from __future__ import annotations

import typer

from asynq_py.cli.options import Output, OutputOption
from asynq_py.cli.where import connected
from asynq_py.connection import RedisConfig
from asynq_py.inspector.sync import Inspector

app = typer.Typer(help="Look at worker servers, in Go or in Python.", no_args_is_help=True)


@app.callback()
def _server() -> None:
    """Look at worker servers, in Go or in Python."""


@app.command("list", hidden=True)
@app.command("ls")
@connected
def list_(where: RedisConfig, output: OutputOption = Output.TABLE) -> int:
    """List the servers that are alive, with what they are at."""
    from asynq_py.cli.servers import run_list

    with Inspector(where) as inspector:
        return run_list(inspector, output)
