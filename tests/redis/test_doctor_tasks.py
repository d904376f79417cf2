"""The doctor and damaged tasks: each kind is found, explained and mended."""

from __future__ import annotations

import threading
import time

import pytest
import redis

from asynq_py import Client, Inspector, Task
from asynq_py.clock import SYSTEM_CLOCK
from asynq_py.connection.sync import Connection
from asynq_py.doctor import Doctor, Severity
from asynq_py.doctor.holders import walk
from asynq_py.doctor.look import Known, Look
from asynq_py.testing.redis_server import RedisServer
from tests.support.damage import SET_ID, Q, codes, dequeue, look, mend, put
from tests.support.database import content


def test_a_phantom_that_a_worker_made_active_is_taken_out(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "pending")
    database.delete(Q + "t:x")
    assert dequeue(database) is None
    assert database.hgetall(Q + "t:x") == {b"state": b"active"}

    (leased,) = look(doctor)
    assert (leased.code, leased.severity, leased.repair) == (
        "phantom-leased",
        Severity.INFO,
        None,
    )
    assert doctor.fix(leased) is False
    database.zadd(Q + "lease", {"x": int(time.time()) - 31})
    (found,) = mend(doctor, "phantom-active")

    assert found.what == 'task "x" is held by active; its hash says "active"'
    assert found.key == Q + "t:x"
    assert content(database) == {"asynq:queues": {b"q"}}


@pytest.mark.parametrize("how", ["gone", "stub"])
@pytest.mark.parametrize(
    "place", ["pending", "scheduled", "retry", "archived", "completed", "g:x", f"g:x:{SET_ID}"]
)
def test_an_id_without_a_hash_is_taken_out_of_what_holds_it(
    place: str, how: str, doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "retry", place)
    if place.count(":") == 2:
        database.zadd(Q + "aggregation_sets", {Q + place: int(time.time()) + 9})
    database.delete(Q + "t:x")
    if how == "stub":
        database.hset(Q + "t:x", "state", place)

    (found,) = mend(doctor, "ghost")

    assert found.places == (place,)
    assert database.exists(Q + "t:x", Q + place, Q + "groups") == 0


def test_many_ghosts_among_pending_tasks_are_swept_and_the_others_keep_their_order(
    doctor: Doctor, database: redis.Redis
) -> None:
    for number in range(2300):
        put(database, f"x{number}", "pending")
    gone = [number for number in range(2300) if number % 3 or 400 < number < 1200]
    database.delete(*[f"{Q}t:x{number}" for number in gone])
    database.hset(Q + "t:x1", mapping={"state": "pending", "unique_key": Q + "unique:t:"})
    database.set(Q + "unique:t:", "x1", ex=100)
    left = [f"x{number}".encode() for number in range(2300) if number not in set(gone)]

    found = look(doctor)
    assert {finding.code for finding in found} == {"ghost", "stale-lock"}
    assert len(found) == len(gone) + 1
    assert sum(doctor.fix_all(found)) >= len(gone)
    assert look(doctor) == []

    assert database.lrange(Q + "pending", 0, -1)[::-1] == left
    assert len(database.keys(Q + "t:*")) == len(left)
    assert database.exists(Q + "unique:t:") == 0


def test_sweeping_beside_clients_loses_no_task(
    doctor: Doctor, database: redis.Redis, server: RedisServer
) -> None:
    stop = threading.Event()
    made: list[str] = []

    def produce() -> None:
        with Client(server.url) as client:
            while not stop.is_set():
                made.append(client.enqueue(Task("t", b"x"), queue="q").id)

    put(database, "seed", "pending")
    thread = threading.Thread(target=produce)
    thread.start()
    ghosts = swept = 0
    while len(made) < 3000:
        batch = [f"ghost-{ghosts + n}" for n in range(30)]
        ghosts += 30
        for task_id in batch:
            database.lpush(Q + "pending", task_id)
        found = look(doctor)
        assert {finding.code for finding in found} <= {"ghost"}
        swept += sum(doctor.fix_all(found))
    stop.set()
    thread.join(20)

    assert look(doctor) == []
    assert swept == ghosts
    left = [task_id.decode() for task_id in database.lrange(Q + "pending", 0, -1)]
    assert left[::-1] == ["seed", *made]


def test_an_active_id_without_hash_and_lease_is_a_phantom(
    doctor: Doctor, database: redis.Redis
) -> None:
    database.sadd("asynq:queues", "q")
    database.lpush(Q + "active", "x")

    mend(doctor, "phantom-active")

    assert content(database) == {"asynq:queues": {b"q"}}


