"""An asyncio line to Redis, see asynq_py.connection.line.

Many may ask at the same time: requests go one behind the other without waiting for each
other's replies, and replies come in the order of the requests.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, cast

from hiredis import ProtocolError
from redis.asyncio.connection import AbstractConnection

from asynq_py.broker.op import Reply
from asynq_py.connection.line import LOST, Replies

#: Told the replies, refusals among them as hiredis.ReplyError, or how the line was lost.
Told: TypeAlias = Callable[[list[Reply], Exception | None], None]


class _Waiting(NamedTuple):
    """A request whose replies have not all come."""

    wanted: int
    replies: list[Reply]
    told: Told


class AsyncLine(asyncio.Protocol):
    """Belongs to one event loop. Errors of the network are OSErrors."""

    def __init__(self, connection: AbstractConnection) -> None:
        #: redis-py's connection, to be given back to its pool.
        self.connection = connection
        writer = cast(asyncio.StreamWriter, connection._writer)
        self._transport = cast(asyncio.Transport, writer.transport)
        self._timeout = connection.socket_timeout
        self._replies = Replies()
        self._waiting: deque[_Waiting] = deque()
        self._loop = asyncio.get_running_loop()
        #: When something came last, or began to be waited for; the loop's time.
        self._moved_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._retired = False
        self._ended = asyncio.Event()
        self.lost: Exception | None = None
        # redis-py's streams cost as much again; they get the transport back in the end.
        self._streams = self._transport.get_protocol()
        self._transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self.lost is None and not self._retired and not self._transport.is_closing()

    @property
    def is_quiet(self) -> bool:
        """Whether it is open, and nobody waits for a reply."""
        return self.is_open and not self._waiting

    @property
    def is_writable(self) -> bool:
        """Whether what was written before has mostly gone."""
        return self._writable.is_set()

    async def writable(self) -> None:
        """Waits until it is."""
        await self._writable.wait()

    def request(self, data: bytes, count: int, told: Told) -> None:
        """Sends commands; ``told`` is called once, when all ``count`` replies are there."""
        if self.lost is not None:
            told([], self.lost)
            return
        if not self._waiting:
            self._moved_at = self._loop.time()
        self._waiting.append(_Waiting(count, [], told))
        self._transport.write(data)
        if self._watch is None and self._timeout is not None:
            self._watch = self._loop.call_later(self._timeout, self._look)

    def retire(self) -> None:
        """Closes the line when everything asked for has been answered."""
        self._retired = True
        if not self._waiting:
            self._end(ConnectionResetError(LOST))

    async def end(self) -> None:
        """Waits until the line is retired, or lost."""
        self.retire()
        await self._ended.wait()

    def give_back(self) -> None:
        """Lets redis-py use the connection again; nothing may be under way."""
        self._unwatch()
        self._transport.set_protocol(self._streams)

    def data_received(self, data: bytes) -> None:
        try:
            self._replies.feed(data)
            self._moved_at = self._loop.time()
            while self._waiting:
                wanted, replies, told = self._waiting[0]
                if not self._replies.take(replies, wanted):
                    return
                self._waiting.popleft()
                told(replies, None)
        except ProtocolError as error:
            self._end(error)
        if self._retired and not self._waiting:
            self._end(ConnectionResetError(LOST))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionResetError(LOST))
        self._streams.connection_lost(exc)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _end(self, error: Exception) -> None:
        """Closes the line and tells all who wait."""
        if self.lost is not None:
            return
        self.lost = error
        self._unwatch()
        self._writable.set()
        self._transport.abort()
        self._ended.set()
        while self._waiting:
            self._waiting.popleft().told([], error)

    def _look(self) -> None:
        """Ends the line if it has not moved for too long."""
        self._watch = None
        assert self._timeout is not None
        if not self._waiting:
            return
        left = self._moved_at + self._timeout - self._loop.time()
        if left <= 0:
            self._end(TimeoutError(f"no reply within {self._timeout} s"))
        else:
            self._watch = self._loop.call_later(left, self._look)

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
