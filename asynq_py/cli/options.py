"""The options that commands share, and the way to Redis that they lead to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from asynq_py.connection import RedisConfig
    from asynq_py.connection.sync import Connection

DEFAULT_URL = "redis://localhost:6379/0"


class Output(StrEnum):
    """How something is listed."""

    TABLE = "table"
    JSON = "json"


RedisOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--redis",
        metavar="URL",
        envvar="ASYNQ_REDIS_URL",
        help=f"Where Redis is; {DEFAULT_URL} where nothing says it.",
        show_default=False,
    ),
]
ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        envvar="ASYNQ_CONFIG",
        help='A file that says it: redis = "URL".',
        show_default=False,
    ),
]
OutputOption: TypeAlias = Annotated[
    Output, typer.Option("--output", help="For people or for programs.")
]


def redis_config(url: str | None, config: Path | None) -> RedisConfig:
    """Where Redis is: the option, else the environment, else the file, else here.

    Raises:
        ConfigError: The URL or the file cannot be read.
    """
    from asynq_py.connection import RedisConfig

    if url is None and config is not None:
        url = _url_of(config)
    return RedisConfig.from_url(url or DEFAULT_URL)


def connect(url: str | None, config: Path | None) -> Connection:
    """Opens a connection; see :func:`redis_config`."""
    from asynq_py.connection.sync import Connection

    return Connection(redis_config(url, config))


def _url_of(config: Path) -> str | None:
    import tomllib

    from asynq_py.errors import ConfigError

    try:
        values = tomllib.loads(config.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{config}: it cannot be read: {error.strerror}") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise ConfigError(f"{config}: {error}") from error
    url = values.get("redis")
    if url is not None and not isinstance(url, str):
        raise ConfigError(f"{config}: redis must be a URL in quotes, not {type(url).__name__}")
    return url
