"""Handlers in processes of their own, which are really killed."""

from __future__ import annotations

import functools
import os
import queue
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from asynq_py import (
    Client,
    ConfigError,
    Context,
    HandlerError,
    Inspector,
    PayloadError,
    ProcessDiedError,
    ServeMux,
    Server,
    ServerConfig,
    SkipRetry,
    Task,
    TaskCancelledError,
    TaskTimeoutError,
)
from asynq_py.testing.redis_server import RedisServer
from tests.support import computing
from tests.support.computing import SAID
from tests.support.ended import wait_until_gone
from tests.support.keyevents import KeyEvents

ARCHIVED = "asynq:{default}:archived"
COMPLETED = "asynq:{default}:completed"
PENDING = "asynq:{default}:pending"
RETRY = "asynq:{default}:retry"


@pytest.fixture
def failures() -> queue.SimpleQueue[BaseException]:
    """What handlers have raised."""
    return queue.SimpleQueue()


@pytest.fixture
def start(
    server: RedisServer, failures: queue.SimpleQueue[BaseException]
) -> Iterator[Callable[..., Server]]:
    """Starts servers with one handler, in processes."""
    started: list[Server] = []

    def start_(handler: Callable[..., object], concurrency: int = 2) -> Server:
        mux = ServeMux()
        mux.handle("t:", handler, process=True)
        config = ServerConfig(
            concurrency=concurrency,
            shutdown_timeout=0,
            task_check_interval=0.05,
            error_handler=lambda context, task, error: failures.put(error),
        )
        started.append(Server(server.url, config))
        started[-1].start(mux)
        return started[-1]

    yield start_
    for each in started:
        each.shutdown()


@pytest.fixture
def enqueue(make: Client, server: RedisServer) -> Callable[..., str]:
    """Enqueues a task that knows where Redis is; gives its ID."""

    def enqueue_(type: str = "t:x", **options: Any) -> str:  # noqa: ANN401
        task = Task(type, server.url.encode(), headers={"k": "v"})
        return make.enqueue(task, **options).id

    return enqueue_


def said(database: redis.Redis) -> list[str]:
    """The next words of a handler."""
    # Shorter than the client waits for an answer.
    answers = (database.blpop([SAID], timeout=2) for _ in range(10))
    answer = next(filter(None, answers), None)
    assert answer is not None
    return str(answer[1].decode()).split(" ")


def test_a_handler_is_given_a_copy_of_its_context(
    start: Callable[..., Server], enqueue: Callable[..., str], database: redis.Redis
) -> None:
    task_id = enqueue(max_retry=3, deadline=datetime(2050, 1, 1, tzinfo=UTC), timeout=0)

    start(computing.tell)

    assert " ".join(said(database)) == (
        f"{task_id} default 0 3 2050-01-01T00:00:00+00:00 {{'k': 'v'}} False True t:x"
    )


@pytest.mark.parametrize(("concurrency", "cpus"), [(1, 8), (8, 1)])
def test_there_are_at_most_as_many_processes_as_slots_and_cpus(
    concurrency: int,
    cpus: int,
    start: Callable[..., Server],
    enqueue: Callable[..., str],
    database: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    for _ in range(6):
        enqueue()

    start(computing.own_pid, concurrency)
    pids = {int(said(database)[0]) for _ in range(6)}

    assert len(pids) == 1
    assert os.getpid() not in pids


def test_the_last_result_is_written_when_the_handler_has_returned(
    start: Callable[..., Server],
    enqueue: Callable[..., str],
    key_events: KeyEvents,
    make: Client,
    server: RedisServer,
) -> None:
    task_id = enqueue(retention=60)

    start(computing.write)
    key_events.wait("zadd", COMPLETED)

    with Inspector(server.url) as inspector:
        assert inspector.get_task("default", task_id).result == b"second"


def test_the_result_of_a_handler_that_fails_is_written_too(
    start: Callable[..., Server],
    enqueue: Callable[..., str],
    key_events: KeyEvents,
    server: RedisServer,
) -> None:
    task_id = enqueue(max_retry=0)

    start(computing.write_and_fail)
    key_events.wait("zadd", ARCHIVED)

    with Inspector(server.url) as inspector:
        info = inspector.get_task("default", task_id)
    assert (info.result, info.last_error) == (b"so far", "no further")


def test_a_payload_is_decoded_for_the_handler(
    start: Callable[..., Server], make: Client, database: redis.Redis, server: RedisServer
) -> None:
    make.enqueue(Task("t:order", {"url": server.url, "amount": 41}))

    start(computing.take_order)

    assert said(database) == ["42"]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("exit", "exit code 7"),
        ("segfault", "killed by SIGSEGV"),
        ("kill", "killed by SIGKILL"),
    ],
)
def test_a_process_that_dies_fails_its_task_alone_and_is_replaced(
    how: str,
    told: str,
    start: Callable[..., Server],
    enqueue: Callable[..., str],
    key_events: KeyEvents,
    failures: queue.SimpleQueue[BaseException],
    server: RedisServer,
) -> None:
    task_id = enqueue(f"t:{how}", max_retry=0)
    well = [enqueue(retention=60) for _ in range(4)]

    start(computing.crash)
    key_events.wait("zadd", ARCHIVED)
    well.append(enqueue(retention=60, task_id="later"))

    error = failures.get(timeout=20)
    assert isinstance(error, ProcessDiedError)
    assert str(error) == f"its process died: {told}"
    with Inspector(server.url) as inspector:
        assert inspector.get_task("default", task_id).last_error == str(error)
        while len(inspector.list_tasks("default", "completed")) < len(well):
            key_events.wait("zadd", COMPLETED)
    assert failures.empty()


