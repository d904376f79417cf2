"""Starting, stopping and shutting down; what is seen of a server from outside."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
import redis

from asynq_py import (
    Client,
    Context,
    Inspector,
    Server,
    ServerConfig,
    ServerStateError,
    Task,
    UnavailableError,
)
from asynq_py.connection.sync import Connection
from asynq_py.server.subscriber import Subscriber
from asynq_py.testing.redis_server import RedisServer, free_port
from tests.support.database import pending, task_hash
from tests.support.proxy import Proxy
from tests.support.serving import Messages, Seen, quicker, until

Serve = Callable[..., Server]


def own_threads() -> list[str]:
    return sorted(each.name for each in threading.enumerate() if each.name.startswith("asynq-"))


def test_its_states(make: Client, serve: Serve) -> None:
    worker = serve(Seen().handler)
    assert worker.status == "active"
    with pytest.raises(ServerStateError, match="the server cannot start: it is active"):
        worker.start(Seen().handler)

    worker.stop()
    assert worker.status == "stopped"
    with pytest.raises(ServerStateError, match="it is stopped"):
        worker.start(Seen().handler)
    worker.stop()

    worker.shutdown()
    assert worker.status == "closed"
    with pytest.raises(ServerStateError, match="it is closed"):
        worker.start(Seen().handler)
    worker.shutdown()
    worker.stop()
    worker.ping()
    assert worker.status == "closed"


def test_one_that_was_not_started_has_nothing_to_shut_down(server: RedisServer) -> None:
    seen = Seen()
    worker = Server(server.url)

    worker.stop()
    worker.shutdown()
    worker.ping()

    assert worker.status == "new"
    assert worker.counts() == {}
    worker.start(seen.handler)
    worker.shutdown()


def test_a_redis_that_is_not_there_is_told_by_ping_only(serve: Serve) -> None:
    messages = Messages()
    worker = serve(Seen().handler, f"redis://127.0.0.1:{free_port()}", logger=messages.logger)

    with pytest.raises(UnavailableError):
        worker.ping()
    messages.wait("tasks are neither taken nor handed in")


def test_no_thread_is_left_behind(make: Client, serve: Serve) -> None:
    seen = Seen()

    def handler(context: Context, task: Task) -> None:
        seen(own_threads())

    make.enqueue(Task("t"))
    worker = serve(handler, health_check=Seen(), group_aggregator=lambda group, tasks: tasks[0])
    (names,) = seen.wait()
    worker.shutdown()

    assert {"asynq-server", "asynq-heartbeat", "asynq-subscriber"} < set(names)
    until(lambda: not own_threads())


def test_it_may_be_shut_down_as_soon_as_it_is_started(server: RedisServer) -> None:
    for _ in range(20):
        worker = Server(server.url)
        worker.start(Seen().handler)
        worker.shutdown()
        until(lambda: not own_threads())


def test_a_subscriber_that_is_stopped_while_it_connects_ends(proxy: Proxy) -> None:
    connection = Connection(proxy.url)
    subscriber = Subscriber(connection, Seen(), logging.getLogger("test"))
    # Connected, but not yet let in: there is nothing to close that it knows of.
    proxy.on_connect = lambda: subscriber.stop(0)
    subscriber.start()
    until(lambda: "asynq-subscriber" not in own_threads())
    connection.close()


def test_stopped_it_takes_no_more_and_finishes_what_it_has(
    make: Client, serve: Serve, database: redis.Redis
) -> None:
    seen, go_on = Seen(), threading.Event()

    def handler(context: Context, task: Task) -> None:
        seen(context.task_id)
        go_on.wait(20)

    make.enqueue(Task("t"), task_id="a")
    worker = serve(handler)
    seen.wait()
    worker.stop()
    # What was on its way when it stopped has come back once the loop has turned.
    assert worker._parts is not None
    worker._parts._loop.call(asyncio.sleep(0.05))
    make.enqueue(Task("t"), task_id="b")
    go_on.set()
    until(lambda: worker.counts()["done"])
    worker.shutdown()

    assert seen.items == ["a"]
    assert pending(database) == ["b"]


def test_shutdown_waits_for_handlers(make: Client, serve: Serve, database: redis.Redis) -> None:
    begun, ended = Seen(), Seen()

    async def handler(context: Context, task: Task) -> None:
        begun()
        await asyncio.sleep(0.3)
        ended()

    make.enqueue_many([Task("t")] * 5)
    worker = serve(handler)
    begun.wait(5)
    worker.shutdown()

    assert len(ended.items) == 5
    assert worker.counts()["done"] == 5
    assert not list(database.scan_iter("asynq:{default}:t:*"))


@pytest.mark.parametrize("plain", [True, False])
def test_what_takes_longer_goes_back_to_its_queue_in_its_order(
    plain: bool, make: Client, serve: Serve, database: redis.Redis
) -> None:
    begun, cancelled, told, go_on = Seen(), Seen(), Seen(), threading.Event()

    async def coroutine(context: Context, task: Task) -> None:
        begun()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled(context.cancelled)

    def in_thread(context: Context, task: Task) -> None:
        begun()
        go_on.wait(30)
        cancelled(context.cancelled)

    for number in range(3):
        make.enqueue(Task("t", retention=60), task_id=f"a{number}")
    worker = serve(
        in_thread if plain else coroutine, concurrency=3, shutdown_timeout=0.05, error_handler=told
    )
    begun.wait(3)
    make.enqueue(Task("t"), task_id="later")
    before = {f"a{n}": task_hash(database, "default", f"a{n}")["msg"] for n in range(3)}
    worker.shutdown()
    go_on.set()

    assert cancelled.wait(3) == [True] * 3
    assert pending(database) == ["a0", "a1", "a2", "later"]
    for task_id, message in before.items():
        assert task_hash(database, "default", task_id) == {"msg": message, "state": b"pending"}
    assert told.items == []
    assert worker.counts()["requeue"] == 3
    assert not database.exists("asynq:{default}:lease", "asynq:{default}:processed")


def test_a_handler_that_blocks_the_loop_does_not_keep_it_from_shutting_down(
    make: Client, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asynq_py.server.parts.FINISH_S", 0.1)
    monkeypatch.setattr("asynq_py.server.parts.PART_S", 0.1)
    monkeypatch.setattr("asynq_py.server.loop.JOIN_S", 0.1)
    begun, messages, go_on = Seen(), Messages(), threading.Event()

    async def handler(context: Context, task: Task) -> None:
        begun()
        go_on.wait(60)

    make.enqueue(Task("t"))
    worker = serve(handler, shutdown_timeout=0, logger=messages.logger)
    begun.wait()
    worker.shutdown()

    assert not go_on.is_set()
    messages.wait("a handler blocks the event loop; what it kept is left to recoverers")
    go_on.set()
    until(lambda: not own_threads())


# -- what others see --


def test_it_is_shown_with_its_tasks_and_then_no_more(
    make: Client,
    serve: Serve,
    database: redis.Redis,
    server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quicker(monkeypatch, beat_s=0.02)
    begun, go_on = Seen(), threading.Event()

    def handler(context: Context, task: Task) -> None:
        begun()
        go_on.wait(20)

    make.enqueue(Task("t", b"payload"), task_id="a", queue="high")
    worker = serve(handler, concurrency=7, queues={"high": 6, "low": 2}, strict_priority=True)
    begun.wait()
    with Inspector(server.url) as inspector:
        until(lambda: [each for each in inspector.servers() if each.active_workers])
        (shown,) = inspector.servers()
        worker.stop()
        until(lambda: inspector.servers()[0].status == "stopped")
        go_on.set()
        worker.shutdown()
        assert inspector.servers() == []

    assert (shown.pid, shown.concurrency, shown.status) == (os.getpid(), 7, "active")
    assert (shown.queues, shown.strict_priority) == ({"high": 6, "low": 2}, True)
    (at_work,) = shown.active_workers
    assert (at_work.task_id, at_work.type, at_work.queue) == ("a", "t", "high")
    assert at_work.payload == b"payload"
    assert not list(database.scan_iter("asynq:servers*"))
    assert not list(database.scan_iter("asynq:workers*"))


def test_a_ready_client_is_used_and_stays_open(
    make: Client, serve: Serve, server: RedisServer
) -> None:
    seen = Seen()
    with redis.Redis.from_url(server.url) as ready:
        make.enqueue(Task("t"), task_id="a")
        worker = serve(seen.handler, ready)
        assert seen.wait() == ["a"]
        worker.shutdown()

        assert ready.ping()


def test_a_unix_socket_will_do(serve: Serve, start_server: Callable[..., RedisServer]) -> None:
    seen = Seen()
    server = start_server(unix_socket=True)
    with Client(server.url) as client:
        client.enqueue(Task("t"), task_id="a")
    worker = serve(seen.handler, server.url)

    assert seen.wait() == ["a"]
    worker.shutdown()


@pytest.mark.parametrize("uvloop", [True, False])
def test_either_event_loop_will_do(uvloop: bool, make: Client, serve: Serve) -> None:
    seen = Seen()

    async def handler(context: Context, task: Task) -> None:
        seen(type(asyncio.get_running_loop()).__module__)

    make.enqueue(Task("t"))
    serve(handler, uvloop=uvloop)

    assert seen.wait()[0].startswith("uvloop") == uvloop


# -- a program of its own --

PROGRAM = """
import asyncio, sys, warnings
from asynq_py import Server, ServerConfig

