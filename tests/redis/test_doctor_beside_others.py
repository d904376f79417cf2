"""The doctor beside others: what they put right, or do meanwhile, is left alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import redis

from asynq_py import Client, Inspector, Task
from asynq_py.doctor import Doctor, Finding
from asynq_py.testing.redis_server import RedisServer
from tests.support.damage import SET_ID, Q, codes, look, put
from tests.support.database import content, dump


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
