"""Fixtures of all floors: real servers, and clients of both worlds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import redis
from hypothesis import HealthCheck, settings

from asynq_py.testing.redis_server import (
    RedisServer,
    RedisStartError,
    bundled_redis_server,
    free_port,
)
from tests.support.cluster import ShardedCluster
from tests.support.keyevents import KeyEvents
from tests.support.proxy import Proxy
from tests.support.worlds import WORLDS, Producer, World, close_producer, open_producer

settings.register_profile(
    "tests",
    deadline=None,
    # Fixtures of servers and clients are shared by all examples of a test on purpose.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("tests")


def redis_binaries() -> dict[str, str]:
    """The redis-servers to test on: the system's (or the one that is named), and the wheel's."""
    binaries: dict[str, str] = {}
    system = os.environ.get("ASYNQ_TEST_REDIS_SERVER") or shutil.which("redis-server")
    if system:
        binaries["redis-system"] = system
    try:
        binaries["redis-6.2"] = bundled_redis_server()
    except RedisStartError:
        if not binaries:
            raise
    return binaries


_BINARIES = redis_binaries()


@pytest.fixture(scope="session", params=list(_BINARIES))
def redis_binary(request: pytest.FixtureRequest) -> str:
    """The program of a redis-server; tests run once on each."""
    return _BINARIES[request.param]


@pytest.fixture(scope="session")
def session_server(redis_binary: str) -> Iterator[RedisServer]:
    """One server for all tests that leave it as they found it."""
    with RedisServer(binary=redis_binary) as server:
        yield server


@pytest.fixture
def server(session_server: RedisServer) -> RedisServer:
    """The shared server, emptied."""
    session_server.command("FLUSHALL")
    session_server.command("CONFIG", "RESETSTAT")
    return session_server


@pytest.fixture
def start_server(redis_binary: str) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers for this test alone: ``start_server(maxmemory="1mb")``."""
    started: list[RedisServer] = []

    def start(**options: Any) -> RedisServer:  # noqa: ANN401
        server = RedisServer(binary=redis_binary, **options)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def connect_raw() -> Iterator[Callable[..., redis.Redis]]:
    """Opens plain redis-py clients: ``connect_raw(server, db=1)``."""
    opened: list[redis.Redis] = []

    def connect(server: RedisServer, db: int = 0) -> redis.Redis:
        client = redis.Redis.from_url(server.url_for(db))
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def database(server: RedisServer, connect_raw: Callable[..., redis.Redis]) -> redis.Redis:
    """Database 0 of the shared server, empty, by a plain redis-py client."""
    return connect_raw(server)


@pytest.fixture
def key_events(database: redis.Redis) -> Iterator[KeyEvents]:
    """What happens to keys of the shared server."""
    events = KeyEvents(database)
    yield events
    events.close()
    database.config_set("notify-keyspace-events", "")


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    """Blocking or asyncio."""
    answer: World = request.param
    return answer


@pytest.fixture
def connect(world: World) -> Iterator[Callable[..., Producer]]:
    """Opens clients of the test's world: ``connect(server.url, clock=...)``."""
    opened: list[Producer] = []

    def open_one(where: Any, **arguments: Any) -> Producer:  # noqa: ANN401
        producer = open_producer(world, where, **arguments)
        opened.append(producer)
        return producer

    yield open_one
    for producer in opened:
        close_producer(producer)


@pytest.fixture
def client(server: RedisServer, connect: Callable[..., Producer]) -> Producer:
    """A client of the shared server, of either world."""
    return connect(server.url)


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    """A proxy before the shared server that can cut connections."""
    with Proxy(server.port) as proxy:
        yield proxy


class Cluster(NamedTuple):
    """A cluster of one server, which is reached through a proxy."""

    server: RedisServer
    proxy: Proxy

    @property
    def url(self) -> str:
        return f"redis-cluster://127.0.0.1:{self.proxy.port}"


@pytest.fixture(scope="session")
def session_cluster(redis_binary: str) -> Iterator[Cluster]:
    """One cluster for all tests, since it takes two seconds to find itself."""
    port = free_port()
    with (
        Proxy(port) as proxy,
        RedisServer(
            binary=redis_binary,
            port=port,
            cluster_enabled=True,
            cluster_announce_ip="127.0.0.1",
            cluster_announce_port=proxy.port,
        ) as server,
    ):
        server.claim_all_slots()
        yield Cluster(server, proxy)


@pytest.fixture
def cluster(session_cluster: Cluster) -> Cluster:
    """The shared cluster, emptied."""
    session_cluster.server.command("FLUSHALL")
    return session_cluster


@pytest.fixture(scope="session")
def session_shards(redis_binary: str) -> Iterator[ShardedCluster]:
    """One cluster of three servers for all tests, for the same reason."""
    with ShardedCluster(redis_binary) as cluster:
        yield cluster


@pytest.fixture
def shards(session_shards: ShardedCluster) -> ShardedCluster:
    """The shared cluster of three servers, emptied."""
    session_shards.command("FLUSHALL")
    return session_shards
