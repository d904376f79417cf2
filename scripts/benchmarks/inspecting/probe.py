"""How long Redis lets others wait."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple, Self

from redis import Redis

from asynq_py.testing import RedisServer

#: Commands that take as long are noted by Redis, microseconds.
NOTED_US = 500


class Blocked(NamedTuple):
    """The longest waits, milliseconds."""

    #: Of a PING on a connection of its own; with the time that the machine takes to wake us.
    ping_ms: float
    #: Of a command (or script) by Redis' own clock, in which it serves nobody else.
    command_ms: float


class Probe:
    """Sends PING after PING, from `with` to its end."""

    def __init__(self, server: RedisServer) -> None:
        self._redis = Redis.from_url(server.url)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._longest = 0.0
        self._command_us = 0

    @property
    def blocked(self) -> Blocked:
        """What was seen; once it is over."""
        return Blocked(self._longest * 1000, self._command_us / 1000)

    def __enter__(self) -> Self:
        self._redis.config_set("slowlog-log-slower-than", NOTED_US)
        self._redis.slowlog_reset()
        self._redis.ping()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        noted = self._redis.slowlog_get(-1)
        self._command_us = max((entry["duration"] for entry in noted), default=0)
        self._redis.config_set("slowlog-log-slower-than", -1)
        self._redis.close()

    def _run(self) -> None:
        while not self._over.is_set():
            begun = time.perf_counter()
            self._redis.ping()
            self._longest = max(self._longest, time.perf_counter() - begun)
            time.sleep(0.0005)
