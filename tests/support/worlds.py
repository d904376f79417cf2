"""One blocking face for Client and AsyncClient, so that a test of behaviour runs on both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Literal, Protocol, TypeAlias

from asynq_py import AsyncClient, Client, EnqueueResult, Task, TaskInfo

World: TypeAlias = Literal["sync", "asyncio"]
WORLDS: tuple[World, ...] = ("sync", "asyncio")


class Producer(Protocol):
    """What Client offers."""

    def enqueue(self, task: Task, **options: Any) -> TaskInfo: ...  # noqa: ANN401

    def enqueue_many(self, tasks: Iterable[Task], **options: Any) -> list[EnqueueResult]: ...  # noqa: ANN401

    def ping(self) -> None: ...

    def close(self) -> None: ...


class AsyncProducer:
    """An AsyncClient with an event loop of its own, driven from outside."""

    def __init__(self, redis: Any, **arguments: Any) -> None:  # noqa: ANN401
        self._runner = asyncio.Runner()
        try:
            self._client = self._runner.run(self._open(redis, arguments))
        except BaseException:
            self._runner.close()
            raise

    def enqueue(self, task: Task, **options: Any) -> TaskInfo:  # noqa: ANN401
        return self._runner.run(self._client.enqueue(task, **options))

    def enqueue_many(self, tasks: Iterable[Task], **options: Any) -> list[EnqueueResult]:  # noqa: ANN401
        return self._runner.run(self._client.enqueue_many(tasks, **options))

    def ping(self) -> None:
        self._runner.run(self._client.ping())

    def close(self) -> None:
        """Closes the client; it may be used (and must fail) afterwards."""
        self._runner.run(self._client.close())

    def end(self) -> None:
        """Closes the event loop too."""
        self._runner.close()

    @staticmethod
    async def _open(redis: Any, arguments: dict[str, Any]) -> AsyncClient:  # noqa: ANN401
        return AsyncClient(redis, **arguments)


def open_producer(world: World, redis: Any, **arguments: Any) -> Producer:  # noqa: ANN401
    """A client of one of the two worlds."""
    return Client(redis, **arguments) if world == "sync" else AsyncProducer(redis, **arguments)


def close_producer(producer: Producer) -> None:
    """Closes a client and its event loop, if it has one."""
    producer.close()
    if isinstance(producer, AsyncProducer):
        producer.end()
