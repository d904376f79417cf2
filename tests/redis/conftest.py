"""Fixtures of the redis floor alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asynq_py import Client, Inspector, Scheduler, SchedulerConfig, Server, ServerConfig
from asynq_py.clock import SYSTEM_CLOCK, Clock
from asynq_py.doctor import Doctor
from asynq_py.testing.redis_server import RedisServer
from tests.support.worlds import World, close_inspector, open_inspector


@pytest.fixture
def make_scheduler(server: RedisServer) -> Iterator[Callable[..., Scheduler]]:
    """Makes schedulers on the shared server (or ``url``); they are stopped at the end."""
    made: list[Scheduler] = []

    def make(url: str = server.url, **config: Any) -> Scheduler:  # noqa: ANN401
        scheduler = Scheduler(url, SchedulerConfig(**config))
        made.append(scheduler)
        return scheduler

    yield make
    for scheduler in made:
        scheduler.stop()


@pytest.fixture
def inspect(world: World) -> Iterator[Callable[..., Inspector]]:
    """Opens inspectors of the test's world: ``inspect(server.url, clock=...)``."""
    opened: list[Inspector] = []

    def open_one(where: Any, **arguments: Any) -> Inspector:  # noqa: ANN401
        inspector = open_inspector(world, where, **arguments)
        opened.append(inspector)
        return inspector

    yield open_one
    for inspector in opened:
        close_inspector(inspector)


@pytest.fixture
def inspector(server: RedisServer, inspect: Callable[..., Inspector]) -> Inspector:
    """An inspector of the shared server, of either world."""
    return inspect(server.url)


@pytest.fixture
def doctor(server: RedisServer) -> Iterator[Doctor]:
    """A doctor of the shared server."""
    with Doctor(server.url) as doctor:
        yield doctor


@pytest.fixture
def make(server: RedisServer) -> Iterator[Client]:
    """A blocking client of the shared server."""
    with Client(server.url) as client:
        yield client


@pytest.fixture
def serve(server: RedisServer) -> Iterator[Callable[..., Server]]:
    """Starts worker servers on the shared Redis (or ``redis``): ``serve(handler, concurrency=2)``;
    they are shut down at the end."""
    started: list[Server] = []

    def start(
        handler: Any,  # noqa: ANN401
        redis: Any = server.url,  # noqa: ANN401
        clock: Clock = SYSTEM_CLOCK,
        **config: Any,  # noqa: ANN401
    ) -> Server:
        defaults = {"concurrency": 10, "shutdown_timeout": 5, "task_check_interval": 0.05}
        worker = Server(redis, ServerConfig(**{**defaults, **config}), clock=clock)
        started.append(worker)
        worker.start(handler)
        return worker

    yield start
    for worker in started:
        worker.shutdown()
