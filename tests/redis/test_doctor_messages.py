"""The doctor and messages that workers cannot use."""

from __future__ import annotations

import time

import pytest
import redis

from asynq_py import Inspector
from asynq_py.broker.quarantine import quarantine
from asynq_py.connection.sync import Connection
from asynq_py.doctor import Doctor, Severity
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import TaskMessage, encode
from tests.support.damage import SET_ID, Q, codes, look, put
from tests.support.database import content

BAD = b"\xff\xff"


def bad(database: redis.Redis, task_id: str, state: str = "pending") -> None:
    """A task whose message cannot be read."""
    put(database, task_id, state)
    database.hset(f"{Q}t:{task_id}", "msg", BAD)


def test_messages_that_are_of_no_use_are_told_and_put_into_quarantine(
    doctor: Doctor, database: redis.Redis
) -> None:
    for task_id in "abcd":
        put(database, task_id, "pending")
    database.hset(Q + "t:a", "msg", BAD)
    database.hset(Q + "t:b", "msg", encode(TaskMessage(type="t", id="c", queue="q")))
    database.hset(Q + "t:c", "msg", encode(TaskMessage(type="t", id="c", queue="p")))
    hashes = {key: value for key, value in content(database).items() if ":t:" in key}

    found = look(doctor)
    assert sorted((finding.code, finding.key[-1]) for finding in found) == [
        ("undecodable", "a"),
        ("wrong-message", "b"),
        ("wrong-message", "c"),
    ]
    assert doctor.fix_all(found) == [True] * 3

    assert database.lrange(Q + "pending", 0, -1) == [b"d"]
    assert set(database.zrange(Q + "py:quarantine", 0, -1)) == {b"a", b"b", b"c"}
    assert {key: value for key, value in content(database).items() if ":t:" in key} == hashes
    assert abs(database.zscore(Q + "py:quarantine", "a") - time.time()) < 60


def test_what_is_in_quarantine_is_good_to_know_and_nothing_else(
    doctor: Doctor, database: redis.Redis
) -> None:
    for number in range(510):
        bad(database, f"x{number}", "archived")
    assert all(doctor.fix_all(look(doctor)))
    database.srem("asynq:queues", "q")
    before = content(database)

    found = look(doctor)

    assert len(found) == 510
    assert {(each.code, each.severity, each.repair) for each in found} == {
        ("quarantined", Severity.INFO, None)
    }
    assert "no task message" in found[0].what
    assert look(doctor, queues=["q"]) == found
    assert look(doctor, deep=False) == []
    assert doctor.fix_all(found) == [False] * 510
    assert content(database) == before


def test_a_task_is_left_alone_while_a_lease_on_it_runs(
    doctor: Doctor, database: redis.Redis
) -> None:
    bad(database, "x", "active")
    before = content(database)

    (found,) = look(doctor)
    assert (found.code, doctor.fix(found)) == ("undecodable", False)
    assert content(database) == before

    database.zadd(Q + "lease", {"x": int(time.time()) - 1})
    assert doctor.fix(found) is True
    assert codes(doctor) == ["quarantined"]
    assert database.exists(Q + "active", Q + "lease") == 0


def test_other_damage_of_the_same_task_does_not_keep_it_from_quarantine(
    doctor: Doctor, database: redis.Redis
) -> None:
    bad(database, "no lease", "active")
    database.zrem(Q + "lease", "no lease")
    bad(database, "lost")
    database.lrem(Q + "pending", 0, "lost")
    put(database, "no group", "aggregating", "g:g")
    database.hset(Q + "t:no group", "msg", BAD)

    put(database, "stray", "aggregating", f"g:s:{SET_ID}", group="s")
    database.hset(Q + "t:stray", "msg", BAD)

    found = sorted(look(doctor), key=lambda each: each.code, reverse=True)
    assert [each.code for each in found] == [
        "wrong-state", *["undecodable"] * 4, "stray-set", "no-lease", "lost-task"
    ]  # fmt: skip
    assert doctor.fix_all(found) == [True] * 8

    assert codes(doctor) == ["quarantined"] * 4
    assert database.exists(Q + "active", Q + "lease", Q + "archived", Q + "groups") == 0


def test_nothing_is_put_aside_whose_message_is_right_by_now(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "pending")
    message = database.hget(Q + "t:x", "msg")
    database.hset(Q + "t:x", "msg", BAD)
    (found,) = look(doctor)
    database.hset(Q + "t:x", "msg", message)
    before = content(database)

    assert doctor.fix(found) is False
    assert content(database) == before


def test_a_task_that_has_been_mended_is_restored(
    doctor: Doctor, database: redis.Redis, server: RedisServer
) -> None:
    bad(database, "x")
    doctor.fix_all(look(doctor))
    right = encode(TaskMessage(type="t", id="x", queue="q"))

    database.hset(Q + "t:x", "msg", right)
    (found,) = look(doctor)
    database.hset(Q + "t:x", "msg", BAD)
    assert (found.code, doctor.fix(found)) == ("restorable", False)
    database.hset(Q + "t:x", "msg", right)
    assert doctor.fix(found) is True

    assert look(doctor) == []
    assert doctor.fix(found) is False
    assert database.exists(Q + "py:quarantine") == 0
    with Inspector(server.url) as inspector:
        inspector.run_task("q", "x")
    assert database.lrange(Q + "pending", 0, -1) == [b"x"]


def test_a_task_that_has_been_deleted_is_forgotten(doctor: Doctor, database: redis.Redis) -> None:
    bad(database, "x")
    doctor.fix_all(look(doctor))
    database.delete(Q + "t:x")

    (found,) = look(doctor)

    assert (found.code, doctor.fix(found)) == ("ghost", True)
    assert content(database) == {"asynq:queues": {b"q"}}


@pytest.mark.parametrize("place", ["pending", "retry", "g:x"])
def test_a_task_that_is_in_quarantine_and_elsewhere_stays_elsewhere(
    place: str, doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "aggregating" if place == "g:x" else place, place, group="x")
    database.zadd(Q + "py:quarantine", {"x": 5})

    found = look(doctor)

    assert sorted(each.code for each in found) == ["restorable", "twice"]
    assert sorted(zip((each.code for each in found), doctor.fix_all(found), strict=True)) == [
        ("restorable", False),
        ("twice", True),
    ]
    assert look(doctor) == []
    assert database.exists(Q + "py:quarantine") == 0


def test_a_task_that_is_put_aside_during_the_look_is_not_lost(
    doctor: Doctor, database: redis.Redis, server: RedisServer
) -> None:
    bad(database, "x")
    connection = Connection(server.url)

    def progress(what: str, number: int) -> None:
        if what == "keys":  # what holds tasks has been walked along, the keys not yet
            connection.run(quarantine("q", b"x", BAD, 5))

    found = look(doctor, progress=progress)

    connection.close()
    assert {finding.code for finding in found} <= {"undecodable", "quarantined"}
    assert database.zcard(Q + "py:quarantine") == 1
    assert codes(doctor) == ["quarantined"]


def test_what_is_in_quarantine_is_told_once(doctor: Doctor, database: redis.Redis) -> None:
    bad(database, "x")
    database.zadd(Q + "py:quarantine", {"x": 5})

    def progress(what: str, number: int) -> None:
        if what == "keys":  # by now it is suspected, since the list had it
            database.delete(Q + "pending")

    (found,) = look(doctor, progress=progress)

    assert found.code == "quarantined"
