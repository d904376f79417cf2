"""The ways to Redis: sockets, databases, clusters, ready clients, threads, forks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
import redis
import redis.asyncio

from asynq_py import AsyncClient, Client, ConfigError, RedisConfig, Task
from asynq_py.testing.redis_server import RedisServer
from tests.conftest import Cluster
from tests.support.database import pending
from tests.support.worlds import Producer

StartServer = Callable[..., RedisServer]
Connect = Callable[..., Producer]


def test_a_unix_socket_leads_to_a_database(start_server: StartServer, connect: Connect) -> None:
    server = start_server(unix_socket=True)

    connect(server.url_for(3)).enqueue(Task("t"), task_id="a")

    assert server.url.startswith("unix://")
    with redis.Redis(unix_socket_path=server.address, db=3) as raw:
        assert pending(raw) == ["a"]


def test_a_url_names_a_database(
    server: RedisServer, connect: Connect, connect_raw: Callable[..., redis.Redis]
) -> None:
    connect(server.url_for(5)).enqueue(Task("t"), task_id="a")

    assert pending(connect_raw(server, 5)) == ["a"]
    assert pending(connect_raw(server, 0)) == []


def test_a_redis_config_leads_to_its_server(
    server: RedisServer, connect: Connect, database: redis.Redis
) -> None:
    connect(RedisConfig(addresses=(("127.0.0.1", server.port),))).enqueue(Task("t"), task_id="a")

    assert pending(database) == ["a"]


def test_a_cluster_takes_tasks_of_all_queues(
    cluster: Cluster, connect: Connect, connect_raw: Callable[..., redis.Redis]
) -> None:
    client = connect(cluster.url)

    client.enqueue(Task("t"), task_id="a", unique=1000)
    results = client.enqueue_many(
        Task("t", task_id=str(i), queue=f"q{i}", group="g" if i % 2 else None) for i in range(10)
    )
    client.ping()

    assert all(result.ok for result in results)
    raw = connect_raw(cluster.server)
    assert raw.scard("asynq:queues") == 11
    assert pending(raw) == ["a"]
    assert raw.zscore("asynq:{q3}:g:g", "3") is not None


@pytest.mark.parametrize("where", [None, 6379, b"redis://localhost", object()])
def test_another_thing_than_a_place_is_refused(connect: Connect, where: object) -> None:
    with pytest.raises(ConfigError, match="must be a URL, a RedisConfig or a redis"):
        connect(where)


def test_nothing_is_connected_before_it_is_needed(
    connect: Connect, server: RedisServer, database: redis.Redis
) -> None:
    database.ping()
    before = database.info("stats")["total_connections_received"]

    connect(server.url)

    assert database.info("stats")["total_connections_received"] == before


# -- ready clients --


def test_a_ready_client_is_used_and_stays_open(database: redis.Redis) -> None:
    with Client(database) as client:
        client.enqueue(Task("t"), task_id="a")

    assert database.ping()
    assert pending(database) == ["a"]


def test_a_ready_asyncio_client_is_used_and_stays_open(
    server: RedisServer, database: redis.Redis
) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis.from_url(server.url) as ready:
            async with AsyncClient(ready) as client:
                await client.enqueue(Task("t"), task_id="a")
            assert await ready.ping()

    asyncio.run(main())

    assert pending(database) == ["a"]


def test_a_ready_client_that_decodes_is_refused(server: RedisServer) -> None:
    with (
        redis.Redis.from_url(server.url, decode_responses=True) as ready,
        pytest.raises(ConfigError, match="decode_responses"),
    ):
        Client(ready)


def test_a_ready_asyncio_client_that_decodes_is_refused(server: RedisServer) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis.from_url(server.url, decode_responses=True) as ready:
            with pytest.raises(ConfigError, match="decode_responses"):
                AsyncClient(ready)

    asyncio.run(main())


def test_a_ready_client_of_the_other_world_is_refused(server: RedisServer) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis.from_url(server.url) as ready:
            with pytest.raises(ConfigError, match=r"redis\.Redis"):
                Client(ready)  # type: ignore[arg-type]

    asyncio.run(main())
    with (
        redis.Redis.from_url(server.url) as blocking,
        pytest.raises(ConfigError, match=r"redis\.asyncio\.Redis"),
    ):
        AsyncClient(blocking)  # type: ignore[arg-type]


def test_a_ready_cluster_client_is_used_and_stays_open(cluster: Cluster) -> None:
    with redis.RedisCluster(host="127.0.0.1", port=cluster.proxy.port) as ready:
        with Client(ready) as client:
            client.enqueue(Task("t"), task_id="a")

        assert ready.llen("asynq:{default}:pending") == 1


# -- threads and forks --


def test_many_threads_share_one_client(server: RedisServer, database: redis.Redis) -> None:
    start = threading.Barrier(12)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            start.wait()
            for i in range(40):
                info = client.enqueue(Task("t", str(number).encode()), task_id=f"{number}-{i}")
                assert info.id == f"{number}-{i}"
        except BaseException as error:
            failures.append(error)

    with Client(server.url) as client:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert failures == []
    stored = pending(database)
    assert len(stored) == len(set(stored)) == 480
    for number in range(12):
        own = [task_id for task_id in stored if task_id.startswith(f"{number}-")]
        assert own == [f"{number}-{i}" for i in range(40)]


FORKING = """
import os, sys
from asynq_py import Client, Task

client = Client(sys.argv[1])
client.enqueue(Task("t"), task_id="before")
child = os.fork()
name = "parent" if child else "child"
for number in range(100):
    client.enqueue(Task("t"), task_id=f"{name}-{number}")
client.close()
if not child:
    os._exit(0)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_after_a_fork_both_processes_go_on_with_connections_of_their_own(
    server: RedisServer, database: redis.Redis
) -> None:
    database.ping()
    before = database.info("stats")["total_connections_received"]

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING, server.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert database.info("stats")["total_connections_received"] == before + 2
    stored = pending(database)
    assert stored[0] == "before"
    for name in ("parent", "child"):
        own = [task_id for task_id in stored if task_id.startswith(name)]
        assert own == [f"{name}-{number}" for number in range(100)]
