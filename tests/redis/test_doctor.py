"""The doctor looks: what is whole is left alone; of some queues; what it may not see."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
import redis

from asynq_py import Client, QueueNotFoundError, Task
from asynq_py.doctor import Doctor
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.presence import scheduler_entry
from tests.conftest import Cluster
from tests.support.damage import SET_ID, Q, codes, dequeue, look, put
from tests.support.database import content


def whole(database: redis.Redis, client: Client) -> None:
    """A queue with tasks in every state, made as clients and Go's servers make them."""
    database.config_set("maxmemory-policy", "noeviction")
    for n in range(20):
        client.enqueue(Task(f"t{n}", b"x"), queue="q")
        client.enqueue(Task(f"u{n}", b"x"), queue="q", unique=timedelta(hours=1))
        client.enqueue(Task(f"s{n}", b"x"), queue="q", process_in=timedelta(hours=1))
        client.enqueue(Task(f"g{n}", b"x"), queue="q", group=f"g{n % 3}")
        client.enqueue(Task(f"gu{n}"), queue="q", group="g{é} *", unique=timedelta(hours=1))
    client.enqueue(Task("é", b"x"), queue="ä}b:*[", task_id="a}:b t:c")
    for _ in range(10):
        assert dequeue(database)
    for n in range(600):
        put(database, f"retry-{n}", "retry", group="g1")
        put(database, f"archived-{n}", "archived", score=time.time())
    put(database, "completed", "completed", result="r")
    put(database, "set", "aggregating", f"g:g1:{SET_ID}", group="g1")
    database.zadd(Q + "aggregation_sets", {f"{Q}g:g1:{SET_ID}": int(time.time()) + 120})
    database.set(Q + "processed", 5)
    database.set(Q + "processed:2026-11-25", 5, ex=1000)
    database.set(Q + "paused", 5)
    database.hset(Q + "py:ticks", "a", "1 1 x")
    database.zadd("asynq:servers", {"asynq:servers:{a:1:b}": time.time() + 10})
    database.zadd("asynq:schedulers", {"asynq:schedulers:{a:1:b}": time.time() + 10})
    entry = scheduler_entry("e", "@daily", "t", b"", [], next_ns=None, previous_ns=None)
    database.lpush("asynq:schedulers:{a:1:b}", entry.SerializeToString())
    database.zadd("asynq:scheduler_history:e", {b"": 1})
    database.zadd("asynq:scheduler_history:old", {b"": 1})
    database.expire("asynq:scheduler_history:old", 1000)


def test_what_is_whole_has_no_findings_and_is_left_as_it_is(
    doctor: Doctor, database: redis.Redis, make: Client
) -> None:
    whole(database, make)
    before = content(database)

    assert look(doctor) == []
    assert look(doctor, deep=False) == []
    assert look(doctor, queues=["q"]) == []
    assert look(doctor, queues=["q", "ä}b:*["]) == []
    assert content(database) == before


def test_an_empty_database_has_no_findings(doctor: Doctor) -> None:
    assert look(doctor) == []


def test_a_queue_that_does_not_exist_is_refused(doctor: Doctor, database: redis.Redis) -> None:
    put(database, "a", "pending")

    with pytest.raises(QueueNotFoundError, match='no queue "p"'):
        look(doctor, queues=["q", "p"])


def test_only_the_queues_named_are_looked_at(doctor: Doctor, database: redis.Redis) -> None:
    for queue in ("a", "ab", "c"):
        put(database, "x", "pending", queue=queue)
        database.delete(f"asynq:{{{queue}}}:t:x")
        database.set(f"asynq:{{{queue}}}:unique:t:", "gone")

    assert {finding.queue for finding in look(doctor, queues=["a"])} == {"a"}
    assert {finding.queue for finding in look(doctor, queues=["a", "c"])} == {"a", "c"}
    assert {finding.queue for finding in look(doctor)} == {"a", "ab", "c"}


def test_a_queue_is_found_by_its_name_whatever_is_in_it(
    doctor: Doctor, database: redis.Redis
) -> None:
    for queue in ("[x]*?\\", "a}b", "{", "ü"):
        put(database, "x", "archived", "", queue=queue)

        assert codes(doctor, queues=[queue]) == ["orphan"]
    assert codes(doctor) == ["orphan"] * 4


def test_what_cannot_be_asked_is_said(server: RedisServer, database: redis.Redis) -> None:
    put(database, "x", "pending")
    database.acl_setuser(
        "blind", enabled=True, nopass=True, keys=["*"], categories=["+@all"],
        commands=["-config", "-info", "-time", "-scan"],
    )  # fmt: skip
    url = server.url.replace("redis://", "redis://blind:x@")

    with Doctor(url) as doctor:
        found = list(doctor.examine())

    database.acl_deluser("blind")
    assert {finding.code for finding in found} == {"not-asked"}
    assert len(found) == 6
    assert all("NOPERM" in finding.what for finding in found)


