"""Redis away, refusing, or cut off in the middle: nothing is lost, nothing handed in twice, and
nothing spins."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
import redis

from asynq_py import Client, Context, Inspector, Server, Task, fixed_delay
from asynq_py.broker.scripts import FINISH, TAKE
from asynq_py.testing.redis_server import RedisServer
from tests.support.database import pending, task_hash
from tests.support.proxy import Proxy
from tests.support.serving import Messages, Seen, quicker, until

Serve = Callable[..., Server]
StartServer = Callable[..., RedisServer]


@pytest.fixture
def durable(start_server: StartServer) -> RedisServer:
    """A server that loses nothing it has answered."""
    return start_server(appendonly=True, appendfsync="always")


def processed(url: str) -> int:
    with redis.Redis.from_url(url) as database:
        return int(database.get("asynq:{default}:processed") or 0)


def left_over(url: str) -> set[str]:
    """What stands in Redis that should not when everything is done."""
    with redis.Redis.from_url(url) as database:
        keys = {key.decode() for key in database.scan_iter("asynq:{*")}
    return {key for key in keys if ":processed" not in key and ":failed" not in key}


def test_what_was_done_while_redis_was_away_is_handed_in_when_it_is_back(
    durable: RedisServer, serve: Serve
) -> None:
    begun, go_on, messages = Seen(), threading.Event(), Messages()

    def handler(context: Context, task: Task) -> None:
        begun(context.task_id)
        go_on.wait(30)

    with Client(durable.url) as client:
        client.enqueue_many([Task("t")] * 5)
    worker = serve(handler, durable.url, logger=messages.logger)
    begun.wait(5)
    durable.kill()
    go_on.set()
    messages.wait("tasks are neither taken nor handed in")
    durable.restart()
    until(lambda: worker.counts()["done"] == 5)
    messages.wait("Redis answers again")

    with Client(durable.url) as client:
        client.enqueue(Task("t"), task_id="later")
    assert begun.wait(6)[-1] == "later"
    until(lambda: worker.counts()["done"] == 6)
    assert processed(durable.url) == 6
    assert left_over(durable.url) == set()
    assert len(begun.items) == 6


def test_a_server_may_be_started_before_redis(start_server: StartServer, serve: Serve) -> None:
    seen, messages = Seen(), Messages()
    server = start_server(appendonly=True, appendfsync="always")
    with Client(server.url) as client:
        client.enqueue(Task("t"), task_id="a")
    server.kill()
    serve(seen.handler, server.url, logger=messages.logger)
    messages.wait("tasks are neither taken nor handed in")
    server.restart()

    assert seen.wait() == ["a"]


@pytest.mark.parametrize("script", [TAKE, FINISH], ids=lambda script: script.name)
@pytest.mark.parametrize(
    ("where", "after"),
    [("request", 0), *(("reply", n) for n in (0, 1, 3, 4, 7, 9, 15, 30, 60, 100, 150))],
)
def test_a_connection_that_breaks_anywhere_loses_and_doubles_nothing(
    script: object,
    where: str,
    after: int,
    make: Client,
    serve: Serve,
    server: RedisServer,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quicker(monkeypatch, lease_s=2, beat_s=0.2, recover_s=0.1, overdue_s=0)
    seen, told = Seen(), Seen()
    make.enqueue_many([Task("t", task_id=f"a{number}") for number in range(12)])
    go_on = threading.Event()

    def handler(context: Context, task: Task) -> None:
        seen(context.task_id)
        go_on.wait(30)

    worker = serve(
        handler,
        proxy.url,
        concurrency=3,
        retry_delay=fixed_delay(0),
        delayed_task_check_interval=0.05,
        error_handler=told,
    )
    seen.wait(3)
    proxy.cut(where, script.sha.encode(), after)  # type: ignore[arg-type,attr-defined]
    go_on.set()
    assert proxy.has_cut.wait(20)
    until(lambda: processed(server.url) == 12 and not left_over(server.url))
    until(lambda: sum(worker.counts().values()) == 12)

    assert worker.counts()["done"] == 12
    assert Counter(seen.items) == {f"a{number}": 1 for number in range(12)}
    assert told.items == []


def test_a_hand_in_whose_answer_was_lost_counts_once_and_is_told_once(
    make: Client, serve: Serve, database: redis.Redis, proxy: Proxy
) -> None:
    begun, archived, go_on = Seen(), Seen(), threading.Event()

    def handler(context: Context, task: Task) -> None:
        begun()
        go_on.wait(20)
        raise ValueError

    make.enqueue(Task("t", max_retry=0), task_id="a")
    worker = serve(handler, proxy.url, on_archived=archived)
    begun.wait()
    proxy.cut("reply", FINISH.sha.encode())
    go_on.set()
    assert proxy.has_cut.wait(20)
    until(lambda: worker.counts()["archive"])
    archived.wait()
    worker.shutdown()

    assert worker.counts()["archive"] == 1
    assert len(archived.items) == 1
    assert database.get("asynq:{default}:failed") == b"1"
    assert database.zcard("asynq:{default}:archived") == 1


def test_while_redis_is_away_nothing_spins_and_the_log_is_not_flooded(
    make: Client, serve: Serve, proxy: Proxy
) -> None:
    connects, seen, messages = Seen(), Seen(), Messages()
    serve(
        seen.handler,
        proxy.url,
        logger=messages.logger,
        delayed_task_check_interval=0.02,
        janitor_interval=0.02,
    )
    make.enqueue(Task("t"), task_id="a")
    seen.wait()
    proxy.on_connect = lambda: connects(1)
    proxy.is_down = True
    # Long enough for a hundred thousand attempts.
    threading.Event().wait(2)
    attempts, lines = len(connects.items), len(messages.texts)
    proxy.is_down = False
    make.enqueue(Task("t"), task_id="b")

    assert seen.wait(2) == ["a", "b"]
    assert attempts < 400
    assert lines < 15


def test_scripts_that_redis_has_forgotten_are_sent_again(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    seen = Seen()
    make.enqueue_many([Task("t")] * 300)
    worker = serve(seen.handler)
    for count in range(1, 300, 20):
        seen.wait(count)
        database.script_flush()
    until(lambda: worker.counts()["done"] == 300)

    assert len(seen.items) == 300
    assert int(database.get("asynq:{default}:processed") or 0) == 300


def test_connections_that_redis_closes_are_made_again(
    make: Client, serve: Serve, server: RedisServer, database: redis.Redis
) -> None:
    begun, told = Seen(), Seen()

    async def handler(context: Context, task: Task) -> None:
        begun(context.task_id)
        if task.type == "long":
            import asyncio

            await asyncio.Event().wait()

    worker = serve(handler, error_handler=told)
    make.enqueue(Task("long"), task_id="a")
    begun.wait()
    until(lambda: database.pubsub_numsub("asynq:cancel")[0][1])
    assert worker._parts is not None
    subscriber = worker._parts._subscriber
    server.command("CLIENT", "KILL", "TYPE", "normal")
    server.command("CLIENT", "KILL", "TYPE", "pubsub")
    until(lambda: not subscriber.is_subscribed.is_set())
    assert subscriber.is_subscribed.wait(20)
    with Inspector(server.url) as inspector, Client(server.url) as client:
        inspector.cancel_task("a")
        told.wait()
        client.enqueue(Task("t"), task_id="b")
        assert begun.wait(2) == ["a", "b"]


def test_a_replica_refuses_until_it_is_the_master_again(
    start_server: StartServer, serve: Serve
) -> None:
    server = start_server()
    begun, go_on, messages = Seen(), threading.Event(), Messages()

    def handler(context: Context, task: Task) -> None:
        begun()
        go_on.wait(20)

    with Client(server.url) as client:
        client.enqueue(Task("t"), task_id="a")
        worker = serve(handler, server.url, logger=messages.logger)
        begun.wait()
        server.command("REPLICAOF", "127.0.0.1", "1")
        go_on.set()
        messages.wait("READONLY")
        assert worker.counts()["done"] == 0
        server.command("REPLICAOF", "NO", "ONE")
        until(lambda: worker.counts()["done"])
        client.enqueue(Task("t"), task_id="b")
        begun.wait(2)


def test_tasks_are_drained_from_a_redis_that_is_full(
    start_server: StartServer, serve: Serve
) -> None:
    server = start_server(maxmemory_policy="noeviction")
    seen = Seen()
    with Client(server.url) as client:
        client.enqueue_many([Task("t", task_id=f"a{number}") for number in range(20)])
    server.command("CONFIG", "SET", "maxmemory", "1")
    worker = serve(seen.handler, server.url)
    seen.wait(20)
    until(lambda: worker.counts()["done"] == 20)

    assert left_over(server.url) == set()


def test_a_server_shuts_down_while_redis_is_away(
    make: Client,
    serve: Serve,
    database: redis.Redis,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("asynq_py.server.turns.LONGEST_PAUSE_S", 0.2)
    begun, messages, go_on = Seen(), Messages(), threading.Event()

    def handler(context: Context, task: Task) -> None:
        begun()
        go_on.wait(20)

    make.enqueue(Task("t"), task_id="a")
    worker = serve(handler, proxy.url, shutdown_timeout=0.05, logger=messages.logger)
    begun.wait()
    proxy.is_down = True
    worker.shutdown()
    go_on.set()

    assert worker.status == "closed"
    messages.wait("the server is shown for some seconds more")
    # Others take it up when its lease is over.
    assert task_hash(database, "default", "a")["state"] == b"active"
    assert pending(database) == []
