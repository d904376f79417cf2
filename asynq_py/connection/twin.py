"""The asyncio way to where a ready blocking client leads."""

from __future__ import annotations

from typing import Any

import redis
import redis.asyncio
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection

from asynq_py.connection.aio import AsyncRedisArgument
from asynq_py.connection.sync import RedisArgument
from asynq_py.errors import ConfigError

#: What redis-py's asyncio connections take as their blocking ones do.
_SETTINGS = (
    "host",
    "port",
    "path",
    "db",
    "username",
    "password",
    "socket_timeout",
    "socket_connect_timeout",
    "client_name",
    "ssl_keyfile",
    "ssl_certfile",
    "ssl_cert_reqs",
    "ssl_ca_certs",
    "ssl_check_hostname",
)
_KINDS: dict[type, type] = {
    redis.Connection: Connection,
    redis.SSLConnection: SSLConnection,
    redis.UnixDomainSocketConnection: UnixDomainSocketConnection,
}


def asyncio_argument(argument: RedisArgument) -> AsyncRedisArgument:
    """What an AsyncConnection takes for what a Connection takes.

    Raises:
        ConfigError: It is a client of a kind that has no twin.
    """
    if not isinstance(argument, redis.Redis | redis.RedisCluster):
        return argument
    pool = argument.connection_pool if isinstance(argument, redis.Redis) else None
    kind = _KINDS.get(pool.connection_class) if pool is not None else None
    if pool is None or kind is None:
        raise ConfigError(
            f"a server needs a URL or a RedisConfig in place of this {type(argument).__name__}:"
            " it makes connections of several kinds"
        )
    given = pool.connection_kwargs
    settings: dict[str, Any] = {name: given[name] for name in _SETTINGS if name in given}
    twin = redis.asyncio.ConnectionPool(connection_class=kind, **settings)
    return redis.asyncio.Redis.from_pool(twin)
