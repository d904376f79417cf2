"""The asyncio way to Redis; see asynq_py.connection.sync, which it mirrors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import redis.asyncio as redis
from hiredis import ReplyError
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from asynq_py.broker.op import (
    WINDOW,
    Answered,
    Command,
    Commands,
    Exchange,
    Op,
    Reply,
    Request,
    Stream,
    run_async,
    start,
)
from asynq_py.connection.aio_line import AsyncLine
from asynq_py.connection.config import RedisConfig
from asynq_py.connection.faults import (
    failure,
    in_our_words,
    is_wrong_server,
    may_be_repeated,
    refusal,
    text_of,
)
from asynq_py.connection.redis_py import MANY, check_client, pack, resolve, settings
from asynq_py.errors import ConfigError

T = TypeVar("T")
#: What a user may give to say where Redis is.
AsyncRedisArgument: TypeAlias = "str | RedisConfig | redis.Redis | redis.RedisCluster"


class AsyncTransport(Protocol):
    """Sends commands and awaits their replies."""

    async def send(self, request: Request) -> list[Reply]: ...

    def send_now(self, exchange: Exchange, answered: Answered) -> bool:
        """Sends at once if that is possible; whether it was. ``answered`` is called later."""
        ...

    async def close(self) -> None: ...


class AsyncConnection:
    """Runs operations; belongs to one event loop.

    Args:
        redis_argument: Where Redis is.
        owns: Whether a ready client was made for it alone, and is closed with it.
    """

    def __init__(self, redis_argument: AsyncRedisArgument, *, owns: bool = False) -> None:
        self._transport = _transport(redis_argument, owns)
        self._tasks: set[asyncio.Future[None]] = set()
        self._closed = False

    async def run(self, op: Op[T]) -> T:
        """See Connection.run."""
        if self._closed:
            raise ConfigError("the connection is closed")
        return await run_async(op, self._transport.send)

    def start(self, op: Op[T], done: Callable[[T | None, Exception | None], None]) -> None:
        """Begins an operation of Exchanges; ``done`` is told its end.

        What it sends first is on its way when this returns, if there is an open line.
        """
        if self._closed:
            done(None, ConfigError("the connection is closed"))
            return
        start(op, self._send, done)

    def _send(self, request: Request, answered: Answered) -> None:
        if isinstance(request, Exchange) and self._transport.send_now(request, answered):
            return
        task = asyncio.ensure_future(self._send_later(request, answered))
        # The loop itself holds tasks only weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_later(self, request: Request, answered: Answered) -> None:
        try:
            replies = await self._transport.send(request)
        except Exception as error:
            answered([], error)
        else:
            answered(replies, None)

    async def close(self) -> None:
        """See Connection.close."""
        self._closed = True
        await self._transport.close()


class _Server:
    """One server, or the master that Sentinel names.

    All who ask share one line. A client of the user's lends a connection for each request.
    """

    def __init__(self, client: redis.Redis, *, owned: bool) -> None:
        self._client = client
        self._owned = owned
        self._pool = client.connection_pool
        self._line: AsyncLine | None = None
        self._opening = asyncio.Lock()

    def send_now(self, exchange: Exchange, answered: Answered) -> bool:
        line = self._line
        if line is None or not line.is_open or not line.is_writable:
            return False

        def told(replies: list[Reply], error: Exception | None) -> None:
            if error is not None:
                fault = failure(error, exchange.name, sent=True)
                fault.__cause__ = error
                answered([], fault)
            else:
                answered(self._translated(replies, exchange.name), None)

        line.request(pack(exchange.commands), len(exchange.commands), told)
        return True

    async def send(self, request: Request) -> list[Reply]:
        line = None
        try:
            line = await self._acquire()
            if isinstance(request, Stream):
                replies: list[Reply] = []
                await self._stream(line, request)
            else:
                replies = await _ask(line, pack(request.commands), len(request.commands))
        except (RedisError, OSError) as error:
            raise failure(error, request.name, sent=line is not None) from error
        finally:
            if line is not None and not self._owned:
                await self._give_back(line)
        return self._translated(replies, request.name)

    async def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await self._pool.release(line.connection)
        if self._owned:
            await self._client.aclose()

    async def _stream(self, line: AsyncLine, stream: Stream) -> None:
        unanswered = 0
        failed: Exception | None = None
        moved = asyncio.Event()
        listening = True

        def told(replies: list[Reply], error: Exception | None) -> None:
            nonlocal unanswered, failed
            unanswered -= 1
            failed = failed or error
            moved.set()
            if listening and failed is None:
                stream.answered(self._translated(replies, stream.name))

        try:
            for commands in stream.batches:
                await line.writable()
                line.request(pack(commands), len(commands), told)
                unanswered += 1
                while unanswered >= WINDOW and failed is None:
                    moved.clear()
                    await moved.wait()
                if failed is not None:
                    break
            while unanswered and failed is None:
                moved.clear()
                await moved.wait()
        finally:
            # Cancelled, replies still come.
            listening = False
        if failed is not None:
            raise failed

    def _translated(self, replies: list[Reply], what: str) -> list[Reply]:
        for index, reply in enumerate(replies):
            if isinstance(reply, ReplyError):
                replies[index] = fault = refusal(str(reply), what)
                if is_wrong_server(fault) and self._line is not None:
                    self._line.retire()
        return replies

    async def _acquire(self) -> AsyncLine:
        if not self._owned:
            return AsyncLine(await self._pool.get_connection())
        async with self._opening:
            if self._line is None or not self._line.is_open:
                if self._line is not None:
                    await self._line.end()
                    await self._give_back(self._line)
                    self._line = None
                self._line = AsyncLine(await self._pool.get_connection())
        await self._line.writable()
        return self._line

    async def _give_back(self, line: AsyncLine) -> None:
        if line.is_quiet:
            line.give_back()
        else:
            await line.connection.disconnect(nowait=True)
        await self._pool.release(line.connection)


async def _ask(line: AsyncLine, data: bytes, count: int) -> list[Reply]:
    future: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()

    def told(replies: list[Reply], error: Exception | None) -> None:
        if future.done():
            return  # cancelled
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(replies)

    line.request(data, count, told)
    return await future


class _Cluster:
    """A cluster: redis-py finds the node of each command."""

    def __init__(self, client: redis.RedisCluster, *, owned: bool) -> None:
        self._client = client
        self._owned = owned

    def send_now(self, exchange: Exchange, answered: Answered) -> bool:
        return False

    async def send(self, request: Request) -> list[Reply]:
        if isinstance(request, Stream):
            for commands in request.batches:
                request.answered(await self._ask_all(commands))
            return []
        return await self._ask_all(request.commands)

    async def _ask_all(self, commands: Commands) -> list[Reply]:
        if len(commands) == 1 or not may_be_repeated(commands):
            return [await self._ask(command) for command in commands]
        what = Exchange(commands).name
        pipeline = self._client.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        try:
            replies = await pipeline.execute(raise_on_error=False)
        except (RedisError, RedisClusterException, OSError) as error:
            raise failure(error, what, sent=True) from error
        return [in_our_words(reply, what) for reply in replies]

    async def _ask(self, command: Command) -> Reply:
        what = str(command[0])
        where: dict[str, Any] = {}
        try:
            if what == "CLUSTER":
                # Any node will do; redis-py does not see it by itself, unlike its blocking twin.
                await self._client.initialize()
                where = {"target_nodes": self._client.get_random_node()}
            return cast(Reply, await cast(Any, self._client).execute_command(*command, **where))
        except ResponseError as error:
            return refusal(text_of(error), what)
        except (RedisError, RedisClusterException, OSError) as error:
            raise failure(error, what, sent=True) from error

    async def close(self) -> None:
        if self._owned:
            await self._client.aclose()


def _transport(argument: AsyncRedisArgument, owns: bool) -> AsyncTransport:
    if isinstance(argument, redis.RedisCluster):
        return _Cluster(argument, owned=owns)
    if isinstance(argument, redis.Redis):
        check_client(argument.connection_pool.connection_kwargs)
        return _Server(argument, owned=owns)
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
        return _Server(client, owned=True)
    place: dict[str, Any]
    if config.kind == "unix":
        place = {"unix_socket_path": config.path}
    else:
        host, port = config.addresses[0]
        place = {"host": host, "port": port}
    return _Server(
        redis.Redis(**place, retry=once, max_connections=MANY, **settings(config)), owned=True
    )
