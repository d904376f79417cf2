"""The doctor and queues, archives, and what processes left behind."""

from __future__ import annotations

import time

import redis

from asynq_py.broker.steering import ARCHIVE_AGE_S
from asynq_py.doctor import Doctor
from asynq_py.wire.message import TaskMessage, encode
from asynq_py.wire.presence import scheduler_entry
from tests.support.damage import Q, codes, look, mend, put


def test_an_archive_of_thousands_that_are_overdue_is_trimmed(
    doctor: Doctor, database: redis.Redis
) -> None:
    old = int(time.time()) - ARCHIVE_AGE_S - 10
    pipe = database.pipeline()
    for n in range(5001):
        message = encode(TaskMessage(type="t", id=f"x{n}", queue="q"))
        pipe.hset(f"{Q}t:x{n}", mapping={"msg": message, "state": "archived"})
        pipe.zadd(Q + "archived", {f"x{n}": old})
    pipe.execute()
    put(database, "young", "archived", score=time.time())

    (found,) = mend(doctor, "archive-overdue")

    assert found.what == "5,001 archived tasks are too old"
    assert database.keys(Q + "t:*") == [f"{Q}t:young".encode()]


def test_a_full_archive_is_told(doctor: Doctor, database: redis.Redis) -> None:
    now = time.time()
    database.zadd(Q + "archived", {f"x{n}": now for n in range(9000)})
    database.sadd("asynq:queues", "q")

    assert codes(doctor, deep=False) == ["archive-full"]


def test_a_queue_that_is_not_listed_is_listed(doctor: Doctor, database: redis.Redis) -> None:
    put(database, "x", "pending")
    database.srem("asynq:queues", "q")

    mend(doctor, "unlisted-queue")

    assert database.smembers("asynq:queues") == {b"q"}


def test_a_queue_that_was_emptied_meanwhile_is_not_listed(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "pending")
    database.srem("asynq:queues", "q")
    (found,) = look(doctor)
    database.delete(Q + "pending")

    assert doctor.fix(found) is False
    assert database.exists("asynq:queues") == 0


def test_a_paused_queue_that_does_not_exist_is_told(doctor: Doctor, database: redis.Redis) -> None:
    database.set(Q + "paused", "5")

    (found,) = look(doctor)

    assert (found.code, found.key, found.repair) == ("paused-nothing", Q + "paused", None)


def test_keys_of_a_wrong_type_are_told_and_nothing_breaks(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "pending")
    names = ["retry", "lease", "groups", "aggregation_sets", "paused", "processed"]
    for name in [*names, "t:y", "unique:t:", "g:g", "failed:2026-01-01"]:
        database.xadd(Q + name, {"a": "b"})

    found = look(doctor)

    assert {finding.code for finding in found} == {"wrong-type"}
    assert len(found) == len(names) + 4
    assert doctor.fix_all(found) == [False] * len(found)


def test_a_key_of_a_wrong_type_keeps_only_its_own_queue_from_being_mended(
    doctor: Doctor, database: redis.Redis
) -> None:
    for queue in "pq":
        put(database, "x", "pending", queue=queue)
        put(database, "y", "pending", queue=queue)
        database.delete(f"asynq:{{{queue}}}:t:x")
        database.hset(f"asynq:{{{queue}}}:t:y", "msg", b"\xff")
    database.xadd(Q + "retry", {"a": "b"})

    found = look(doctor)
    mended = {
        (each.queue, each.code): done
        for each, done in zip(found, doctor.fix_all(found), strict=True)
    }

    assert mended == {
        ("p", "ghost"): True,
        ("p", "undecodable"): True,
        ("q", "ghost"): False,
        ("q", "undecodable"): False,
        ("q", "wrong-type"): False,
    }


def test_those_who_are_long_gone_are_taken_out(doctor: Doctor, database: redis.Redis) -> None:
    now = int(time.time())
    for key in ("servers", "workers", "schedulers"):
        ages = {"old": now - 3700, "older": 5, "gone": now - 3500, "here": now + 10}
        database.zadd(f"asynq:{key}", ages)

    found = mend(doctor, "stale-presence", 3)

    assert found[0].what == "2 of the servers listed expired more than an hour ago"
    assert database.zrange("asynq:workers", 0, -1) == [b"gone", b"here"]


def test_a_history_without_an_end_gets_one(doctor: Doctor, database: redis.Redis) -> None:
    database.zadd("asynq:scheduler_history:x", {b"": 1})

    mend(doctor, "endless-history")

    assert abs(database.ttl("asynq:scheduler_history:x") - 30 * 24 * 3600) < 10


def test_a_history_is_left_alone_once_a_scheduler_shows_its_entry(
    doctor: Doctor, database: redis.Redis
) -> None:
    database.zadd("asynq:scheduler_history:x", {b"": 1})
    (found,) = look(doctor)
    database.zadd("asynq:schedulers", {"asynq:schedulers:{a}": time.time() + 10})
    entry = scheduler_entry("x", "@daily", "t", b"", [], next_ns=None, previous_ns=None)
    database.lpush("asynq:schedulers:{a}", entry.SerializeToString())

    assert doctor.fix(found) is False
    assert database.ttl("asynq:scheduler_history:x") == -1
