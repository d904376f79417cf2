"""asynq-py worker: servers of a user's module, in processes that are really killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from asynq_py import Client, Inspector, Task
from asynq_py.testing.events import EventLog, WaitTimeout
from asynq_py.testing.redis_server import RedisServer
from tests.support.commands import Command
from tests.support.ended import wait_until_gone
from tests.support.keyevents import KeyEvents

APP = """
import os, threading
from asynq_py import ServeMux, ServerConfig, SkipRetry

mux = ServeMux()
config = ServerConfig(concurrency=1, queues={"default": 2, "low": 1})
other = ServerConfig(concurrency=7)
number = 5

@mux.handle("hello")
async def hello(context, task):
    print("hello from", os.getpid(), flush=True)

@mux.handle("hang")
def hang(context, task):
    print("hanging in", os.getpid(), flush=True)
    threading.Event().wait()

@mux.handle("compute", process=True)
def compute(context, task):
    print("computing in", os.getpid(), flush=True)
    threading.Event().wait()

@mux.handle("fail")
def fail(context, task):
    raise ValueError("no good")

@mux.handle("skip")
def skip(context, task):
    raise SkipRetry("never")
"""
PENDING = "asynq:{default}:pending"
LEASE = "asynq:{default}:lease"
RETRY = "asynq:{default}:retry"


class Worker:
    """A command that runs; both its streams are lines of one log."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.log = EventLog(self._chunks(), lambda: "asynq-py worker")

    def wait_for(self, text: str, count: int = 1) -> list[str]:
        """Waits for that many lines with a text; gives their last words."""

        def look() -> list[str]:
            found = [line.split()[-1] for line in self.log.lines if text in line]
            return found if len(found) >= count else []

        return self.log.wait_for(look, what=f"{count} lines with {text!r}", timeout=30)

    def pids(self, text: str, count: int = 1) -> list[int]:
        return [int(word) for word in self.wait_for(text, count)]

    def servers(self) -> list[tuple[str, int]]:
        """The label and the process of each server so far, in order."""
        found = [re.search(r"(\S+) process (\d+): worker of", line) for line in self.log.lines]
        return [(match[1], int(match[2])) for match in found if match]

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, list[str]]:
        """Sends a signal; gives the exit code and all lines."""
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.log.join(5)
        return code, self.log.lines

    def _chunks(self) -> Iterator[bytes]:
        assert self.process.stdout is not None
        while chunk := self.process.stdout.read(65536):
            yield chunk


Start = Callable[..., Worker]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a module app."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


@pytest.fixture
def start(server: RedisServer, folder: Path) -> Iterator[Start]:
    """Starts ``asynq-py worker`` on the shared server."""
    started: list[Worker] = []

    def start_(*arguments: str, target: str = "app:mux") -> Worker:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "asynq_py", "worker", target, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            env=os.environ | {"ASYNQ_REDIS_URL": server.url, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        started.append(Worker(process))
        return started[-1]

    yield start_
    for worker in started:
        worker.process.kill()
        worker.process.wait()
        # Its processes end when they see that it is gone, and then the pipe does.
        worker.log.join(30)
        assert worker.process.stdout is not None
        worker.process.stdout.close()


@pytest.fixture
def enqueue(server: RedisServer) -> Iterator[Callable[..., str]]:
    """Enqueues a task; gives its ID."""
    with Client(server.url) as client:
        yield lambda type, **options: client.enqueue(Task(type), **options).id


def pending(database: redis.Redis) -> set[str]:
    return {task_id.decode() for task_id in database.lrange(PENDING, 0, -1)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_it_works_until_a_signal_and_ends_well(
    processes: str, number: signal.Signals, start: Start, enqueue: Callable[..., str]
) -> None:
    worker = start("--processes", processes)
    enqueue("hello")
    worker.wait_for("hello from")
    worker.wait_for("server started", int(processes))

    code, lines = worker.end(number)

    assert (code, lines[-1]) == (0, "Worker stopped")
    assert len([line for line in lines if "server shut down" in line]) == int(processes)
    assert not [line for line in lines if "Traceback" in line or "ERROR" in line]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], (1, {"default": 2, "low": 1}, False)),
        (["--config-attr", "other"], (7, {"default": 1}, False)),
        (
            ["-c", "9", "-q", "a=3", "--queue", "b", "--strict", "--shutdown-timeout", "1m"],
            (9, {"a": 3, "b": 1}, True),
        ),
    ],
)
def test_options_go_before_the_settings_of_the_module(
    options: list[str],
    expected: tuple[int, dict[str, int], bool],
    start: Start,
    server: RedisServer,
    key_events: KeyEvents,
) -> None:
    start(*options)

    key_events.wait("set", "asynq:servers:{")

    with Inspector(server.url) as inspector:
        (info,) = inspector.servers()
    assert (info.concurrency, info.queues, info.strict_priority) == expected


