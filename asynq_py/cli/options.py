"""The options that commands share, and the way to Redis."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from asynq_py.cli.completion import groups, queues, states

if TYPE_CHECKING:
    from asynq_py.connection import RedisConfig
    from asynq_py.connection.sync import Connection


class Output(StrEnum):
    """How something is listed."""

    TABLE = "table"
    JSON = "json"


class ListOutput(StrEnum):
    """How something that may be long is listed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


OutputOption: TypeAlias = Annotated[
    Output, typer.Option("--output", help="For people or for programs.")
]
#: A queue, a task's ID, a state: each by its place, or by an option as in Go's command.
QueueArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(metavar="QUEUE", help="Its name; or -q.", autocompletion=queues),
]
QueueOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--queue", "-q", metavar="QUEUE", help="The queue's name.", autocompletion=queues),
]
IDArgument: TypeAlias = Annotated[
    str | None, typer.Argument(metavar="ID", help="The task's ID; or -i.")
]
IDOption: TypeAlias = Annotated[
    str | None, typer.Option("--id", "-i", metavar="ID", help="The task's ID.")
]
StateArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="STATE",
        help="active, pending, scheduled, retry, archived, completed, aggregating; or -s.",
        autocompletion=states,
    ),
]
StateOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--state", "-s", metavar="STATE", help="Which tasks.", autocompletion=states),
]
GroupOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--group", "-g", metavar="GROUP", help="Of aggregating tasks.", autocompletion=groups
    ),
]
YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to.")]


def connect(where: RedisConfig) -> Connection:
    """Opens a connection."""
    from asynq_py.connection.sync import Connection

    return Connection(where)
