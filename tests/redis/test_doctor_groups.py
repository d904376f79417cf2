"""The doctor and damaged locks and groups."""

from __future__ import annotations

from datetime import timedelta

import redis

from asynq_py import Client, Task
from asynq_py.doctor import Doctor
from tests.support.damage import SET_ID, Q, look, mend, put


def test_a_lock_that_its_holder_left_behind_is_deleted(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "done", "completed", unique_key=Q + "unique:a:")
    put(database, "other", "pending", unique_key=Q + "unique:own:")
    put(database, "deleted", "pending")
    database.set(Q + "unique:own:", "other", ex=100)
    for lock, holder in {"a:": "done", "b:": "other", "c:": "nobody"}.items():
        database.set(f"{Q}unique:{lock}", holder, ex=100)

    found = mend(doctor, "stale-lock", 3)

    assert sorted(finding.what for finding in found) == [
        'its holder, task "done", is completed',
        'its holder, task "nobody", is gone',
        'its holder, task "other", does not know of it',
    ]
    assert database.keys(Q + "unique:*") == [f"{Q}unique:own:".encode()]


def test_the_lock_that_go_leaks_when_the_id_is_taken_is_freed(
    doctor: Doctor, database: redis.Redis, make: Client
) -> None:
    make.enqueue(Task("first"), task_id="x", queue="q")
    # rdb.EnqueueUnique: SET NX, then the ID turns out to be taken.
    lock = Q + "unique:second:"
    database.set(lock, "x", nx=True, ex=1000)

    mend(doctor, "stale-lock")

    make.enqueue(Task("second"), queue="q", unique=timedelta(minutes=1))


def test_a_lock_is_left_alone_while_its_holder_may_be_at_work(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "active")
    database.set(Q + "unique:other:", "x", ex=100)

    assert look(doctor) == []


def test_a_group_that_is_not_listed_is_listed(doctor: Doctor, database: redis.Redis) -> None:
    put(database, "x", "aggregating", "g:a:b", group="a:b")
    put(database, "y", "aggregating", f"g:c:{SET_ID}", group=f"c:{SET_ID}")

    found = mend(doctor, "stranded-group", 2)

    assert sorted(finding.what for finding in found) == [
        'group "a:b" has 1 tasks and is not listed',
        f'group "c:{SET_ID}" has 1 tasks and is not listed',
    ]
    assert database.smembers(Q + "groups") == {b"a:b", f"c:{SET_ID}".encode()}


def test_a_group_that_has_no_tasks_is_listed_no_more(doctor: Doctor, database: redis.Redis) -> None:
    put(database, "x", "aggregating", "g:a", group="a")
    database.sadd(Q + "groups", "b", "ü")

    mend(doctor, "empty-group", 2)

    assert database.smembers(Q + "groups") == {b"a"}


def test_a_set_that_no_server_knows_of_goes_back_to_its_group(
    doctor: Doctor, database: redis.Redis
) -> None:
    for n in range(1100):
        put(database, f"x{n}", "aggregating", f"g:a:b:{SET_ID}", group="a:b", score=n + 1)

    (found,) = mend(doctor, "stray-set")

    assert found.what == '1,100 tasks of group "a:b" are in a set that is not listed'
    assert database.zcard(Q + "g:a:b") == 1100
    assert database.zscore(Q + "g:a:b", "x7") == 8
    assert database.smembers(Q + "groups") == {b"a:b"}


def test_tasks_are_not_lost_whose_set_is_met_after_them(
    doctor: Doctor, database: redis.Redis
) -> None:
    # Of so many keys, some tasks come before their set.
    for n in range(8):
        for m in range(200):
            put(database, f"x{n}-{m}", "aggregating", f"g:g{n}:{SET_ID}", group=f"g{n}")

    mend(doctor, "stray-set", 8)
