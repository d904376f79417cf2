"""The doctor on what Go leaves behind, and beside Go at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis

from asynq_py import Client, Inspector, Task
from asynq_py.clock import NANOSECONDS, FixedClock
from asynq_py.doctor import Doctor, Finding
from asynq_py.testing import GoWorker, Oracle, Redis

StartWorker = Callable[..., GoWorker]

Q = "asynq:{q}:"
#: What is wrong with servers and clocks of tests.
OF_THE_SERVER = {"no-persistence", "eviction", "clock-skew", "not-asked"}


@pytest.fixture
def database(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as database:
        yield database


def look(doctor: Doctor) -> list[Finding]:
    return [finding for finding in doctor.examine() if finding.code not in OF_THE_SERVER]


def mend(url: str, code: str, number: int, *, later_s: int = 0) -> None:
    """Sees damage found, mended and gone; ``later_s`` seconds from now."""
    with Doctor(url, clock=FixedClock(time.time_ns() + later_s * NANOSECONDS)) as doctor:
        found = look(doctor)
        assert [finding.code for finding in found] == [code] * number
        assert doctor.fix_all(found) == [True] * number
        assert look(doctor) == []


def test_a_lock_that_go_leaves_behind_when_the_id_is_taken(
    oracle: Oracle, redis_server: Redis, redis_url: str
) -> None:
    unique = {"queue": "q", "unique_ms": 3_600_000}
    task = {"type": "b", "payload": None}
    oracle.enqueue(redis_server, {"type": "a", "payload": None}, queue="q", task_id="x")
    assert oracle.enqueue(redis_server, task, task_id="x", **unique)["kind"] == "id_conflict"
    assert oracle.enqueue(redis_server, task, **unique)["kind"] == "duplicate"

    mend(redis_url, "stale-lock", 1)

    assert "kind" not in oracle.enqueue(redis_server, task, **unique)


def test_locks_that_go_leaves_behind_when_it_deletes_pending_tasks(
    oracle: Oracle, redis_server: Redis, redis_url: str
) -> None:
    for kind in "abc":
        oracle.enqueue(
            redis_server, {"type": kind, "payload": None}, queue="q", unique_ms=3_600_000
        )
    assert oracle.inspect(redis_server, "delete_all", queue="q", state="pending") == 3

    mend(redis_url, "stale-lock", 3)


def test_a_phantom_that_a_go_worker_made(
    oracle: Oracle,
    redis_server: Redis,
    redis_url: str,
    worker: StartWorker,
    database: redis.Redis,
) -> None:
    task = {"type": "t", "payload": None}
    oracle.enqueue(redis_server, task, queue="q", task_id="x")
    database.delete(Q + "t:x")
    consumer = worker(queues={"q": 1})
    oracle.enqueue(redis_server, task, queue="q", task_id="y")
    consumer.wait_for_done("y")
    assert database.hgetall(Q + "t:x") == {b"state": b"active"}
    assert oracle.enqueue(redis_server, task, queue="q", task_id="x")["kind"] == "id_conflict"

    with Doctor(redis_url) as doctor:
        assert [finding.code for finding in look(doctor)] == ["phantom-leased"]
    mend(redis_url, "phantom-active", 1, later_s=70)

    oracle.enqueue(redis_server, task, queue="q", task_id="x")
    consumer.wait_for_done("x")


def test_a_message_that_cannot_be_read_no_longer_keeps_go_from_recovering_others(
    oracle: Oracle,
    redis_server: Redis,
    redis_url: str,
    worker: StartWorker,
    database: redis.Redis,
) -> None:
    task = {"type": "t", "payload": None}
    oracle.enqueue(redis_server, task, queue="q", task_id="unreadable")
    database.hset(Q + "t:unreadable", "msg", b"\xff\xff")
    oracle.enqueue(redis_server, task, queue="q", task_id="after it")
    first = worker(queues={"q": 1})
    first.wait_for_done("after it")
    first.stop()
    assert database.lrange(Q + "active", 0, -1) == [b"unreadable"], "Go has left it there"

    # Of a worker that was killed a minute ago and more.
    oracle.enqueue(redis_server, task, queue="q", task_id="orphaned")
    database.rpoplpush(Q + "pending", Q + "active")
    database.hset(Q + "t:orphaned", "state", "active")
    ended = int(time.time()) - 100
    database.zadd(Q + "lease", {"unreadable": ended, "orphaned": ended})
    second = worker(queues={"q": 1}, retry_delay=0.1)
    second.stop()  # which lets its recoverer look once
    assert "could not list lease expired tasks" in second.errors
    assert set(database.lrange(Q + "active", 0, -1)) == {b"unreadable", b"orphaned"}

    with Doctor(redis_url) as doctor:
        (found,) = look(doctor)
        assert (found.code, doctor.fix(found)) == ("undecodable", True)
        assert [finding.code for finding in look(doctor)] == ["quarantined"]
    third = worker(queues={"q": 1}, retry_delay=0.1)
    third.wait_for_done("orphaned")
    third.stop()

    assert database.hget(Q + "t:unreadable", "msg") == b"\xff\xff"
    assert database.zrange(Q + "py:quarantine", 0, -1) == [b"unreadable"]


def test_hashes_that_go_leaves_behind_when_it_archives_too_many(
    oracle: Oracle, redis_server: Redis, redis_url: str, database: redis.Redis
) -> None:
    with Client(redis_url) as client:
        client.enqueue_many((Task("t", str(n).encode()) for n in range(11_000)), queue="q")
    oracle.inspect(redis_server, "archive_all", queue="q", state="pending")
    assert database.zcard(Q + "archived") == 9_999

    with Doctor(redis_url) as doctor:
        found = look(doctor)
        assert {finding.code for finding in found} == {"orphan", "archive-full"}
        assert sum(doctor.fix_all(found)) == 1_001
        assert [finding.code for finding in look(doctor)] == ["archive-full"]
    assert len(list(database.scan_iter(Q + "t:*", count=1000))) == 9_999


def test_a_group_that_go_leaves_stranded_after_a_retry(
    oracle: Oracle,
    redis_server: Redis,
    redis_url: str,
    worker: StartWorker,
    database: redis.Redis,
) -> None:
    task = {"type": "fail:t", "payload": None}
    oracle.enqueue(redis_server, task, queue="q", task_id="x", group="g")
    oracle.inspect(redis_server, "run_task", queue="q", id="x")
    consumer = worker(queues={"q": 1}, retry_delay=0.1)
    end = time.monotonic() + 15
    while database.zscore(Q + "g:g", "x") is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    consumer.stop()

    mend(redis_url, "stranded-group", 1)

    assert oracle.inspect(redis_server, "groups", queue="q") == [{"group": "g", "size": 1}]


def test_beside_go_at_work_nothing_is_found_and_nothing_lost(
    redis_url: str, worker: StartWorker
) -> None:
    consumer = worker(
        queues={"q": 1}, retry_delay=0.1, group_grace=1, group_max_size=5, concurrency=8
    )
    found: list[Finding] = []
    sent = []
    with Client(redis_url) as client, Doctor(redis_url) as doctor:
        for number in range(60):
            data = str(number).encode()
            options = {"queue": "q", "max_retry": 2}
            sent += [
                client.enqueue(Task("t", data), **options).id,
                client.enqueue(Task("u", data), unique=timedelta(hours=1), **options).id,
                client.enqueue(Task("sleep:s", b"20"), **options).id,
                client.enqueue(Task("result:r", data), retention=timedelta(hours=1), **options).id,
                client.enqueue(Task("later", data), process_in=timedelta(seconds=1), **options).id,
                client.enqueue(Task("fail:f", data), **options).id,
                client.enqueue(Task("skip:s", data), **options).id,
            ]
            client.enqueue(Task("g", data), group=f"g{number % 3}", **options)
            found += (now := look(doctor))
            doctor.fix_all(now)
        ended: set[str] = set()
        end = time.monotonic() + 40
        while not set(sent) <= ended and time.monotonic() < end:
            found += (now := look(doctor))
            doctor.fix_all(now)
            ended = {task.id for task in consumer.tasks}
        with Inspector(redis_url) as inspector:
            while inspector.queue_info("q").size > 60 * 3 and time.monotonic() < end:
                found += look(doctor)
            info = inspector.queue_info("q")
        found += look(doctor)

    assert found == []
    times = [task.id for task in consumer.tasks]
    plain = [task.id for task in consumer.tasks if not task.type.startswith("fail:")]
    assert set(sent) <= set(times)
    assert len(plain) == len(set(plain)), "none ran twice"
    # Those that failed and those that were skipped are archived, results are kept.
    assert (info.archived, info.completed, info.size) == (120, 60, 180)