async def handler(context, task):
    print("begun", context.task_id, flush=True)
    if task.type == "long":
        await asyncio.Event().wait()

def error_handler(context, task, error):
    print("failed", flush=True)

server = Server(sys.argv[1], ServerConfig(shutdown_timeout=0.1, task_check_interval=0.05,
    concurrency=2, error_handler=error_handler))
server.run(handler)
print("ended", server.status, flush=True)
"""


@pytest.fixture
def program(server: RedisServer) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a worker program on the shared server."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-X", "dev", "-c", PROGRAM, server.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(
    number: signal.Signals,
    program: Callable[..., subprocess.Popen[str]],
    make: Client,
    database: redis.Redis,
) -> None:
    process = program()
    make.enqueue(Task("long"), task_id="a")
    assert line_of(process) == "begun a\n"

    process.send_signal(number)
    output, errors = process.communicate(timeout=30)

    assert (process.returncode, output) == (0, "ended closed\n")
    assert errors == '"a" of "default" goes back to its queue\n'
    assert pending(database) == ["a"]
    assert not database.exists("asynq:servers")


def test_another_signal_stops_it_first(
    program: Callable[..., subprocess.Popen[str]], make: Client, database: redis.Redis
) -> None:
    process = program()
    make.enqueue(Task("t"), task_id="a")
    assert line_of(process) == "begun a\n"
    (key,) = database.zrange("asynq:servers", 0, -1)

    process.send_signal(signal.SIGTSTP)
    until(lambda: b"stopped" in (database.get(key) or b""))
    make.enqueue(Task("t"), task_id="b")
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=30)

    assert (process.returncode, output, errors) == (0, "ended closed\n", "")
    assert pending(database) == ["b"]


def test_a_shutdown_from_elsewhere_ends_run(make: Client, server: RedisServer) -> None:
    seen = Seen()
    before = signal.getsignal(signal.SIGTERM)
    worker = Server(server.url, ServerConfig(task_check_interval=0.05))

    def end() -> None:
        seen.wait()
        worker.shutdown()

    ending = threading.Thread(target=end)
    ending.start()
    make.enqueue(Task("t"))
    worker.run(seen.handler)
    ending.join()

    assert worker.status == "closed"
    assert signal.getsignal(signal.SIGTERM) is before


def test_run_in_another_thread_leaves_signals_alone(make: Client, server: RedisServer) -> None:
    seen = Seen()
    worker = Server(server.url)
    running = threading.Thread(target=worker.run, args=(seen.handler,))
    running.start()
    make.enqueue(Task("t"))
    seen.wait()
    worker.shutdown()
    running.join(20)

    assert not running.is_alive()