def test_a_process_that_is_killed_while_it_is_idle_fails_no_task(
    start: Callable[..., Server],
    enqueue: Callable[..., str],
    database: redis.Redis,
    failures: queue.SimpleQueue[BaseException],
    key_events: KeyEvents,
) -> None:
    start(computing.own_pid, concurrency=1)
    enqueue(retention=60)
    first = int(said(database)[0])
    key_events.wait("zadd", COMPLETED)

    os.kill(first, signal.SIGKILL)
    enqueue(retention=60)

    assert int(said(database)[0]) != first
    key_events.wait("zadd", COMPLETED)
    assert failures.empty()


def test_a_handler_that_takes_too_long_is_killed_with_what_it_has_started(
    start: Callable[..., Server],
    enqueue: Callable[..., str],
    database: redis.Redis,
    failures: queue.SimpleQueue[BaseException],
    key_events: KeyEvents,
) -> None:
    enqueue(timeout=5, max_retry=0)

    start(computing.hang, concurrency=1)
    pids = [int(pid) for pid in said(database)]
    key_events.wait("zadd", ARCHIVED)

    assert isinstance(failures.get(timeout=20), TaskTimeoutError)
    wait_until_gone(*pids)
    enqueue()
    assert int(said(database)[0]) not in pids  # the slot is free


def test_a_handler_whose_task_is_cancelled_is_killed(
    start: Callable[..., Server],
    enqueue: Callable[..., str],
    database: redis.Redis,
    failures: queue.SimpleQueue[BaseException],
    server: RedisServer,
    key_events: KeyEvents,
) -> None:
    task_id = enqueue()
    start(computing.hang, concurrency=1)
    pids = [int(pid) for pid in said(database)]

    with Inspector(server.url) as inspector:
        inspector.cancel_task(task_id)
    key_events.wait("zadd", RETRY)

    assert isinstance(failures.get(timeout=20), TaskCancelledError)
    wait_until_gone(*pids)


def test_at_a_shutdown_the_task_goes_back_and_no_process_is_left(
    start: Callable[..., Server],
    enqueue: Callable[..., str],
    database: redis.Redis,
    failures: queue.SimpleQueue[BaseException],
) -> None:
    server = start(computing.hang)
    ids = {enqueue(), enqueue()}
    pids = [int(pid) for _ in ids for pid in said(database)]

    server.shutdown()

    assert {task_id.decode() for task_id in database.lrange(PENDING, 0, -1)} == ids
    wait_until_gone(*pids)
    assert failures.empty()


def test_idle_processes_are_gone_after_a_shutdown(
    start: Callable[..., Server], enqueue: Callable[..., str], database: redis.Redis
) -> None:
    server = start(computing.own_pid)
    enqueue()
    pid = int(said(database)[0])

    server.shutdown()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("how", "kind", "text", "cause"),
    [
        ("plain", KeyError, "'a'", ValueError),
        ("unpicklable", HandlerError, "2 of 1", None),
        ("changed", HandlerError, "code 5", None),
        ("skip", SkipRetry, "never again", None),
        ("unpicklable-skip", SkipRetry, "2 of 1", SkipRetry),
        ("subclass", PayloadError, "unreadable", None),
        ("exit", SystemExit, "no more", None),
    ],
)
def test_errors_travel_back(
    how: str,
    kind: type[BaseException],
    text: str,
    cause: type[BaseException] | None,
    start: Callable[..., Server],
    enqueue: Callable[..., str],
    failures: queue.SimpleQueue[BaseException],
    key_events: KeyEvents,
) -> None:
    enqueue(f"t:{how}")

    start(computing.fail)
    is_final = issubclass(kind, SkipRetry)
    key_events.wait("zadd", ARCHIVED if is_final else RETRY)

    error = failures.get(timeout=20)
    assert (type(error), str(error)) == (kind, text)
    assert type(error.__cause__) is (cause or type(None))
    assert "computing.py" in error.__notes__[0]


