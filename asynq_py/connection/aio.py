"""The asyncio way to Redis; see asynq_py.connection.sync, which it mirrors."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, TypeVar, cast

import redis.asyncio as redis
from hiredis import ProtocolError, ReplyError
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from asynq_py.broker.op import Exchange, Op, Reply, run_async
from asynq_py.connection.config import RedisConfig
from asynq_py.connection.faults import failure, is_wrong_server, name, refusal, text_of
from asynq_py.connection.line import AsyncLine
from asynq_py.connection.redis_py import MANY, check_client, pack, resolve, settings
from asynq_py.errors import ConfigError

T = TypeVar("T")
#: What a user may give to say where Redis is.
AsyncRedisArgument: TypeAlias = "str | RedisConfig | redis.Redis | redis.RedisCluster"


class AsyncTransport(Protocol):
    """Sends commands and awaits their replies."""

    async def send(self, exchange: Exchange) -> list[Reply]: ...

    async def close(self) -> None: ...


class AsyncConnection:
    """Runs operations; belongs to one event loop."""

    def __init__(self, redis_argument: AsyncRedisArgument) -> None:
        self._transport = _transport(redis_argument)
        self._closed = False

    async def run(self, op: Op[T]) -> T:
        """See Connection.run."""
        if self._closed:
            raise ConfigError("the connection is closed")
        return await run_async(op, self._transport.send)

    async def close(self) -> None:
        """See Connection.close."""
        self._closed = True
        await self._transport.close()


class _Pooled:
    """One server, or the master that Sentinel names."""

    def __init__(self, client: redis.Redis, *, owned: bool) -> None:
        self._client = client
        self._owned = owned
        self._pool = client.connection_pool
        self._idle: list[AsyncLine] = []

    async def send(self, exchange: Exchange) -> list[Reply]:
        commands, meanwhile = exchange
        sent = False
        line: AsyncLine | None = None
        try:
            line = await self._acquire()
            data = pack(commands)
            sent = True
            await line.write(data)
            if meanwhile is not None:
                meanwhile()
            replies = await line.read(len(commands))
        except (RedisError, OSError, ProtocolError) as error:
            await self._discard(line)
            raise failure(error, name(commands), sent=sent) from error
        except BaseException:
            # Cancelled halfway: what comes next on this line is not ours to read.
            await self._discard(line)
            raise
        await self._release(line)
        for index, reply in enumerate(replies):
            if isinstance(reply, ReplyError):
                replies[index] = fault = refusal(str(reply), name(commands))
                if is_wrong_server(fault):
                    await self._discard_idle()
        return replies

    async def close(self) -> None:
        await self._discard_idle()
        if self._owned:
            await self._client.aclose()

    async def _acquire(self) -> AsyncLine:
        while self._idle:
            line = self._idle.pop()
            if not line.is_broken():
                return line
            await self._discard(line)
        return AsyncLine(await self._pool.get_connection())

    async def _release(self, line: AsyncLine) -> None:
        if self._owned:
            self._idle.append(line)
        else:
            await self._pool.release(line.connection)

    async def _discard(self, line: AsyncLine | None) -> None:
        if line is not None:
            await line.connection.disconnect(nowait=True)
            await self._pool.release(line.connection)

    async def _discard_idle(self) -> None:
        while self._idle:
            await self._discard(self._idle.pop())


class _Cluster:
    """A cluster: redis-py finds the node of each command."""

    def __init__(self, client: redis.RedisCluster, *, owned: bool) -> None:
        self._client = client
        self._owned = owned

    async def send(self, exchange: Exchange) -> list[Reply]:
        replies: list[Reply] = []
        for command in exchange.commands:
            try:
                replies.append(await cast(Any, self._client).execute_command(*command))
            except ResponseError as error:
                replies.append(refusal(text_of(error), name([command])))
            except (RedisError, RedisClusterException, OSError) as error:
                raise failure(error, name([command]), sent=True) from error
        return replies

    async def close(self) -> None:
        if self._owned:
            await self._client.aclose()


def _transport(argument: AsyncRedisArgument) -> AsyncTransport:
    if isinstance(argument, redis.RedisCluster):
        return _Cluster(argument, owned=False)
    if isinstance(argument, redis.Redis):
        check_client(argument.connection_pool.connection_kwargs)
        return _Pooled(argument, owned=False)
    config = resolve(argument, "redis.asyncio.Redis")
    once = Retry(NoBackoff(), 0)
    if config.kind == "cluster":
        nodes = [ClusterNode(*address) for address in config.addresses]
        cluster = redis.RedisCluster(startup_nodes=nodes, retry=once, **settings(config))
        return _Cluster(cluster, owned=True)
    if config.kind == "sentinel":
        sentinel = Sentinel(config.addresses, sentinel_kwargs=settings(config, to_sentinel=True))
        client = sentinel.master_for(
            config.master, retry=once, max_connections=MANY, **settings(config)
        )
        return _Pooled(client, owned=True)
    place: dict[str, Any]
    if config.kind == "unix":
        place = {"unix_socket_path": config.path}
    else:
        host, port = config.addresses[0]
        place = {"host": host, "port": port}
    return _Pooled(
        redis.Redis(**place, retry=once, max_connections=MANY, **settings(config)), owned=True
    )