def test_failures_are_logged(start: Start, enqueue: Callable[..., str]) -> None:
    worker = start()
    failed = enqueue("fail", max_retry=3)
    worker.wait_for(
        f'ERROR "{failed}" of type "fail" of queue "default" failed, 0 retries of 3 used: no good'
    )
    worker.wait_for("ValueError: no good")
    enqueue("skip")
    worker.wait_for('"skip" of queue "default" failed, 0 retries of 25 used: never')

    _, lines = worker.end()

    assert len([line for line in lines if "Traceback" in line]) == 1


def test_a_process_that_is_killed_is_replaced_and_its_task_recovered(
    start: Start, enqueue: Callable[..., str], database: redis.Redis, key_events: KeyEvents
) -> None:
    task_id = enqueue("hang")
    worker = start("--processes", "2")
    (killed,) = worker.pids("hanging in")
    worker.wait_for("server started", 2)

    # Its lease ends now, and not in half a minute; frozen, it cannot renew it.
    os.kill(killed, signal.SIGSTOP)
    database.zadd(LEASE, {task_id: time.time() - 60})
    os.kill(killed, signal.SIGKILL)

    worker.wait_for("died: killed by SIGKILL; another starts in 0.5 s")
    key_events.wait("zadd", RETRY)
    assert database.zrange(RETRY, 0, -1) == [task_id.encode()]
    worker.wait_for("server started", 3)
    enqueue("hello")
    worker.wait_for("hello from")
    assert worker.end()[0] == 0


def test_a_process_that_dies_again_and_again_is_given_more_and_more_time(start: Start) -> None:
    worker = start("--processes", "2")
    worker.wait_for("server started", 2)

    for count, pause in enumerate(["0.5", "1"], 1):
        first = [pid for label, pid in worker.servers() if label == "[1]"]
        os.kill(first[-1], signal.SIGKILL)
        worker.wait_for(f"worker 1 died: killed by SIGKILL; another starts in {pause} s")
        worker.wait_for("server started", 2 + count)


def test_sigterm_gives_the_tasks_of_all_processes_back(
    start: Start, enqueue: Callable[..., str], database: redis.Redis
) -> None:
    ids = {enqueue("hang"), enqueue("compute")}
    worker = start("--processes", "2", "--shutdown-timeout", "0")
    pids = worker.pids("hanging in") + worker.pids("computing in")

    code, _ = worker.end()

    assert code == 0
    assert pending(database) == ids
    wait_until_gone(*pids)


def test_a_second_signal_kills(
    start: Start, enqueue: Callable[..., str], database: redis.Redis
) -> None:
    enqueue("hang")
    enqueue("compute")
    worker = start("--processes", "2", "--shutdown-timeout", "1h")
    pids = worker.pids("hanging in") + worker.pids("computing in")

    worker.process.send_signal(signal.SIGTERM)
    # What comes at once after the first is taken for the same.
    while not any("killing what still runs" in line for line in worker.log.lines):
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(0.7)
        worker.process.send_signal(signal.SIGTERM)
        with suppress(WaitTimeout):
            worker.log.wait_for_line("killing", timeout=2)

    assert worker.process.wait(30) == 1
    wait_until_gone(*pids)
    assert database.llen("asynq:{default}:active") == 2


def test_sigtstp_stops_all_taking_tasks(
    start: Start,
    enqueue: Callable[..., str],
    database: redis.Redis,
    server: RedisServer,
    key_events: KeyEvents,
) -> None:
    worker = start("--processes", "2")
    worker.wait_for("server started", 2)

    worker.process.send_signal(signal.SIGTSTP)
    with Inspector(server.url) as inspector:
        while [each.status for each in inspector.servers()] != ["stopped"] * 2:
            key_events.wait("set", "asynq:servers:{")
    task_id = enqueue("hello")
    code, lines = worker.end()

    assert code == 0
    assert pending(database) == {task_id}
    assert not [line for line in lines if "hello from" in line]


