"""Groups: when their tasks are made one, and what happens when that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
import redis

from asynq_py import Client, Context, Server, ServerConfig, Task
from asynq_py.broker.aggregation import (
    AGGREGATION_S,
    CHUNK,
    When,
    delete_aggregation_set,
    gather_group,
    read_aggregation_set,
    reclaim_stale_sets,
)
from asynq_py.clock import FixedClock
from asynq_py.connection.sync import Connection
from asynq_py.server.aggregator import Aggregator
from asynq_py.server.loop import Loop
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.message import decode
from tests.support.database import pending, task_hash
from tests.support.serving import Messages, Seen, until
from tests.support.states import put
from tests.support.tasks import NOW_S

Serve = Callable[..., Server]

NOW_NS = NOW_S * 10**9
GROUP = "asynq:{default}:g:g"
SETS = "asynq:{default}:aggregation_sets"


@pytest.fixture
def connection(server: RedisServer) -> Iterator[Connection]:
    connection = Connection(server.url)
    yield connection
    connection.close()


def fill(database: redis.Redis, *scores: int, group: str = "g") -> None:
    for number, score in enumerate(scores):
        put(database, "aggregating", f"a{number}", group=group, score=score)


@pytest.mark.parametrize(
    ("when", "scores", "taken"),
    [
        (When(10), (NOW_S - 20, NOW_S - 10), 2),
        (When(10), (NOW_S - 20, NOW_S - 9), 0),
        (When(10, longest_s=20), (NOW_S - 20, NOW_S - 1), 2),
        (When(10, longest_s=20), (NOW_S - 19, NOW_S - 1), 0),
        (When(10, size=2), (NOW_S, NOW_S), 2),
        (When(10, size=3), (NOW_S, NOW_S), 0),
        (When(10, size=2), (NOW_S, NOW_S, NOW_S), 2),
        (When(10, size=2), (NOW_S - 30, NOW_S - 20, NOW_S - 10), 2),
        (When(10), (), 0),
    ],
)
def test_when_it_is_time(
    when: When,
    scores: tuple[int, ...],
    taken: int,
    connection: Connection,
    database: redis.Redis,
) -> None:
    fill(database, *scores)

    set_key = connection.run(gather_group("default", b"g", when, NOW_NS))

    assert (set_key is not None) == bool(taken)
    assert database.zcard(GROUP) == len(scores) - taken
    listed = database.smembers("asynq:{default}:groups")
    assert listed == ({b"g"} if len(scores) > taken else set())
    if set_key:
        assert database.zrange(SETS, 0, -1, withscores=True) == [(set_key, NOW_S + AGGREGATION_S)]
        members = connection.run(read_aggregation_set("default", set_key))
        assert [each.task_id for each in members] == [b"a0", b"a1"]
        assert database.zrange(set_key, 0, -1, withscores=True)[0][1] == scores[0]


def test_a_large_set_is_deleted_whole(connection: Connection, database: redis.Redis) -> None:
    fill(database, *[NOW_S - 60] * (CHUNK + 7))
    set_key = connection.run(gather_group("default", b"g", When(10), NOW_NS))
    assert set_key is not None

    connection.run(delete_aggregation_set("default", set_key))

    assert {key.decode() for key in database.scan_iter()} == {"asynq:queues"}


def test_tasks_that_nobody_aggregated_in_time_go_back_and_their_group_is_listed(
    connection: Connection, database: redis.Redis
) -> None:
    fill(database, NOW_S - 60, NOW_S - 50, group="g:with:colons")
    connection.run(gather_group("default", b"g:with:colons", When(10), NOW_NS))

    assert connection.run(reclaim_stale_sets("default", NOW_NS)) == 0
    later_ns = NOW_NS + AGGREGATION_S * 10**9
    assert connection.run(reclaim_stale_sets("default", later_ns)) == 2
    assert connection.run(reclaim_stale_sets("default", later_ns)) == 0

    assert database.zrange("asynq:{default}:g:g:with:colons", 0, -1, withscores=True) == [
        (b"a0", NOW_S - 60),
        (b"a1", NOW_S - 50),
    ]
    assert database.smembers("asynq:{default}:groups") == {b"g:with:colons"}
    assert not database.exists(SETS)


@pytest.fixture
def look(server: RedisServer) -> Iterator[Callable[..., Messages]]:
    """Lets an aggregator look once at NOW_S, and waits for what it has started."""
    connection, loop = Connection(server.url), Loop(None)

    async def nothing() -> None: ...

    def once(aggregate: object, **config: object) -> Messages:
        messages = Messages()
        settings = ServerConfig(group_aggregator=aggregate, **config)  # type: ignore[arg-type]
        clock = FixedClock(NOW_NS)
        aggregator = Aggregator(connection, settings, clock, messages.logger, loop.loop)
        aggregator()
        aggregator.stop(20)
        return messages

    yield once
    loop.close(nothing)
    connection.close()


def joined(group: str, tasks: Sequence[Task]) -> Task:
    """Makes one task of many."""
    text = b"+".join(task.payload or b"" for task in tasks)
    return Task(f"all:{group}", text, task_id="one", queue="elsewhere", max_retry=2)


async def joined_on_loop(group: str, tasks: Sequence[Task]) -> Task:
    return joined(group, tasks)


@pytest.mark.parametrize("aggregate", [joined, joined_on_loop, lambda *a: joined_on_loop(*a)])
def test_the_tasks_of_a_group_become_one_of_the_same_queue(
    aggregate: object, look: Callable[..., Messages], database: redis.Redis
) -> None:
    for number in range(3):
        payload = f"p{number}".encode()
        put(database, "aggregating", f"a{number}", group="g", score=NOW_S - 90, payload=payload)

    assert look(aggregate).texts == []

    assert pending(database) == ["one"]
    message = decode(task_hash(database, "default", "one")["msg"])
    assert (message.type, message.payload, message.retry) == ("all:g", b"p0+p1+p2", 2)
    assert not database.exists(SETS, GROUP, "asynq:{default}:groups", "asynq:{default}:t:a0")


def test_an_aggregator_is_given_what_handlers_are(
    look: Callable[..., Messages], database: redis.Redis
) -> None:
    seen = Seen()
    put(database, "aggregating", "a", group="g", score=0, payload=b"p", headers={"h": "v"})

    def aggregate(group: str, tasks: Sequence[Task]) -> Task:
        seen(group, list(tasks))
        return Task("x")

    look(aggregate)

    assert seen.items == [("g", [Task("t", b"p", headers={"h": "v"})])]


def raising(group: str, tasks: Sequence[Task]) -> Task:
    raise ZeroDivisionError


async def raising_on_loop(group: str, tasks: Sequence[Task]) -> Task:
    raise ZeroDivisionError


def exits(group: str, tasks: Sequence[Task]) -> Task:
    raise SystemExit(1)


@pytest.mark.parametrize(
    ("aggregate", "text"),
    [
        (raising, "group 'g' of 'default' is tried again later"),
        (raising_on_loop, "group 'g' of 'default' is tried again later"),
        (exits, "group 'g' of 'default' is tried again later"),
        (lambda group, tasks: None, "group_aggregator must return a Task, not NoneType"),
        (lambda group, tasks: "x", "group_aggregator must return a Task, not str"),
    ],
)
def test_what_an_aggregator_does_wrong_loses_no_task(
    aggregate: object,
    text: str,
    look: Callable[..., Messages],
    connection: Connection,
    database: redis.Redis,
) -> None:
    fill(database, NOW_S - 90, NOW_S - 80)

    messages = look(aggregate)

    assert text in messages.texts[0]
    assert pending(database) == []
    assert connection.run(reclaim_stale_sets("default", NOW_NS + AGGREGATION_S * 10**9)) == 2
    look(joined)
    assert pending(database) == ["one"]


def test_a_task_that_cannot_be_enqueued_loses_no_member(
    look: Callable[..., Messages], database: redis.Redis
) -> None:
    fill(database, NOW_S - 90)
    put(database, "pending", "one")

    messages = look(joined)

    assert "is tried again later" in messages.texts[0]
    assert database.zcard(SETS) == 1
    assert database.exists("asynq:{default}:t:a0")


def test_members_that_cannot_be_read_are_put_aside_and_ghosts_left_out(
    look: Callable[..., Messages], database: redis.Redis
) -> None:
    fill(database, NOW_S - 90, NOW_S - 80, NOW_S - 70)
    database.hset("asynq:{default}:t:a0", "msg", b"\xff\xff")
    database.delete("asynq:{default}:t:a1")
    seen = Seen()

    def aggregate(group: str, tasks: Sequence[Task]) -> Task:
        seen(len(tasks))
        return Task("x")

    messages = look(aggregate)

    assert seen.items == [1]
    assert "task b'a0' of 'default' goes into quarantine" in messages.texts[0]
    assert database.zrange("asynq:{default}:py:quarantine", 0, -1) == [b"a0"]
    assert task_hash(database, "default", "a0")["msg"] == b"\xff\xff"
    assert not database.exists(SETS, "asynq:{default}:t:a2")


def test_a_set_of_ghosts_makes_no_task(
    look: Callable[..., Messages], database: redis.Redis
) -> None:
    fill(database, NOW_S - 90)
    database.delete("asynq:{default}:t:a0")

    assert look(raising).texts == []
    assert pending(database) == []
    assert not database.exists(SETS)


def test_no_more_groups_are_taken_than_there_are_hands(
    look: Callable[..., Messages], database: redis.Redis
) -> None:
    for number in range(8):
        put(database, "aggregating", f"a{number}", group=f"g{number}", score=0)
    together = threading.Barrier(3, timeout=20)
    seen = Seen()

    def aggregate(group: str, tasks: Sequence[Task]) -> Task:
        together.wait()
        seen(group)
        return Task("x")

    look(aggregate)

    assert sorted(seen.items) == ["g0", "g1", "g2"]
    assert len(database.smembers("asynq:{default}:groups")) == 5


def test_a_server_aggregates_and_handles_what_it_made(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    seen = Seen()

    async def handler(context: Context, task: Task) -> None:
        seen(task.type, task.payload)

    for number in range(3):
        make.enqueue(Task("t", str(number).encode()), group="g")
        # Order within a second is that of the IDs.
    serve(
        handler,
        group_aggregator=lambda group, tasks: Task(
            f"all:{group}", b"".join(sorted(t.payload or b"" for t in tasks))
        ),
        group_max_size=3,
        group_grace_period=1,
    )

    assert seen.wait() == [("all:g", b"012")]
    until(lambda: {key.decode() for key in database.scan_iter("*{default}*:t:*")} == set())
    assert not database.exists(SETS, "asynq:{default}:groups")


def test_a_server_without_an_aggregator_leaves_groups_alone(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    seen = Seen()
    put(database, "aggregating", "a", group="g", score=int(time.time()) - 1000)
    make.enqueue(Task("t"), task_id="b")
    worker = serve(seen.handler)
    assert seen.wait() == ["b"]
    worker.shutdown()

    assert database.zrange(GROUP, 0, -1) == [b"a"]
