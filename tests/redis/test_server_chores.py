"""What a server does beside handling tasks: forwarding, cleaning, and asking how Redis is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from asynq_py import Client, Server, Task, UnavailableError
from asynq_py.broker.due import CHUNK, delete_expired, forward
from asynq_py.connection.sync import Connection
from asynq_py.server.chores import Chore
from asynq_py.testing.redis_server import RedisServer
from tests.support.database import pending, task_hash
from tests.support.proxy import Proxy
from tests.support.serving import Messages, Seen, until
from tests.support.states import put
from tests.support.tasks import NOW_S

Serve = Callable[..., Server]

NOW_NS = NOW_S * 10**9


@pytest.fixture
def connection(server: RedisServer) -> Iterator[Connection]:
    connection = Connection(server.url)
    yield connection
    connection.close()


@pytest.mark.parametrize("state", ["scheduled", "retry"])
def test_what_is_due_becomes_pending(
    state: str, connection: Connection, database: redis.Redis
) -> None:
    put(database, state, "late", score=NOW_S - 5)
    put(database, state, "now", score=NOW_S)
    put(database, state, "soon", score=NOW_S + 1)

    assert connection.run(forward("default", NOW_NS + 7)) == 2

    assert pending(database) == ["late", "now"]
    fields = task_hash(database, "default", "late")
    assert (fields["state"], fields["pending_since"]) == (b"pending", str(NOW_NS + 7).encode())
    assert database.zrange(f"asynq:{{default}}:{state}", 0, -1) == [b"soon"]


def test_all_that_is_due_becomes_pending(connection: Connection, database: redis.Redis) -> None:
    for number in range(2 * CHUNK + 5):
        put(database, "scheduled", f"a{number:03}", score=NOW_S - 1)

    assert connection.run(forward("default", NOW_NS)) == 2 * CHUNK + 5
    assert len(pending(database)) == 2 * CHUNK + 5


def test_a_retry_of_a_group_joins_it_again_and_the_group_is_listed(
    connection: Connection, database: redis.Redis
) -> None:
    put(database, "retry", "a", score=NOW_S, group="g")

    connection.run(forward("default", NOW_NS))

    assert database.zrange("asynq:{default}:g:g", 0, -1, withscores=True) == [(b"a", NOW_S)]
    assert database.smembers("asynq:{default}:groups") == {b"g"}
    assert task_hash(database, "default", "a")["state"] == b"aggregating"


def test_a_server_forwards_and_handles(make: Client, serve: Serve) -> None:
    seen = Seen()
    make.enqueue(Task("t"), task_id="a", process_in=1, queue="q")

    serve(seen.handler, queues={"q": 1}, delayed_task_check_interval=0.05)

    assert seen.wait() == ["a"]


def test_completed_tasks_are_deleted_after_their_retention(
    connection: Connection, database: redis.Redis
) -> None:
    for number in range(25):
        put(database, "completed", f"old{number}", score=NOW_S - number)
    put(database, "completed", "young", score=NOW_S + 1)

    assert connection.run(delete_expired("default", NOW_NS, 10)) == 25

    assert database.zrange("asynq:{default}:completed", 0, -1) == [b"young"]
    assert list(database.scan_iter("*:t:*")) == [b"asynq:{default}:t:young"]


def test_a_server_cleans_its_queues(serve: Serve, database: redis.Redis) -> None:
    for queue in ("a", "b"):
        put(database, "completed", "old", queue=queue, score=int(time.time()) - 1)

    serve(Seen().handler, queues={"a": 1, "b": 1}, janitor_interval=0.05)

    until(lambda: not database.exists("asynq:{a}:t:old", "asynq:{b}:t:old"))


def test_a_fault_of_one_queue_does_not_keep_the_others_back(
    serve: Serve, make: Client, database: redis.Redis
) -> None:
    seen, messages = Seen(), Messages()
    database.set("asynq:{bad}:scheduled", "no sorted set")
    make.enqueue(Task("t"), task_id="a", queue="good", process_in=1)

    serve(
        seen.handler,
        queues={"bad": 9, "good": 1},
        delayed_task_check_interval=0.05,
        logger=messages.logger,
    )

    assert seen.wait() == ["a"]
    assert "WRONGTYPE" in messages.wait("forwarder: ")


def test_the_health_check_is_told_how_redis_is(serve: Serve, proxy: Proxy) -> None:
    told, messages = Seen(), Messages()
    serve(
        Seen().handler,
        proxy.url,
        health_check=told,
        health_check_interval=0.05,
        logger=messages.logger,
    )

    assert told.wait() == [None]
    proxy.is_down = True
    until(lambda: told.items[-1] is not None)
    assert isinstance(told.items[-1], UnavailableError)
    proxy.is_down = False
    until(lambda: told.items[-1] is None)


@pytest.mark.parametrize("fault", [ZeroDivisionError(), SystemExit(1)], ids=repr)
def test_a_health_check_that_raises_is_asked_again(serve: Serve, fault: BaseException) -> None:
    told, messages = Seen(), Messages()

    def check(problem: Exception | None) -> None:
        told(problem)
        raise fault

    serve(Seen().handler, health_check=check, health_check_interval=0.05, logger=messages.logger)

    told.wait(3)
    messages.wait("health_check raised")


def test_a_health_check_that_hangs_keeps_nothing_back(make: Client, serve: Serve) -> None:
    begun, go_on, seen = Seen(), threading.Event(), Seen()

    def check(problem: Exception | None) -> None:
        begun()
        go_on.wait(30)

    worker = serve(seen.handler, health_check=check, health_check_interval=0.05)
    begun.wait()
    make.enqueue(Task("t"), task_id="a")
    assert seen.wait() == ["a"]
    go_on.set()
    worker.shutdown()


def test_a_chore_goes_on_after_faults_and_does_not_flood(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done = Seen()

    def do() -> None:
        done(time.monotonic())
        if len(done.items) < 5:
            raise UnavailableError("away")
        if len(done.items) == 5:
            raise ZeroDivisionError

    chore = Chore("it", do, 0.01, logging.getLogger("chore"), at_once=True)
    chore.start()
    done.wait(8)
    chore.stop(10)
    count = len(done.items)

    assert [each.levelname for each in caplog.records] == ["WARNING", "ERROR"]
    assert caplog.messages[0] == "it: away"
    assert len(done.items) == count


def test_a_chore_that_was_never_started_may_be_stopped() -> None:
    Chore("it", lambda: None, 1, logging.getLogger("chore")).stop(1)