def test_processes_do_not_outlive_a_supervisor_that_is_killed(
    start: Start, enqueue: Callable[..., str], database: redis.Redis
) -> None:
    ids = {enqueue("hang"), enqueue("compute")}
    worker = start("--processes", "2", "--shutdown-timeout", "0")
    pids = worker.pids("hanging in") + worker.pids("computing in")

    worker.process.kill()

    wait_until_gone(*pids)
    assert pending(database) == ids


def test_a_change_is_taken_over(start: Start, enqueue: Callable[..., str], folder: Path) -> None:
    worker = start("--reload")
    enqueue("hello")
    worker.wait_for("hello from")

    (folder / "app.py").write_text(APP.replace("hello from", "welcome from"))
    worker.wait_for("app.py changed: starting anew")
    worker.wait_for("server started", 2)
    enqueue("hello")

    worker.wait_for("welcome from")
    code, lines = worker.end()
    assert code == 0
    assert not [line for line in lines if "died" in line]


def test_a_broken_change_is_waited_out(
    start: Start, enqueue: Callable[..., str], folder: Path
) -> None:
    (folder / "app.py").write_text("mux = \n")
    worker = start("--reload", "--processes", "2")
    worker.wait_for("SyntaxError")
    worker.wait_for("the worker could not start; waiting for a change")

    (folder / "app.py").write_text(APP)

    worker.wait_for("server started", 2)
    enqueue("hello")
    worker.wait_for("hello from")
    assert worker.end()[0] == 0


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("app", "'app' is not like MODULE:NAME, such as app.tasks:mux"),
        ("app.py:mux", "'app.py:mux' is a file; name it as import does: app:mux"),
        ("./in/app.py", "'./in/app.py' is a file; name it as import does: in.app:mux"),
        ("app:mxu", "app has no 'mxu'; a ServeMux there is mux"),
        ("app:number", "app:number is no ServeMux or handler, but of type int"),
    ],
)
def test_a_wrong_target_is_told_in_a_line(
    target: str, told: str, start: Start, asynq: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "app", raising=False)

    ran = asynq("worker", target)

    monkeypatch.delitem(sys.modules, "app", raising=False)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"asynq-py: {told} (see asynq-py worker --help)\n"


def test_a_module_that_is_not_there_is_told_in_a_line(
    folder: Path, asynq: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])

    ran = asynq("worker", "no_such_module.at_all:mux")

    assert ran.code == 2
    assert ran.err == (
        f"asynq-py: there is no module 'no_such_module' in {folder} or on Python's path"
        " (see asynq-py worker --help)\n"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-q", "a=much"], "'a=much' is not like NAME or NAME=PRIORITY"),
        (["-q", "a=0"], 'priority of "a" must be from 1 to 2147483647, but is 0'),
        (["--config-attr", "mux"], "app:mux is no ServerConfig, but of type ServeMux"),
        (["--config-attr", "none"], "app has no 'none'"),
        (["--processes", "0"], "'--processes'"),
        (["--shutdown-timeout", "soon"], "soon"),
    ],
)
def test_wrong_options_are_told_in_a_line(
    options: list[str],
    told: str,
    folder: Path,
    asynq: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "app", raising=False)

    ran = asynq("worker", "app:mux", *options)

    monkeypatch.delitem(sys.modules, "app", raising=False)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_module_that_raises_is_shown_with_a_traceback_of_its_own(
    processes: str, start: Start, folder: Path
) -> None:
    (folder / "app.py").write_text("import helper\n")
    (folder / "helper.py").write_text("import no_such_module\n")

    worker = start("--processes", processes)
    code = worker.process.wait(30)
    worker.log.join(5)

    assert code == 1
    assert worker.log.lines == [
        "Traceback (most recent call last):",
        f'  File "{folder}/app.py", line 1, in <module>',
        "    import helper",
        f'  File "{folder}/helper.py", line 1, in <module>',
        "    import no_such_module",
        "ModuleNotFoundError: No module named 'no_such_module'",
        "asynq-py: app cannot be imported: ModuleNotFoundError",
    ]


def test_reloading_without_watchfiles_says_what_to_install(
    folder: Path, asynq: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)

    ran = asynq("worker", "app:mux", "--reload")

    assert ran.code == 1
    assert ran.err == (
        "asynq-py: watchfiles is missing, which --reload needs; pip install 'asynq_py[reload]'\n"
    )
