"""Fixtures over `asynq_py.testing`: a stack for the session, a fresh Redis for each test."""

from collections.abc import Callable, Iterator

import pytest
import zoo as zoos
from pyworkers import start_python_worker
from replicas import Replicas

from asynq_py.testing import GoWorker, Oracle, Redis, Stack
from asynq_py.testing.backend import choose_mode, describe


def pytest_report_header() -> str:
    """Says what the tests run on, and loudly when it is not containers."""
    return f"interop: {describe(choose_mode())}"


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Starts more Redis servers, workers and producers than the fixtures below do."""
    with Stack() as stack:
        yield stack


@pytest.fixture(scope="session")
def oracle(stack: Stack) -> Oracle:
    """Answers what Go's libraries do; shared, as it keeps nothing between requests."""
    return stack.oracle()


@pytest.fixture(scope="session")
def zoo(stack: Stack, oracle: Oracle) -> zoos.Zoo:
    """A Redis with thousands of tasks in every state; database 0 is not to be changed."""
    return zoos.build(stack, oracle)


@pytest.fixture
def redis_server(stack: Stack) -> Iterator[Redis]:
    """An empty Redis server, for this test alone."""
    server = stack.redis()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """Database 0 of `redis_server`."""
    return redis_server.url


@pytest.fixture
def worker(stack: Stack, redis_server: Redis) -> Iterator[Callable[..., GoWorker]]:
    """Starts Go workers on `redis_server`: `worker(queues={"critical": 6})`, see `Stack.worker`."""
    started: list[GoWorker] = []

    def start(**options: object) -> GoWorker:
        started.append(stack.worker(redis_server, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def python_worker(redis_server: Redis) -> Iterator[Callable[..., GoWorker]]:
    """Starts Python workers on `redis_server`, as processes; as `worker` does with Go's."""
    started: list[GoWorker] = []

    def start(**options: object) -> GoWorker:
        started.append(start_python_worker(redis_server, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def replicas(redis_server: Redis) -> Iterator[Replicas]:
    """Starts schedulers with the same entries, as processes, on `redis_server`."""
    replicas = Replicas(redis_server)
    yield replicas
    replicas.close()
