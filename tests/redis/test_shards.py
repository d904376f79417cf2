"""A cluster of three servers: each looks after a part of the queues, and none is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis

from asynq_py import Inspector, QueueNotEmptyError, Task, TaskNotFoundError, TaskState
from asynq_py.doctor import Doctor
from tests.support.cluster import ShardedCluster
from tests.support.damage import look, put
from tests.support.database import content
from tests.support.worlds import Producer


@pytest.fixture
def databases(shards: ShardedCluster) -> Iterator[list[redis.Redis]]:
    """A plain client of each server."""
    clients = [redis.Redis.from_url(server.url) for server in shards.servers]
    yield clients
    for client in clients:
        client.close()


@pytest.fixture
def queues(shards: ShardedCluster) -> list[str]:
    """The name of a queue on each server."""
    return [shards.queue_on(number) for number in range(len(shards.servers))]


@pytest.fixture
def asked(shards: ShardedCluster) -> Iterator[redis.RedisCluster]:
    """A plain client of the whole cluster."""
    cluster = redis.RedisCluster.from_url(shards.url.replace("redis-cluster", "redis"))
    yield cluster
    cluster.close()


def test_the_doctor_finds_and_mends_damage_on_every_server(
    shards: ShardedCluster,
    databases: list[redis.Redis],
    queues: list[str],
    asked: redis.RedisCluster,
) -> None:
    for queue in queues:
        prefix = f"asynq:{{{queue}}}:"
        put(asked, "whole", "pending", queue=queue)
        put(asked, "ghost", "retry", queue=queue)
        asked.delete(prefix + "t:ghost")
        put(asked, "orphan", "archived", "", queue=queue)
        put(asked, "lost", "scheduled", "", queue=queue)
        put(asked, "unreadable", "pending", queue=queue)
        asked.hset(prefix + "t:unreadable", "msg", b"\xff")
        asked.set(prefix + "unique:t:", "gone")
        asked.sadd(prefix + "groups", "g")
    asked.srem("asynq:queues", *queues)

    with Doctor(shards.url) as doctor:
        found = look(doctor)
        for queue in queues:
            assert sorted(each.code for each in found if each.queue == queue) == [
                "empty-group", "ghost", "lost-task", "orphan", "stale-lock", "undecodable",
                "unlisted-queue",
            ]  # fmt: skip
        assert len(found) == 7 * len(queues)
        assert doctor.fix_all(found) == [True] * len(found)
        assert sorted((each.code, each.queue) for each in look(doctor)) == [
            ("quarantined", queue) for queue in sorted(queues)
        ]
    for database, queue in zip(databases, queues, strict=True):
        names = ("archived", "pending", "py:quarantine", "t:lost", "t:unreadable", "t:whole")
        assert content(database).keys() - {"asynq:queues"} == {
            f"asynq:{{{queue}}}:{name}" for name in names
        }
    assert asked.smembers("asynq:queues") == {queue.encode() for queue in queues}


def test_the_doctor_sees_to_the_settings_of_every_server(shards: ShardedCluster) -> None:
    last = shards.servers[-1]
    last.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")

    with Doctor(shards.url) as doctor:
        quick = look(doctor, deep=False)
        found = list(doctor.examine())

    last.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert [(each.code, each.what) for each in quick] == [
        ("eviction", f"{last.address}: maxmemory-policy is allkeys-lru; maxmemory is not set yet")
    ]
    assert sorted(each.what.partition(": ")[0] for each in found) == sorted(
        [last.address, *(server.address for server in shards.servers)]
    )


def test_a_ready_client_of_a_cluster_says_what_it_cannot_look_at(
    asked: redis.RedisCluster, queues: list[str]
) -> None:
    put(asked, "x", "pending", queue=queues[1])
    asked.delete(f"asynq:{{{queues[1]}}}:t:x")

    with Doctor(asked) as doctor:
        found = sorted((each.code, each.what) for each in doctor.examine())
    assert [code for code, _ in found] == ["ghost", "no-persistence", "not-asked"]
    assert "all its servers but one" in found[2][1]


def test_tasks_are_made_looked_at_and_moved_on_every_server(
    shards: ShardedCluster,
    queues: list[str],
    connect: Callable[..., Producer],
    inspect: Callable[..., Inspector],
) -> None:
    client = connect(shards.url)
    inspector = inspect(shards.url)
    for queue in queues:
        client.enqueue(Task("now", b"x"), queue=queue, task_id="now")
        client.enqueue(Task("later"), queue=queue, task_id="later", process_in=timedelta(hours=1))
        client.enqueue(Task("grouped"), queue=queue, group="g", unique=timedelta(hours=1))
    many = [Task("many", str(number).encode()) for number in range(30)]
    results = client.enqueue_many(many, queue=queues[2])
    assert all(result.error is None for result in results)

    assert inspector.queues() == sorted(queues)
    # Those in groups are not asked for.
    assert [each.size for each in inspector.queue_sizes(queues)] == [2, 2, 32]
    for number, queue in enumerate(queues):
        info = inspector.queue_info(queue)
        assert (info.scheduled, info.aggregating, info.groups) == (1, 1, 1)
        assert info.memory_usage > 0
        (node,) = inspector.cluster_nodes(queue)
        assert node.address == shards.servers[number].address
        inspector.run_task(queue, "later")
        inspector.archive_task(queue, "now")
        assert inspector.get_task(queue, "now").state is TaskState.ARCHIVED
        assert [task.id for task in inspector.list_tasks(queue, TaskState.ARCHIVED)] == ["now"]
        assert inspector.get_task(queue, "later").state is TaskState.PENDING
        inspector.delete_task(queue, "now")
        with pytest.raises(TaskNotFoundError):
            inspector.get_task(queue, "now")
        inspector.pause_queue(queue)
        assert inspector.queue_info(queue).paused
        with pytest.raises(QueueNotEmptyError):
            inspector.delete_queue(queue)
        inspector.delete_queue(queue, force=True)
    assert inspector.queues() == []
    assert [server.command("DBSIZE") for server in shards.servers] == [0] * 3