@pytest.mark.parametrize(
    "denied", ["evalsha", "hstrlen", "hmget", "hget", "zscore", "smembers", "type", "exists", "ttl"]
)
def test_each_refusal_is_told_and_the_rest_looked_at(
    denied: str, server: RedisServer, database: redis.Redis
) -> None:
    put(database, "x", "pending")
    put(database, "y", "archived", "")
    put(database, "z", "aggregating", "g:g", group="g")
    database.zadd("asynq:scheduler_history:x", {"": 1})
    database.zadd("asynq:servers", {"old": 1})
    database.acl_setuser(
        "half", enabled=True, nopass=True, keys=["*"], categories=["+@all"],
        commands=[f"-{denied}"],
    )  # fmt: skip

    with Doctor(server.url.replace("redis://", "redis://half:x@")) as doctor:
        found = list(doctor.examine())

    database.acl_deluser("half")
    assert "stale-presence" in {finding.code for finding in found}
    assert "not-asked" in {finding.code for finding in found}
    assert any(denied in finding.what for finding in found)
    assert len(found) < 12


def test_who_may_see_one_queue_alone_is_told_about_it(
    server: RedisServer, database: redis.Redis
) -> None:
    put(database, "x", "archived", "")
    put(database, "x", "archived", "", queue="p")
    database.acl_setuser(
        "one", enabled=True, nopass=True, keys=[Q + "*"], categories=["+@all"]
    )  # fmt: skip

    with Doctor(server.url.replace("redis://", "redis://one:x@")) as doctor:
        named = look(doctor, queues=["q"])
        everything = look(doctor)
        assert [doctor.fix(finding) for finding in named if finding.code == "orphan"] == [True]

    database.acl_deluser("one")
    assert sorted(finding.code for finding in named) == ["not-asked", "orphan"]
    assert "orphan" in {finding.code for finding in everything}
    assert {finding.code for finding in everything} == {"not-asked", "orphan"}


def test_a_cluster_is_scanned_node_by_node(cluster: Cluster) -> None:
    server = cluster.server
    database = redis.Redis.from_url(server.url)
    put(database, "x", "pending")
    put(database, "y", "archived", "")
    database.delete(Q + "t:x")
    database.zadd(Q + "retry", {"x": 5})
    database.set(Q + "unique:t:", "gone")
    database.sadd(Q + "groups", "g")

    with Doctor(cluster.url) as doctor:
        found = look(doctor)
        assert sorted(f.code for f in found) == ["empty-group", "ghost", "orphan", "stale-lock"]
        assert doctor.fix_all(found) == [True] * 4
        assert look(doctor) == []
    assert content(database) == {"asynq:queues": {b"q"}}
    database.close()


def test_keys_of_queues_with_odd_names_are_read_right(
    doctor: Doctor, database: redis.Redis
) -> None:
    for queue in ("a", "a}:b", "a}:t:b"):
        put(database, "x", "pending", queue=queue)
    put(database, "lost", "pending", "", queue="a}:b")
    database.srem("asynq:queues", "a}:t:b")

    (found,) = look(doctor, queues=["a}:b"])
    assert (found.code, found.queue, found.key) == ("lost-task", "a}:b", "asynq:{a}:b}:t:lost")
    assert codes(doctor, queues=["a}:t:b"]) == ["unclear-key", "unlisted-queue"]
    database.sadd("asynq:queues", "a}:t:b")
    assert doctor.fix(found) is True

    assert database.zrange("asynq:{a}:b}:archived", 0, -1) == [b"lost"]
    assert look(doctor, queues=["a}:b"]) == []


@pytest.mark.parametrize("is_listed", [True, False])
def test_keys_that_cannot_be_told_apart_are_told_of_once_and_left_alone(
    is_listed: bool, doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "pending", queue="a")
    for number in range(20):
        put(database, f"{number}", "pending", "", queue="a}:t:b")
    put(database, "y", "pending", queue="a}:t:b")
    if not is_listed:
        database.srem("asynq:queues", "a}:t:b")
    before = content(database)

    (found,) = look(doctor)

    assert (found.code, found.repair) == ("unclear-key", None)
    assert found.what == 'it belongs to queue "a" or "a}:t:b"'
    assert codes(doctor, queues=["a"]) == ["unclear-key"]
    assert doctor.fix(found) is False
    assert content(database) == before
