"""Which tasks a server takes, and how many."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import redis

from asynq_py import Client, Context, Inspector, Server, Task
from asynq_py.broker.finish import Finished, Outcome
from asynq_py.broker.scripts import FINISH
from asynq_py.broker.take import Turn, take_turn
from asynq_py.connection.sync import Connection
from asynq_py.server.order import Order
from asynq_py.testing.redis_server import RedisServer
from tests.conftest import Cluster
from tests.support.cluster import ShardedCluster
from tests.support.serving import Seen, until
from tests.support.states import put
from tests.support.tasks import NOW_S

Serve = Callable[..., Server]

NOW_NS = NOW_S * 10**9


@pytest.fixture
def take(server: RedisServer) -> Any:  # noqa: ANN401
    """Takes tasks: ``take(5, {"a": 2, "b": 1})``."""
    connection = Connection(server.url)

    def turn(most: int, queues: dict[str, int], *, strict: bool = False) -> Turn:
        order = Order(queues, strict=strict)
        return connection.run(take_turn([], order.queues, most, order.share, NOW_NS))

    yield turn
    connection.close()


def fill(database: redis.Redis, queue: str, count: int) -> None:
    for number in range(count):
        put(database, "pending", f"{queue}{number:03}", queue=queue)


def taken_of(turn: Turn) -> Counter[str]:
    return Counter(each.queue for each in turn.taken)


def test_the_oldest_are_taken_first_and_leased(take: Any, database: redis.Redis) -> None:  # noqa: ANN401
    fill(database, "q", 5)
    database.hset("asynq:{q}:t:q000", "pending_since", 5)

    turn = take(3, {"q": 1})

    assert [each.task_id for each in turn.taken] == [b"q000", b"q001", b"q002"]
    assert turn.taken[0].data == database.hget("asynq:{q}:t:q000", "msg")
    assert database.zrange("asynq:{q}:lease", 0, -1, withscores=True) == [
        (f"q00{number}".encode(), NOW_S + 30) for number in range(3)
    ]
    assert sorted(database.lrange("asynq:{q}:active", 0, -1)) == [b"q000", b"q001", b"q002"]
    assert database.hget("asynq:{q}:t:q000", "state") == b"active"
    assert not database.hexists("asynq:{q}:t:q000", "pending_since")
    assert database.llen("asynq:{q}:pending") == 2


@pytest.mark.parametrize("strict", [True, False])
def test_exactly_as_many_are_taken_as_there_is_room_for(
    strict: bool,
    take: Any,  # noqa: ANN401
    database: redis.Redis,
) -> None:
    fill(database, "a", 7)
    fill(database, "b", 40)

    assert len(take(30, {"a": 9, "b": 1, "empty": 5}, strict=strict).taken) == 30
    assert len(take(30, {"a": 9, "b": 1, "empty": 5}, strict=strict).taken) == 17
    assert take(30, {"a": 9, "b": 1, "empty": 5}, strict=strict).taken == []


def test_more_than_one_script_takes_at_a_time_may_be_taken(
    take: Any,  # noqa: ANN401
    database: redis.Redis,
) -> None:
    fill(database, "q", 450)

    assert len(take(430, {"q": 1}).taken) == 430


def test_strictly_a_queue_waits_for_those_above(take: Any, database: redis.Redis) -> None:  # noqa: ANN401
    for queue in ("high", "mid", "low"):
        fill(database, queue, 5)
    queues = {"low": 1, "high": 10, "mid": 5}

    assert taken_of(take(3, queues, strict=True)) == {"high": 3}
    assert taken_of(take(6, queues, strict=True)) == {"high": 2, "mid": 4}
    assert taken_of(take(9, queues, strict=True)) == {"mid": 1, "low": 5}


def test_by_weight_all_queues_get_their_share(take: Any, database: redis.Redis) -> None:  # noqa: ANN401
    random.seed(7)
    for queue in ("high", "low"):
        fill(database, queue, 900)

    total: Counter[str] = Counter()
    for _ in range(80):
        total.update(taken_of(take(10, {"high": 30, "low": 10})))

    assert total.total() == 800
    assert 540 < total["high"] < 660


def test_a_paused_queue_gives_nothing_until_it_goes_on(
    make: Client, serve: Serve, server: RedisServer
) -> None:
    seen = Seen()
    with Inspector(server.url) as inspector:
        make.enqueue(Task("t"), task_id="a", queue="still")
        make.enqueue(Task("t"), task_id="b", queue="busy")
        inspector.pause_queue("still")
        serve(seen.handler, queues={"still": 9, "busy": 1})
        assert seen.wait() == ["b"]
        make.enqueue(Task("t"), task_id="c", queue="busy")
        assert seen.wait(2) == ["b", "c"]

        inspector.unpause_queue("still")
        assert seen.wait(3) == ["b", "c", "a"]


def test_no_more_tasks_are_active_than_may_be(
    make: Client, serve: Serve, server: RedisServer, database: redis.Redis
) -> None:
    seen = Seen()
    most: list[int] = []
    lock = threading.Lock()
    everyone = threading.Barrier(7, timeout=20)
    running = 0

    def handler(context: Context, task: Task) -> None:
        nonlocal running
        with lock:
            running += 1
            most.append(running)
            is_early = len(most) <= 7
        if is_early:
            everyone.wait()
        with database.pipeline(transaction=True) as both:
            seen(sum(both.llen("asynq:{a}:active").llen("asynq:{b}:active").execute()))
        with lock:
            running -= 1

    # A server that does not know a script yet is sent it after what else is in the turn.
    server.command("SCRIPT", "LOAD", FINISH.text)
    make.enqueue_many([Task("t", queue="a")] * 100)
    make.enqueue_many([Task("t", queue="b")] * 100)
    worker = serve(handler, concurrency=7, queues={"a": 2, "b": 1})
    active = seen.wait(200)
    until(lambda: worker.counts()["done"] == 200)

    assert max(most) == 7
    assert max(active) == 7


def test_a_turn_hands_in_before_it_takes(take: Any, server: RedisServer) -> None:  # noqa: ANN401
    database = redis.Redis.from_url(server.url)
    connection = Connection(server.url)
    fill(database, "q", 3)
    order = Order({"q": 1}, strict=False)
    take(2, {"q": 1})
    finished = [
        Finished("q", "q000", Outcome.DONE),
        Finished("q", "nobody", Outcome.DONE),
        Finished("q", "q001", Outcome.REQUEUE),
    ]

    turn = connection.run(take_turn(finished, ["q"], 1, order.share, NOW_NS))

    assert turn.handed_in == [True, False, True]
    # What was given back is the next.
    assert [each.task_id for each in turn.taken] == [b"q001"]
    connection.close()
    database.close()


def test_results_are_those_of_the_tasks_in_their_order(server: RedisServer) -> None:
    database = redis.Redis.from_url(server.url)
    connection = Connection(server.url)
    for queue in ("a", "b"):
        for number in range(2):
            put(database, "active", f"{queue}{number}", queue=queue, score=NOW_S + 30)
    finished = [
        Finished("b", "b0", Outcome.DONE),
        Finished("a", "gone", Outcome.DONE),
        Finished("a", "a1", Outcome.DONE),
        Finished("b", "gone", Outcome.DONE),
        Finished("a", "a0", Outcome.DONE),
    ]

    turn = connection.run(take_turn(finished, ["a"], 0, lambda queues, most: {}, NOW_NS))

    assert turn.handed_in == [True, False, True, False, True]
    connection.close()
    database.close()


def test_many_queues_of_a_cluster(cluster: Cluster, serve: Serve) -> None:
    _drains(cluster.url, [f"q{number}" for number in range(12)], serve)


def test_many_queues_on_all_servers_of_a_cluster(shards: ShardedCluster, serve: Serve) -> None:
    _drains(shards.url, [shards.queue_on(number) for number in range(3)], serve)


def _drains(url: str, queues: list[str], serve: Serve) -> None:
    seen = Seen()

    async def handler(context: Context, task: Task) -> None:
        await context.write_result(b"r")
        seen(context.queue)
        if task.type == "bad":
            raise ValueError

    worker = serve(handler, url, queues=dict.fromkeys(queues, 1), concurrency=5)
    with Client(url) as client:
        for queue in queues:
            client.enqueue_many([Task("t", queue=queue, unique=60, task_id="u")] * 1)
            client.enqueue_many([Task("t", queue=queue)] * 4 + [Task("bad", queue=queue)])
    told = seen.wait(6 * len(queues))
    until(lambda: worker.counts()["done"] == 5 * len(queues))
    worker.shutdown()

    assert Counter(told) == dict.fromkeys(queues, 6)
    assert worker.counts()["retry"] == len(queues)
