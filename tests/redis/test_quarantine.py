"""Putting tasks into quarantine: from wherever they are, whole, and only if it is still due."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from asynq_py import Inspector, QueueNotEmptyError, RejectedError
from asynq_py.broker.names import text
from asynq_py.broker.quarantine import quarantine
from asynq_py.connection.sync import Connection
from asynq_py.testing.redis_server import RedisServer
from tests.support.damage import SET_ID, Q, put
from tests.support.database import content

BAD = b"\xff\xff"
NOW_S = 1_000_000

Put = Callable[..., bool]


@pytest.fixture
def put_aside(server: RedisServer) -> Iterator[Put]:
    """Runs the operation on task "x" of queue "q"."""
    connection = Connection(server.url)

    def run(message: bytes = BAD, **arguments: bool) -> bool:
        return connection.run(quarantine("q", b"x", message, NOW_S, **arguments))

    yield run
    connection.close()


@pytest.mark.parametrize(
    "place",
    ["pending", "active", "scheduled", "retry", "archived", "completed", "g:x", f"g:x:{SET_ID}"],
)
def test_a_task_is_taken_out_of_what_holds_it_and_kept_as_it_is(
    place: str, put_aside: Put, database: redis.Redis
) -> None:
    put(database, "x", place, unique_key=Q + "unique:t:", group="x")
    database.hset(Q + "t:x", "msg", BAD)
    database.set(Q + "unique:t:", "x")
    if place == "active":
        database.zadd(Q + "lease", {"x": NOW_S})
    if place.count(":") == 2:
        database.zadd(Q + "aggregation_sets", {Q + place: 5})
    fields = database.hgetall(Q + "t:x")

    assert put_aside() is True

    found = content(database)
    found.pop(Q + "aggregation_sets", None)
    assert found == {
        "asynq:queues": {b"q"},
        Q + "t:x": fields,
        Q + "py:quarantine": [(b"x", NOW_S)],
    }


def test_the_others_stay_where_they_are(put_aside: Put, database: redis.Redis) -> None:
    for task_id in ("a", "x", "b"):
        put(database, task_id, "aggregating", "g:x", group="x")
        put(database, task_id, "pending")
    database.hset(Q + "t:x", mapping={"msg": BAD, "group": "x"})
    database.set(Q + "unique:t:", "a")
    database.hset(Q + "t:x", "unique_key", Q + "unique:t:")

    assert put_aside() is True

    assert database.lrange(Q + "pending", 0, -1) == [b"b", b"a"]
    assert set(database.zrange(Q + "g:x", 0, -1)) == {b"a", b"b"}
    assert database.smembers(Q + "groups") == {b"x"}
    assert database.get(Q + "unique:t:") == b"a"


def test_it_is_done_once(put_aside: Put, database: redis.Redis) -> None:
    put(database, "x", "pending")
    database.hset(Q + "t:x", "msg", BAD)
    database.zadd(Q + "py:quarantine", {"x": 5})

    assert put_aside() is True

    assert database.zrange(Q + "py:quarantine", 0, -1, withscores=True) == [(b"x", 5)]
    assert database.exists(Q + "pending") == 0


@pytest.mark.parametrize("by_now", [b"other", None])
def test_nothing_is_done_where_the_task_has_another_message_by_now(
    by_now: bytes | None, put_aside: Put, database: redis.Redis
) -> None:
    put(database, "x", "pending")
    if by_now is None:
        database.delete(Q + "t:x")
    else:
        database.hset(Q + "t:x", "msg", by_now)
    before = content(database)

    assert put_aside() is False
    assert content(database) == before


def test_whoever_has_a_lease_is_left_alone_and_may_do_it(
    put_aside: Put, database: redis.Redis
) -> None:
    put(database, "x", "active")
    database.hset(Q + "t:x", "msg", BAD)
    database.zadd(Q + "lease", {"x": NOW_S + 1})
    before = content(database)

    assert put_aside() is False
    assert content(database) == before

    assert put_aside(is_ours=True) is True
    assert database.exists(Q + "active", Q + "lease") == 0


@pytest.mark.parametrize("name", ["pending", "retry", "lease", "groups", "aggregation_sets", "g:x"])
def test_a_key_of_a_wrong_type_stops_it_before_anything_is_changed(
    name: str, put_aside: Put, database: redis.Redis
) -> None:
    put(database, "x", "archived", group="x")
    database.hset(Q + "t:x", "msg", BAD)
    database.xadd(Q + name, {"a": "b"})

    with pytest.raises(RejectedError, match="WRONGTYPE"):
        put_aside()

    assert database.exists(Q + "py:quarantine") == 0
    assert database.zcard(Q + "archived") == 1


def test_names_need_not_be_text(server: RedisServer, database: redis.Redis) -> None:
    prefix = b"asynq:{\xff}:"
    database.hset(prefix + b"t:\xfe", "msg", BAD)
    database.lpush(prefix + b"pending", b"\xfe")
    connection = Connection(server.url)

    assert connection.run(quarantine(text(b"\xff"), b"\xfe", BAD, NOW_S)) is True

    connection.close()
    assert database.zrange(prefix + b"py:quarantine", 0, -1) == [b"\xfe"]
    assert database.exists(prefix + b"pending") == 0


def test_removing_a_queue_that_has_tasks_in_quarantine_needs_force(
    inspector: Inspector, database: redis.Redis
) -> None:
    put(database, "a", "pending")
    for number in range(510):
        database.hset(f"{Q}t:x{number}", "msg", BAD)
        database.zadd(Q + "py:quarantine", {f"x{number}": 5})
    told: list[int] = []

    database.delete(Q + "pending")
    with pytest.raises(QueueNotEmptyError):
        inspector.delete_queue("q")
    database.lpush(Q + "pending", "a")
    inspector.delete_queue("q", force=True, progress=told.append)

    assert content(database) == {}
    assert told[-1] == 511
