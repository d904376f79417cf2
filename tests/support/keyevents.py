"""Waiting for Redis to change a key, by its own notifications: no polling, no sleeping."""

from __future__ import annotations

import time

import redis


class KeyEvents:
    """Hears of every command that changes a key, from the moment it is made."""

    def __init__(self, database: redis.Redis) -> None:
        database.config_set("notify-keyspace-events", "KEA")
        self._pubsub = database.pubsub()
        self._pubsub.psubscribe("__keyevent@0__:*")
        confirmation = self._pubsub.get_message(timeout=5)
        assert confirmation is not None

    def wait(self, event: str, key: str, timeout: float = 15) -> str:
        """Waits until ``event`` ("lpush", "expire", ...) befalls a key that begins so."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            message = self._pubsub.get_message(timeout=left)
            if message is None or message["type"] != "pmessage":
                continue
            name = message["data"].decode()
            if message["channel"].decode().endswith(f":{event}") and name.startswith(key):
                return str(name)
        raise AssertionError(f"no {event} of {key}* within {timeout} s")

    def close(self) -> None:
        """Hears no more."""
        self._pubsub.close()
