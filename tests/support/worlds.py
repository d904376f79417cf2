"""One blocking face for both worlds (Client and AsyncClient, Inspector and AsyncInspector), so
that a test of behaviour runs on both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Literal, Protocol, TypeAlias, cast

from asynq_py import (
    AsyncClient,
    AsyncInspector,
    Client,
    EnqueueResult,
    Inspector,
    Task,
    TaskInfo,
)

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


class AsyncWorld:
    """An object of the asyncio world with an event loop of its own, driven from outside: what
    it awaits is waited for, and what it iterates over asynchronously is read to its end."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._runner = asyncio.Runner()
        try:
            self._thing = self._runner.run(self._make(make))
        except BaseException:
            self._runner.close()
            raise

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        method = getattr(self._thing, name)

        def called(*args: Any, **options: Any) -> Any:  # noqa: ANN401
            return self._runner.run(self._await(method(*args, **options)))

        return called

    def end(self) -> None:
        """Closes the event loop."""
        self._runner.close()

    @staticmethod
    async def _make(make: Callable[[], Any]) -> Any:  # noqa: ANN401
        return make()

    @staticmethod
    async def _await(thing: Any) -> Any:  # noqa: ANN401
        if isinstance(thing, AsyncIterator):
            return [item async for item in thing]
        return await thing


def open_inspector(world: World, redis: Any, **arguments: Any) -> Inspector:  # noqa: ANN401
    """An inspector of one of the two worlds, with the face of the blocking one."""
    if world == "sync":
        return Inspector(redis, **arguments)
    return cast(Inspector, AsyncWorld(lambda: AsyncInspector(redis, **arguments)))


def close_inspector(inspector: Inspector) -> None:
    """Closes an inspector and its event loop, if it has one."""
    inspector.close()
    if isinstance(inspector, AsyncWorld):
        inspector.end()
