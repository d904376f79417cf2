"""A blocking line to Redis: bytes out, replies in, each command sent once.

redis-py opens it (address, TLS, credentials, database); the talking is done here, on its
socket, since redis-py's own way of sending and reading takes as long as Redis itself.
"""

from __future__ import annotations

import select
import socket
from time import perf_counter
from typing import cast

import hiredis
from redis.connection import Connection as RedisConnection

from asynq_py.broker.op import Reply

#: Said by a reader that needs more bytes.
_MORE = object()
_READ_SIZE = 65536
LOST = "the server closed the connection"
#: Seconds within which a Redis that is near answers. To put a thread to sleep and wake it
#: again takes about as long, so such an answer is waited for awake; Go's runtime does the same.
_NEAR_S = 150e-6


class Replies:
    """Makes replies of bytes."""

    __slots__ = ("_reader",)

    def __init__(self) -> None:
        self._reader = hiredis.Reader(notEnoughData=_MORE)

    def feed(self, data: bytes) -> None:
        if not data:
            raise ConnectionResetError(LOST)
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
    """One line. Errors of the network are OSErrors."""

    __slots__ = ("_is_near", "_poll", "_replies", "_socket", "connection")

    def __init__(self, connection: RedisConnection) -> None:
        #: redis-py's connection, to be given back to its pool.
        self.connection = connection
        self._socket = cast(socket.socket, connection._sock)
        self._replies = Replies()
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        #: Whether the last answer came soon; a Redis far away is waited for asleep.
        self._is_near = False

    def is_broken(self) -> bool:
        """Whether there is something to read before anything was asked: the end, mostly."""
        return bool(self._poll.poll(0))

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self, count: int) -> list[Reply]:
        """Waits for ``count`` replies; refusals are among them as hiredis.ReplyError."""
        replies: list[Reply] = []
        if self._replies.take(replies, count):
            return replies
        began = perf_counter()
        if self._is_near:
            poll = self._poll.poll
            while not poll(0) and perf_counter() - began < _NEAR_S:
                pass
        while True:
            self._replies.feed(self._socket.recv(_READ_SIZE))
            if self._replies.take(replies, count):
                self._is_near = perf_counter() - began < _NEAR_S
                return replies
