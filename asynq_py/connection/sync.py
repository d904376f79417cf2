"""The blocking way to Redis.

redis-py's commands retry by themselves, which turns a lost reply into a conflict with the
task that was stored. So this uses redis-py's connections directly: each command is sent
once. Idle connections are kept here, since redis-py's pool costs a third of a round trip.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import replace
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import redis
from hiredis import ProtocolError, ReplyError
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from asynq_py.broker.op import WINDOW, Command, Commands, Exchange, Op, Reply, Request, Stream, run
from asynq_py.connection.config import RedisConfig
from asynq_py.connection.faults import (
    failure,
    in_our_words,
    is_wrong_server,
    may_be_repeated,
    refusal,
    text_of,
)
from asynq_py.connection.line import Line
from asynq_py.connection.redis_py import MANY, check_client, pack, resolve, settings
from asynq_py.connection.subscription import Subscription
from asynq_py.errors import AsynqError, BrokerError, ConfigError

T = TypeVar("T")
#: What is assumed of a cluster client that does not tell.
_DEFAULT_PATIENCE_S = 5.0
#: What a user may give to say where Redis is.
RedisArgument: TypeAlias = "str | RedisConfig | redis.Redis | redis.RedisCluster"


class Transport(Protocol):
    """Sends commands and waits for their replies."""

    def send(self, request: Request) -> list[Reply]: ...

    def subscription(self, channel: str) -> Subscription: ...

    def close(self) -> None: ...


class Connection:
    """Runs operations; safe to share between threads, and to carry over a fork.

    Args:
        redis_argument: Where Redis is.
        wait_s: How much longer than usual a reply may take: commands that wait for something
            to happen may wait so long. A ready client decides by itself.
    """

    def __init__(self, redis_argument: RedisArgument, *, wait_s: float = 0.0) -> None:
        self._transport, self._patience_s = _transport(redis_argument, wait_s)
        self._closed = False

    @property
    def patience_s(self) -> float | None:
        """How long a reply is waited for, seconds; None for ever."""
        return self._patience_s

    def run(self, op: Op[T]) -> T:
        """Drives an operation to its end.

        Raises:
            BrokerError: Redis failed; ``written`` says what is known.
        """
        if self._closed:
            raise ConfigError("the connection is closed")
        return run(op, self._transport.send)

    def subscription(self, channel: str) -> Subscription:
        """A way to hear a channel; nothing is sent yet."""
        return self._transport.subscription(channel)

    def close(self) -> None:
        """Closes what was opened here; a client that was given stays open."""
        self._closed = True
        self._transport.close()


class _Server:
    """One server, or the master that Sentinel names."""

    def __init__(self, client: redis.Redis, *, owned: bool) -> None:
        self._client = client
        self._owned = owned
        self._pool = client.connection_pool
        self._idle: deque[Line] = deque()
        #: Grows when connections made before are to be used no more.
        self._epoch = 0
        self._is_closed = False
        self._pid = os.getpid()

    def send(self, request: Request) -> list[Reply]:
        line = None
        epoch = self._epoch
        try:
            line = self._acquire()
            if isinstance(request, Stream):
                replies: list[Reply] = []
                self._stream(line, request)
            else:
                line.write(pack(request.commands))
                replies = line.read(len(request.commands))
        except (RedisError, OSError, ProtocolError) as error:
            self._discard(line)
            raise failure(error, request.name, sent=line is not None) from error
        except BaseException:
            # Interrupted halfway: what comes next on this line is not ours to read.
            self._discard(line)
            raise
        if epoch == self._epoch:
            self._release(line)
        else:
            self._discard(line)
        return self._translated(replies, request.name)

    def subscription(self, channel: str) -> Subscription:
        return Subscription(self._client.pubsub(), channel)

    def _stream(self, line: Line, stream: Stream) -> None:
        unanswered: deque[int] = deque()
        # A batch that was made counts as sent: none is made before it can go.
        while (commands := next(stream.batches, None)) is not None:
            line.write(pack(commands))
            unanswered.append(len(commands))
            if len(unanswered) == WINDOW:
                stream.answered(self._translated(line.read(unanswered.popleft()), stream.name))
        while unanswered:
            stream.answered(self._translated(line.read(unanswered.popleft()), stream.name))

    def _translated(self, replies: list[Reply], what: str) -> list[Reply]:
        for index, reply in enumerate(replies):
            if isinstance(reply, ReplyError):
                replies[index] = self._refusal(reply, what)
        return replies

    def _refusal(self, reply: ReplyError, what: str) -> AsynqError:
        fault = refusal(str(reply), what)
        if is_wrong_server(fault):
            self._epoch += 1
            self._discard_idle()
        return fault

    def close(self) -> None:
        self._is_closed = True
        self._discard_idle()
        if self._owned:
            self._client.close()

    def _acquire(self) -> Line:
        if self._pid != os.getpid():
            # A fork: the parent's sockets are not ours. redis-py's pool sees it by itself.
            self._pid = os.getpid()
            self._idle = deque()
        while self._idle:
            try:
                line = self._idle.pop()
            except IndexError:
                break
            if not line.is_broken():
                return line
            self._discard(line)
        return Line(self._pool.get_connection())

    def _release(self, line: Line) -> None:
        if self._owned and self._is_closed:
            self._discard(line)
        elif self._owned:
            self._idle.append(line)
        else:
            self._pool.release(line.connection)

    def _discard(self, line: Line | None) -> None:
        if line is not None:
            line.connection.disconnect()
            self._pool.release(line.connection)

    def _discard_idle(self) -> None:
        while self._idle:
            try:
                self._discard(self._idle.pop())
            except IndexError:
                return


class _Cluster:
    """A cluster: redis-py finds the node of each command."""

    def __init__(self, client: redis.RedisCluster, *, owned: bool) -> None:
        self._client = client
        self._owned = owned

    def send(self, request: Request) -> list[Reply]:
        if isinstance(request, Stream):
            for commands in request.batches:
                request.answered(self._ask_all(commands))
            return []
        return self._ask_all(request.commands)

    def subscription(self, channel: str) -> Subscription:
        return Subscription(cast(Any, self._client).pubsub(), channel)

    def _ask_all(self, commands: Commands) -> list[Reply]:
        if len(commands) == 1 or not may_be_repeated(commands):
            return [self._ask(command) for command in commands]
        what = Exchange(commands).name
        pipeline = self._client.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        try:
            replies = pipeline.execute(raise_on_error=False)
        except (RedisError, redis.RedisClusterException, OSError) as error:
            raise failure(error, what, sent=True) from error
        return [in_our_words(reply, what) for reply in replies]

    def _ask(self, command: Command) -> Reply:
        what = str(command[0])
        try:
            return cast(Reply, cast(Any, self._client).execute_command(*command))
        except ResponseError as error:
            return refusal(text_of(error), what)
        except (RedisError, redis.RedisClusterException, OSError) as error:
            raise failure(error, what, sent=True) from error

    def close(self) -> None:
        if self._owned:
            self._client.close()


def _transport(argument: RedisArgument, wait_s: float) -> tuple[Transport, float | None]:
    if isinstance(argument, redis.RedisCluster):
        return _Cluster(argument, owned=False), _DEFAULT_PATIENCE_S
    if isinstance(argument, redis.Redis):
        check_client(argument.connection_pool.connection_kwargs)
        kwargs = argument.connection_pool.connection_kwargs
        return _Server(argument, owned=False), kwargs.get("socket_timeout")
    config = resolve(argument, "redis.Redis")
    config = replace(config, timeout=config.timeout + wait_s)
    once = Retry(NoBackoff(), 0)
    try:
        if config.kind == "cluster":
            nodes = [redis.cluster.ClusterNode(*address) for address in config.addresses]
            cluster = redis.RedisCluster(startup_nodes=nodes, retry=once, **settings(config))
            return _Cluster(cluster, owned=True), config.timeout
        if config.kind == "sentinel":
            sentinel = Sentinel(
                config.addresses,
                sentinel_kwargs=settings(config, to_sentinel=True),
            )
            client = sentinel.master_for(
                config.master, retry=once, max_connections=MANY, **settings(config)
            )
            return _Server(client, owned=True), config.timeout
    except (RedisError, redis.RedisClusterException) as error:
        raise failure(error, "connect", sent=False) from error
    place: dict[str, Any]
    if config.kind == "unix":
        place = {"unix_socket_path": config.path}
    else:
        host, port = config.addresses[0]
        place = {"host": host, "port": port}
    client = redis.Redis(**place, retry=once, max_connections=MANY, **settings(config))
    return _Server(client, owned=True), config.timeout


__all__ = ["BrokerError", "Connection", "RedisArgument"]