@pytest.mark.parametrize("state", ["archived", "completed"])
def test_an_orphan_is_deleted_with_the_lock_it_holds(
    state: str, doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", state, "", unique_key=Q + "unique:t:")
    put(database, "y", state, "", unique_key=Q + "unique:u:")
    put(database, "z", "pending")
    database.set(Q + "unique:t:", "x", ex=100)
    database.set(Q + "unique:u:", "z", ex=100)
    database.hset(Q + "t:z", "unique_key", Q + "unique:u:")

    found = [finding for finding in look(doctor) if finding.code == "orphan"]
    assert doctor.fix_all(found) == [True, True]
    assert look(doctor) == []

    assert sorted(finding.key for finding in found) == [Q + "t:x", Q + "t:y"]
    assert database.keys(Q + "t:*") == [f"{Q}t:z".encode()]
    assert database.keys(Q + "unique:*") == [f"{Q}unique:u:".encode()]


def test_a_result_that_was_written_too_late_is_an_orphan(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "pending")
    database.hset(Q + "t:late", "result", "done")

    mend(doctor, "orphan")

    assert database.exists(Q + "t:late") == 0


@pytest.mark.parametrize("state", ["pending", "scheduled", "retry", "aggregating", "active", "?"])
def test_a_task_that_nothing_holds_is_archived_not_lost(
    state: str, doctor: Doctor, database: redis.Redis, server: RedisServer
) -> None:
    put(database, "x", state, "", group="g", unique_key=Q + "unique:t:")
    database.set(Q + "unique:t:", "x", ex=100)

    (found,) = mend(doctor, "lost-task")

    assert found.what == f'task "x" is held by nothing; its hash says "{state}"'
    assert database.zcard(Q + "archived") == 1
    assert database.exists(Q + "unique:t:") == 0
    with Inspector(server.url) as inspector:
        inspector.run_task("q", "x")
    assert database.lrange(Q + "pending", 0, -1) == [b"x"]
    assert look(doctor) == []


def test_what_a_lost_lease_does_to_a_task_that_is_ended_is_mended(
    doctor: Doctor, database: redis.Redis
) -> None:
    # rdb.Done: LREM, then ZREM, which finds nothing, upon which it gives up.
    put(database, "x", "active", unique_key=Q + "unique:t:")
    database.set(Q + "unique:t:", "x", ex=100)
    database.zrem(Q + "lease", "x")
    database.lrem(Q + "active", 0, "x")

    mend(doctor, "lost-task")


def test_an_active_task_without_a_lease_gets_one_that_has_ended(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "active")
    put(database, "y", "active")
    lease = database.zscore(Q + "lease", "y")
    database.zrem(Q + "lease", "x")

    assert codes(doctor, deep=False) == ["no-lease"]
    mend(doctor, "no-lease")

    assert abs(database.zscore(Q + "lease", "x") - time.time()) < 5
    assert database.zscore(Q + "lease", "y") == lease


def test_a_lease_without_an_active_task_is_deleted(doctor: Doctor, database: redis.Redis) -> None:
    put(database, "x", "pending")
    database.zadd(Q + "lease", {"x": 5, "gone": 5})

    mend(doctor, "stale-lease", 2)

    assert content(database).keys() == {"asynq:queues", Q + "pending", Q + "t:x"}


@pytest.mark.parametrize(
    "place", ["pending", "active", "scheduled", "retry", "archived", "completed", "g:x"]
)
@pytest.mark.parametrize("word", ["pending", "active", "retry", "archived", "", "?"])
def test_the_hash_is_made_to_say_where_the_task_is(
    place: str, word: str, doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "x", place)
    if word == place:
        return
    database.hset(Q + "t:x", "state", word)

    mend(doctor, "wrong-state")

    state, group = database.hmget(Q + "t:x", "state", "group")
    assert state.decode() == ("aggregating" if place == "g:x" else place)
    assert group == (b"x" if place == "g:x" else None)


def test_a_hash_that_forgot_its_group_is_told_of_it(doctor: Doctor, database: redis.Redis) -> None:
    put(database, "x", "aggregating", "g:x")
    put(database, "y", "aggregating", "g:x", group="z")

    mend(doctor, "wrong-state", 2)

    assert database.hget(Q + "t:x", "group") == database.hget(Q + "t:y", "group") == b"x"


def test_a_task_in_two_places_stays_where_its_hash_says(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "pending")
    database.zadd(Q + "retry", {"x": 5})
    database.zadd(Q + "g:g", {"x": 5})
    database.sadd(Q + "groups", "g")

    (found,) = mend(doctor, "twice")

    assert found.places == ("pending", "retry", "g:g")
    assert content(database).keys() == {"asynq:queues", Q + "pending", Q + "t:x"}


def test_a_task_in_two_places_is_left_alone_where_a_worker_is_at_it(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "pending")
    put(database, "x", "pending", "active")
    before = content(database)

    (found,) = look(doctor)
    assert (found.code, doctor.fix(found)) == ("twice", False)
    assert content(database) == before

    database.zadd(Q + "lease", {"x": int(time.time()) - 31})
    mend(doctor, "twice")
    assert content(database).keys() == {"asynq:queues", Q + "pending", Q + "t:x"}


def test_a_task_in_two_places_is_left_alone_where_its_hash_names_neither(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "archived", "pending")
    database.zadd(Q + "retry", {"x": 5})

    (found,) = look(doctor)

    assert (found.code, doctor.fix(found)) == ("twice", False)


def test_what_archiving_leaves_halfway_is_mended(doctor: Doctor, database: redis.Redis) -> None:
    # rdb.Archive with 8,000 overdue: LREM, ZREM, ZADD, then its script fails.
    put(database, "x", "active", "archived", score=time.time())

    mend(doctor, "wrong-state")

    assert database.hget(Q + "t:x", "state") == b"archived"


@pytest.mark.parametrize("place", ["pending", "active"])
def test_of_an_id_that_is_several_times_in_a_list_the_next_to_be_taken_stays(
    place: str, doctor: Doctor, database: redis.Redis
) -> None:
    for task_id in "abc":
        put(database, task_id, place)
    database.lpush(Q + place, "a", "b", "b")
    assert database.lrange(Q + place, 0, -1) == [b"b", b"b", b"a", b"c", b"b", b"a"]

    found = mend(doctor, "repeated", 2)

    assert found[0].places == (place,)
    assert database.lrange(Q + place, 0, -1) == [b"c", b"b", b"a"]


def test_copies_are_found_on_different_pages_of_a_list(
    doctor: Doctor, database: redis.Redis
) -> None:
    for number in range(1300):
        put(database, f"x{number}", "pending")
    database.lpush(Q + "pending", "x3", "x900")

    mend(doctor, "repeated", 2)

    assert database.lrange(Q + "pending", 0, -1)[::-1] == [b"x%d" % n for n in range(1300)]


def test_copies_are_found_at_the_end_of_a_page_and_the_start_of_the_next(
    doctor: Doctor, database: redis.Redis
) -> None:
    for number in range(600):
        put(database, f"x{number}", "pending")
    last = database.lindex(Q + "pending", 499)
    database.linsert(Q + "pending", "BEFORE", last, last)

    mend(doctor, "repeated")


def test_what_moves_on_while_tasks_come_in_is_not_suspected(
    server: RedisServer, database: redis.Redis
) -> None:
    for number in range(1500):
        put(database, f"x{number}", "pending")

    def progress(what: str, number: int) -> None:
        if number and database.llen(Q + "pending") < 2100:
            for more in range(200):
                put(database, f"new{number}-{more}", "pending")

    connection = Connection(server.url)
    queue = Known(b"q")
    assert list(walk(Look(connection.run, SYSTEM_CLOCK, progress), queue, deep=True)) == []
    connection.close()

    assert len(queue.listed[b"pending"]) == 1500
    assert queue.suspects == {}


def test_an_id_that_is_there_once_by_now_is_left_alone(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "pending")
    database.lpush(Q + "pending", "x")
    (found,) = look(doctor)
    database.rpop(Q + "pending")

    assert (found.code, doctor.fix(found)) == ("repeated", False)
    assert database.lrange(Q + "pending", 0, -1) == [b"x"]


def test_an_id_several_times_in_two_lists_is_mended_step_by_step(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "pending")
    database.lpush(Q + "pending", "x")
    database.lpush(Q + "active", "x", "x")

    (found,) = look(doctor)
    assert (found.code, doctor.fix(found)) == ("twice", True)
    mend(doctor, "repeated")

    assert content(database).keys() == {"asynq:queues", Q + "pending", Q + "t:x"}
