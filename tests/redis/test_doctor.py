"""The doctor: each kind of damage is found, explained and mended; what is whole is left alone."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from asynq_py import Client, Inspector, QueueNotFoundError, Task
from asynq_py.broker.steering import ARCHIVE_AGE_S
from asynq_py.clock import NANOSECONDS, FixedClock
from asynq_py.doctor import Doctor, Finding, Severity
from asynq_py.doctor.finding import KINDS
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import TaskMessage, encode
from asynq_py.wire.presence import scheduler_entry
from tests.conftest import Cluster
from tests.support.database import content, dump

Q = "asynq:{q}:"
SET_ID = "0b5f6d1e-7f1c-4b8e-9d3a-0123456789ab"
#: What the servers of these tests are like: nothing is saved.
OF_THE_SERVER = {"no-persistence"}


@pytest.fixture
def doctor(server: RedisServer) -> Iterator[Doctor]:
    with Doctor(server.url) as doctor:
        yield doctor


def look(doctor: Doctor, **arguments: Any) -> list[Finding]:  # noqa: ANN401
    """What is found, but for what these servers are like."""
    found = list(doctor.examine(**arguments))
    assert all(finding.code in KINDS and finding.what and finding.why for finding in found)
    return [finding for finding in found if finding.code not in OF_THE_SERVER]


def codes(doctor: Doctor, **arguments: Any) -> list[str]:  # noqa: ANN401
    return sorted(finding.code for finding in look(doctor, **arguments))


def mend(doctor: Doctor, code: str, number: int = 1) -> list[Finding]:
    """Sees damage found, mended, and gone; returns what was found."""
    found = look(doctor)
    assert [finding.code for finding in found] == [code] * number
    assert doctor.fix_all(found) == [True] * number
    assert look(doctor) == []
    assert doctor.fix_all(found) == [False] * number, "it is mended once"
    return found


def put(
    database: redis.Redis,
    task_id: str,
    state: str,
    place: str | None = None,
    *,
    score: float | None = None,
    queue: str = "q",
    **fields: str,
) -> None:
    """A task as Go leaves it in a state; ``place`` is "" for none."""
    prefix = f"asynq:{{{queue}}}:"
    unique = fields.get("unique_key", "")
    message = TaskMessage(
        type="t", id=task_id, queue=queue, retry=25, timeout=1800, unique_key=unique
    )
    database.sadd("asynq:queues", queue)
    database.hset(f"{prefix}t:{task_id}", mapping={"msg": encode(message), "state": state})
    if fields:
        database.hset(f"{prefix}t:{task_id}", mapping=fields)  # type: ignore[arg-type]
    place = state if place is None else place
    if place in ("pending", "active"):
        database.lpush(prefix + place, task_id)
        if place == "active":
            database.zadd(prefix + "lease", {task_id: int(time.time()) + 30})
    elif place:
        database.zadd(prefix + place, {task_id: int(score or time.time() + 60)})
        if place.startswith("g:") and place.count(":") == 1:
            database.sadd(prefix + "groups", place[2:])


def dequeue(database: redis.Redis, queue: str = "q") -> bytes | None:
    """What rdb.Dequeue of asynq v0.26.0 does, step by step."""
    prefix = f"asynq:{{{queue}}}:"
    task_id = database.rpoplpush(prefix + "pending", prefix + "active")
    if task_id is None:
        return None
    key = f"{prefix}t:{task_id.decode()}"
    database.hset(key, "state", "active")
    database.hdel(key, "pending_since")
    database.zadd(prefix + "lease", {task_id: int(time.time()) + 30})
    return database.hget(key, "msg")


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


@pytest.fixture
def make(server: RedisServer) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


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


# -- tasks --


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


def test_what_archiving_leaves_halfway_is_mended(doctor: Doctor, database: redis.Redis) -> None:
    # rdb.Archive with 8,000 overdue: LREM, ZREM, ZADD, then its script fails.
    put(database, "x", "active", "archived", score=time.time())

    mend(doctor, "wrong-state")

    assert database.hget(Q + "t:x", "state") == b"archived"


def test_a_full_archive_is_told(doctor: Doctor, database: redis.Redis) -> None:
    now = time.time()
    database.zadd(Q + "archived", {f"x{n}": now for n in range(9000)})
    database.sadd("asynq:queues", "q")

    assert codes(doctor, deep=False) == ["archive-full"]


def test_messages_that_cannot_be_right_are_told_with_their_keys(
    doctor: Doctor, database: redis.Redis
) -> None:
    for task_id in "abcd":
        put(database, task_id, "pending")
    database.hset(Q + "t:a", "msg", b"\xff\xff")
    database.hset(Q + "t:b", "msg", encode(TaskMessage(type="t", id="c", queue="q")))
    database.hset(Q + "t:c", "msg", encode(TaskMessage(type="t", id="c", queue="p")))

    found = look(doctor)

    assert sorted((finding.code, finding.key[-1]) for finding in found) == [
        ("undecodable", "a"),
        ("wrong-message", "b"),
        ("wrong-message", "c"),
    ]
    assert [finding.repair for finding in found] == [None] * 3
    assert doctor.fix_all(found) == [False] * 3


# -- locks --


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


# -- groups --


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


# -- queues, presence --


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


# -- the server --


def of_server(url: str, **arguments: Any) -> list[str]:  # noqa: ANN401
    with Doctor(url, **arguments) as doctor:
        return sorted(finding.code for finding in doctor.examine())


def test_settings_that_lose_tasks_are_told(start_server: Callable[..., RedisServer]) -> None:
    server = start_server(maxmemory="100mb", maxmemory_policy="allkeys-lru")
    assert of_server(server.url) == ["eviction", "no-persistence"]

    server.command("CONFIG", "SET", "appendonly", "yes")
    server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert of_server(server.url) == []
    server.command("CONFIG", "SET", "appendonly", "no")
    server.command("CONFIG", "SET", "save", "60 1")
    server.command("CONFIG", "SET", "maxmemory", "100000")
    assert of_server(server.url) == ["memory-full"]


def test_a_replica_can_be_looked_at_and_says_that_it_is_one(
    start_server: Callable[..., RedisServer],
    connect_raw: Callable[..., redis.Redis],
) -> None:
    server = start_server()
    server.command("CONFIG", "SET", "save", "60 1")
    database = connect_raw(server)
    put(database, "x", "pending")
    database.delete(Q + "t:x")
    database.set(Q + "unique:t:", "x")
    server.command("REPLICAOF", "127.0.0.1", "1")

    assert of_server(server.url) == ["ghost", "read-only", "stale-lock"]


def test_a_clock_that_is_off_is_told(server: RedisServer) -> None:
    for seconds, way in ((-2.5, "ahead of"), (2.5, "behind")):
        clock = FixedClock(time.time_ns() + round(seconds * NANOSECONDS))
        with Doctor(server.url, clock=clock) as doctor:
            found = [f for f in doctor.examine() if f.code == "clock-skew"]
        assert len(found) == 1
        told = re.search(r"is ([\d.]+) s (ahead of|behind)", found[0].what)
        assert told
        assert told[2] == way
        assert abs(float(told[1]) - 2.5) < 1


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


# -- beside others --


def test_a_repair_does_nothing_where_all_is_well_again(
    doctor: Doctor, database: redis.Redis, make: Client
) -> None:
    """Each kind is found, then put right by others, and the repair must see it."""
    put(database, "ghost", "pending")
    message = database.hgetall(Q + "t:ghost")
    database.delete(Q + "t:ghost")
    put(database, "lost", "pending", "")
    put(database, "orphan", "archived", "")
    put(database, "no-lease", "active")
    database.zrem(Q + "lease", "no-lease")
    put(database, "wrong", "retry", "pending")
    put(database, "stranded", "aggregating", "g:s", group="s")
    database.srem(Q + "groups", "s")
    database.sadd(Q + "groups", "e")
    database.zadd(Q + "lease", {"wrong": 5})
    database.set(Q + "unique:t:", "new")
    put(database, "twice", "pending")
    database.zadd(Q + "retry", {"twice": 5})
    found = look(doctor)
    assert len(found) == 9

    database.hset(Q + "t:ghost", mapping=message)
    database.lpush(Q + "pending", "lost")
    database.zadd(Q + "archived", {"orphan": 5})
    database.zadd(Q + "lease", {"no-lease": int(time.time()) + 30})
    database.hset(Q + "t:wrong", "state", "pending")
    database.zrem(Q + "lease", "wrong")
    database.sadd(Q + "groups", "s")
    put(database, "in e", "aggregating", "g:e", group="e")
    put(database, "new", "pending", unique_key=Q + "unique:t:")
    database.zrem(Q + "retry", "twice")
    before = dump(database)

    assert doctor.fix_all(found) == [False] * 9
    assert dump(database) == before
    assert look(doctor) == []


def test_a_repair_does_nothing_where_something_else_is_wrong_by_now(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "retry", "")
    put(database, "y", "archived", "")
    found = look(doctor)
    assert sorted(finding.code for finding in found) == ["lost-task", "orphan"]
    database.lpush(Q + "pending", "x", "y")
    before = content(database)

    assert doctor.fix_all(found) == [False, False]
    assert content(database) == before
    assert codes(doctor) == ["wrong-state", "wrong-state"]


def test_a_task_that_is_being_aggregated_by_now_is_not_lost(
    doctor: Doctor, database: redis.Redis
) -> None:
    put(database, "x", "aggregating", "", group="g")
    (found,) = look(doctor)
    database.zadd(f"{Q}g:g:{SET_ID}", {"x": 5})
    database.zadd(Q + "aggregation_sets", {f"{Q}g:g:{SET_ID}": int(time.time()) + 120})

    assert (found.code, doctor.fix(found)) == ("lost-task", False)
    assert look(doctor) == []


def test_beside_clients_inspectors_and_workers_nothing_is_found_nor_harmed(
    doctor: Doctor, database: redis.Redis, server: RedisServer
) -> None:
    """The doctor looks and mends all the time, while tasks move; real damage is mended."""
    stop = threading.Event()
    faults: list[BaseException] = []
    take = database.register_script(
        # rdb.Dequeue, and rdb.Done with the tasks taken before.
        """
        local prefix = ARGV[1]
        local id = redis.call("RPOPLPUSH", prefix .. "pending", prefix .. "active")
        if id then
          redis.call("HSET", prefix .. "t:" .. id, "state", "active")
          redis.call("ZADD", prefix .. "lease", ARGV[2], id)
        end
        if redis.call("LLEN", prefix .. "active") > 20 then
          local done = redis.call("LRANGE", prefix .. "active", -1, -1)[1]
          redis.call("LREM", prefix .. "active", 0, done)
          redis.call("ZREM", prefix .. "lease", done)
          local lock = redis.call("HGET", prefix .. "t:" .. done, "unique_key")
          if lock and redis.call("GET", lock) == done then redis.call("DEL", lock) end
          redis.call("DEL", prefix .. "t:" .. done)
          return done
        end
        """
    )
    made: set[str] = set()
    done: set[str] = set()

    def produce(name: str) -> None:
        with Client(server.url) as client:
            number = 0
            while not stop.is_set():
                number += 1
                kinds: list[dict[str, Any]] = [
                    {},
                    {"unique": timedelta(minutes=5)},
                    {"process_in": timedelta(hours=1)},
                    {"group": f"g{number % 3}"},
                ]
                options = kinds[number % 4]
                task = Task(f"{name}{number}", b"x")
                made.add(client.enqueue(task, queue="q", **options).id)

    def move() -> None:
        states = ("pending", "scheduled", "archived")
        with Inspector(server.url) as inspector:
            inspector_round = 0
            while not stop.is_set():
                inspector_round += 1
                for state in states:
                    for task in inspector.list_tasks("q", state, size=20):
                        try:
                            if inspector_round % 2:
                                inspector.archive_task("q", task.id)
                            else:
                                inspector.run_task("q", task.id)
                        except Exception as error:
                            if type(error).__name__ not in (
                                "TaskNotFoundError",
                                "TaskStateError",
                            ):
                                raise

    def work() -> None:
        while not stop.is_set():
            task_id = take(keys=[Q + "pending"], args=[Q, int(time.time()) + 30])
            if task_id:
                done.add(task_id.decode())

    def guarded(call: Callable[..., None], *arguments: str) -> Callable[[], None]:
        def run() -> None:
            try:
                call(*arguments)
            except BaseException as error:
                faults.append(error)

        return run

    put(database, "seed", "pending")
    made.add("seed")
    jobs = [(produce, "a"), (produce, "b"), (move,), (work,)]
    threads = [threading.Thread(target=guarded(*job)) for job in jobs]
    for thread in threads:
        thread.start()
    found: list[Finding] = []
    ghosts = 0
    end = time.monotonic() + 6
    while time.monotonic() < end and not faults:
        database.zadd(Q + "scheduled", {f"ghost-{ghosts}": 5})
        ghosts += 1
        look_ = look(doctor)
        found += look_
        assert doctor.fix_all(look_) == [True] * len(look_)
    stop.set()
    for thread in threads:
        thread.join(20)

    assert faults == []
    assert {finding.code for finding in found} == {"ghost"}
    assert len(found) == ghosts
    assert look(doctor) == []
    left = {key.decode().removeprefix(Q + "t:") for key in database.scan_iter(Q + "t:*")}
    assert left == made - done
    assert len(done) > 100