def test_a_handler_can_have_its_task_forgotten(
    start: Callable[..., Server], enqueue: Callable[..., str], key_events: KeyEvents
) -> None:
    task_id = enqueue("t:revoke")

    start(computing.fail)

    key_events.wait("del", f"asynq:{{default}}:t:{task_id}")


def test_a_handler_that_closes_its_streams_breaks_nothing(
    start: Callable[..., Server], enqueue: Callable[..., str], key_events: KeyEvents
) -> None:
    start(computing.close_streams, concurrency=1)

    for _ in range(2):
        enqueue(retention=60)
        key_events.wait("zadd", COMPLETED)


def module_level(context: Context, task: Task) -> None:
    """Has another name below: no process can import what is registered."""


renamed = functools.wraps(module_level)(lambda context, task: None)


def test_what_no_process_can_import_is_refused_when_it_is_registered() -> None:
    def local(context: Context, task: Task) -> None: ...

    mux = ServeMux()
    for handler in (local, lambda context, task: None, functools.partial(local)):
        with pytest.raises(ConfigError, match="cannot be imported in another process"):
            mux.handle("t:", handler, process=True)
    assert mux.patterns == []


def test_what_turns_out_not_to_be_importable_fails_its_task_with_a_reason(
    start: Callable[..., Server],
    enqueue: Callable[..., str],
    failures: queue.SimpleQueue[BaseException],
) -> None:
    enqueue()

    start(renamed)

    error = failures.get(timeout=20)
    assert isinstance(error, ConfigError)
    assert str(error).startswith("the handler cannot be sent to another process: ")


@pytest.fixture
def program(
    tmp_path: Path, server: RedisServer
) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Runs a main module with a server that the test's text makes run, as a user would."""
    started: list[subprocess.Popen[str]] = []

    def run(text: str) -> subprocess.Popen[str]:
        path = tmp_path / "program.py"
        path.write_text(
            textwrap.dedent(f"""\
            import logging, sys
            from asynq_py import ServeMux, Server, ServerConfig
            from tests.support import computing

            mux = ServeMux()
            mux.handle("hang", computing.hang, process=True)
            mux.handle("chatter", computing.chatter, process=True)
            server = Server({server.url!r}, ServerConfig(concurrency=1, shutdown_timeout=0))
            """)
            + textwrap.dedent(text)
        )
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_processes_do_not_outlive_a_server_that_is_killed(
    program: Callable[[str], subprocess.Popen[str]],
    enqueue: Callable[..., str],
    database: redis.Redis,
) -> None:
    enqueue("hang")
    process = program('if __name__ == "__main__": server.run(mux)')
    pids = [int(pid) for pid in said(database)]

    process.kill()

    wait_until_gone(*pids)


def test_processes_do_not_outlive_a_program_that_ends_without_a_shutdown(
    program: Callable[[str], subprocess.Popen[str]],
    enqueue: Callable[..., str],
    database: redis.Redis,
) -> None:
    enqueue("hang")
    process = program("""\
        if __name__ == "__main__":
            server.start(mux)
            sys.stdin.read()
    """)
    pids = [int(pid) for pid in said(database)]

    process.communicate("", timeout=20)

    assert process.returncode == 0
    wait_until_gone(*pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_everybody_is_left_to_the_server(
    number: signal.Signals,
    start: Callable[..., Server],
    enqueue: Callable[..., str],
    database: redis.Redis,
    failures: queue.SimpleQueue[BaseException],
) -> None:
    enqueue()
    start(computing.await_word)
    pid = int(said(database)[0])

    os.kill(pid, number)
    database.rpush("words", "go on")

    assert said(database) == ["went", "on"]
    assert failures.empty()


def test_what_handlers_print_and_log_is_seen(
    program: Callable[[str], subprocess.Popen[str]],
    enqueue: Callable[..., str],
    key_events: KeyEvents,
) -> None:
    enqueue("chatter", retention=60)
    process = program("""\
        if __name__ == "__main__":
            logging.basicConfig(level=logging.INFO, format="form of the log: %(message)s")
            server.run(mux)
    """)
    key_events.wait("zadd", COMPLETED)

    process.terminate()
    output, errors = process.communicate(timeout=20)

    assert output == "printed\n"
    assert "to stderr\n" in errors
    assert "form of the log: logged at info\n" in errors
    assert "logged at debug" not in errors


def test_a_main_module_that_serves_when_it_is_imported_is_told_so(
    program: Callable[[str], subprocess.Popen[str]],
    enqueue: Callable[..., str],
    key_events: KeyEvents,
    server: RedisServer,
) -> None:
    task_id = enqueue("hang", max_retry=0)

    process = program("server.run(mux)")
    key_events.wait("zadd", ARCHIVED)

    with Inspector(server.url) as inspector:
        told = inspector.get_task("default", task_id).last_error
    assert told is not None
    assert told.startswith("its process could not start; standard error says why.")
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert 'put it under if __name__ == "__main__"' in errors
