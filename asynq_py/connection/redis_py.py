"""What both worlds need of redis-py: its settings from ours, and packed commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import hiredis

from asynq_py.broker.op import Commands
from asynq_py.connection.config import RedisConfig
from asynq_py.errors import ConfigError

#: As many connections as there are threads or tasks at work; redis-py's own limit is 100.
MANY = 2**31 - 1


def resolve(argument: object, client: str) -> RedisConfig:
    """The configuration that a URL or a RedisConfig stands for."""
    if isinstance(argument, str):
        return RedisConfig.from_url(argument)
    if isinstance(argument, RedisConfig):
        return argument
    raise ConfigError(
        f"redis must be a URL, a RedisConfig or a {client}, not {type(argument).__name__}"
    )


def check_client(connection_kwargs: Mapping[str, Any]) -> None:
    """Refuses a ready client that would change the bytes of tasks."""
    if connection_kwargs.get("decode_responses"):
        raise ConfigError(
            "the redis client must not decode_responses: tasks are bytes;"
            " give one that was made with decode_responses=False"
        )


def settings(config: RedisConfig, *, to_sentinel: bool = False) -> dict[str, Any]:
    """redis-py's arguments for everything but the place."""
    kwargs: dict[str, Any] = {
        "username": config.sentinel_username if to_sentinel else config.username,
        "password": config.sentinel_password if to_sentinel else config.password,
        "socket_connect_timeout": config.connect_timeout,
        "socket_timeout": config.timeout,
        # Replies are numbers, bytes and lists of them: nothing needs more than RESP2.
        "protocol": 2,
    }
    if config.kind != "cluster" and not to_sentinel:
        kwargs["db"] = config.db
    if config.tls:
        kwargs |= {
            "ssl": True,
            "ssl_ca_certs": config.tls_ca_file,
            "ssl_certfile": config.tls_cert_file,
            "ssl_keyfile": config.tls_key_file,
            "ssl_check_hostname": config.tls_check_hostname,
        }
    return kwargs


def pack(commands: Commands) -> bytes:
    """Commands as they go over the network; redis-py's own packing takes twice the time."""
    if len(commands) == 1:
        return cast(bytes, hiredis.pack_command(cast(Any, commands[0])))
    return b"".join([hiredis.pack_command(cast(Any, command)) for command in commands])
