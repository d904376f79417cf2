"""Hears what is published on a channel; redis-py does the talking."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from asynq_py.connection.faults import failure


class Subscription:
    """One channel, heard by one thread.

    Args:
        pubsub: redis-py's, of a client of either kind.
        channel: The channel's name.
    """

    def __init__(self, pubsub: Any, channel: str) -> None:  # noqa: ANN401
        self._pubsub = pubsub
        self._channel = channel

    def listen(self, heard: Callable[[bytes], None], subscribed: Callable[[], None]) -> None:
        """Calls ``heard`` with each message, until it is closed.

        Args:
            heard: Told the message.
            subscribed: Called when Redis has confirmed: what is published from then on is heard.

        Raises:
            BrokerError: The connection could not be made, or was lost.
        """
        try:
            self._pubsub.subscribe(self._channel)
            for message in self._pubsub.listen():
                if message["type"] == "subscribe":
                    subscribed()
                elif message["type"] == "message":
                    heard(message["data"])
        except (RedisError, OSError, ValueError) as error:
            raise failure(error, "SUBSCRIBE", sent=False) from error

    def close(self) -> None:
        """Ends ``listen``, from any thread."""
        connection = getattr(self._pubsub, "connection", None)
        sock = getattr(connection, "_sock", None)
        if sock is not None:
            # It may be lost already.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Gives its connection back; by the thread that listened."""
        self._pubsub.close()
