"""A line to Redis: bytes out, replies in, each command sent once.

redis-py opens it (address, TLS, credentials, database); the talking is done here, on its
socket, since redis-py's own way of sending and reading takes as long as Redis itself.
"""

from __future__ import annotations

import asyncio
import select
import socket
from typing import cast

import hiredis
from redis.asyncio.connection import AbstractConnection as AsyncRedisConnection
from redis.connection import Connection as RedisConnection

from asynq_py.broker.op import Reply

#: Said by a reader that needs more bytes.
_MORE = object()
_READ_SIZE = 65536
_LOST = "the server closed the connection"


class _Replies:
    """Makes replies of bytes."""

    __slots__ = ("_reader",)

    def __init__(self) -> None:
        self._reader = hiredis.Reader(notEnoughData=_MORE)

    def feed(self, data: bytes) -> None:
        if not data:
            raise ConnectionResetError(_LOST)
        self._reader.feed(data)

    def take(self, replies: list[Reply], count: int) -> bool:
        """Moves what is whole to ``replies``; returns whether there are ``count`` now."""
        while len(replies) < count:
            reply = self._reader.gets()
            if reply is _MORE:
                return False
            # A ready client of the user's may have asked for notifications.
            if not isinstance(reply, hiredis.PushNotification):
                replies.append(reply)
        return True


class Line:
    """A blocking line. Errors of the network are OSErrors."""

    __slots__ = ("_poll", "_replies", "_socket", "connection")

    def __init__(self, connection: RedisConnection) -> None:
        #: redis-py's connection, to be given back to its pool.
        self.connection = connection
        self._socket = cast(socket.socket, connection._sock)
        self._replies = _Replies()
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)

    def is_broken(self) -> bool:
        """Whether there is something to read before anything was asked: the end, mostly."""
        return bool(self._poll.poll(0))

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self, count: int) -> list[Reply]:
        """Waits for ``count`` replies; refusals are among them as hiredis.ReplyError."""
        replies: list[Reply] = []
        while True:
            self._replies.feed(self._socket.recv(_READ_SIZE))
            if self._replies.take(replies, count):
                return replies


class AsyncLine:
    """An asyncio line. Errors of the network are OSErrors."""

    __slots__ = ("_reader", "_replies", "_timeout", "_writer", "connection")

    def __init__(self, connection: AsyncRedisConnection) -> None:
        self.connection = connection
        self._reader = cast(asyncio.StreamReader, connection._reader)
        self._writer = cast(asyncio.StreamWriter, connection._writer)
        self._timeout = connection.socket_timeout
        self._replies = _Replies()

    def is_broken(self) -> bool:
        """See Line.is_broken."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(self._timeout):
            await self._writer.drain()

    async def read(self, count: int) -> list[Reply]:
        """See Line.read."""
        replies: list[Reply] = []
        async with asyncio.timeout(self._timeout):
            while True:
                self._replies.feed(await self._reader.read(_READ_SIZE))
                if self._replies.take(replies, count):
                    return replies
