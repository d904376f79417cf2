"""The options that commands share, and the way to Redis."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

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
YesOption: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to.")]


def connect(where: RedisConfig) -> Connection:
    """Opens a connection."""
    from asynq_py.connection.sync import Connection

    return Connection(where)
