"""A cluster of several real servers, each of which holds a part of the slots."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from asynq_py.testing.redis_server import RedisServer

SLOTS = 16384


class ShardedCluster:
    """Masters without replicas; ``with ShardedCluster(binary) as cluster:`` starts them.

    Args:
        binary: The program of a redis-server.
        size: How many servers.
        options: Redis's own, as of :class:`RedisServer`.
    """

    def __init__(self, binary: str, *, size: int = 3, **options: Any) -> None:  # noqa: ANN401
        self.servers = [
            RedisServer(binary=binary, cluster_enabled=True, **options) for _ in range(size)
        ]
        self._running = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """Names the first server only: the others are to be found."""
        return f"redis-cluster://{self.servers[0].address}"

    def command(self, *command: str | int | bytes) -> list[Any]:
        """Sends one command to each server and gives their replies."""
        return [server.command(*command) for server in self.servers]

    def server_of(self, key: str) -> RedisServer:
        """The server that holds a key."""
        slot: int = self.servers[0].command("CLUSTER", "KEYSLOT", key)
        return self.servers[slot * len(self.servers) // SLOTS]

    def queue_on(self, number: int) -> str:
        """A name whose queue is held by the server of that number."""
        names = (f"q{n}" for n in range(1000))
        return next(q for q in names if self.server_of(f"{{{q}}}") is self.servers[number])

    def __enter__(self) -> Self:
        with self._running:
            size = len(self.servers)
            bounds = [-(-SLOTS * number // size) for number in range(size + 1)]
            first = self.servers[0]
            for number, server in enumerate(self.servers):
                self._running.enter_context(server)
                # Of the same epoch, they would first have to find out who gives way.
                server.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                server.command("CLUSTER", "ADDSLOTS", *range(bounds[number], bounds[number + 1]))
                if number:
                    server.command("CLUSTER", "MEET", "127.0.0.1", first.port)
            _wait(lambda: all(self._is_whole(info) for info in self.command("CLUSTER", "INFO")))
            self._running = self._running.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()

    def _is_whole(self, info: bytes) -> bool:
        known = f"cluster_known_nodes:{len(self.servers)}\r\n".encode()
        return b"cluster_state:ok" in info and known in info


def _wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end, "the servers do not find each other"
        # They tell nobody when they have: they must be asked.
        time.sleep(0.01)
