"""asynq-py scheduler run: a whole scheduler from a file, without writing Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from asynq_py.testing.redis_server import RedisServer

FILE = """
[scheduler]
location = "Europe/Berlin"

[[task]]
name = "beat"
spec = "@every 1s"
type = "beat:old"
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("schedules.toml")
    path.write_text(FILE)
    return path


@pytest.fixture
def start(server: RedisServer, file: Path) -> Iterator[Start]:
    """Starts ``scheduler run`` on the shared server."""
    started: list[subprocess.Popen[str]] = []

    def start_() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "asynq_py", "scheduler", "run", str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"ASYNQ_REDIS_URL": server.url},
        )
        started.append(process)
        return process

    yield start_
    for process in started:
        process.kill()
        process.communicate()


def take_type(database: redis.Redis) -> str:
    """Waits for the next pending task and takes it; gives its type."""
    task_id = database.blmove("asynq:{default}:pending", "taken", 10, "RIGHT", "LEFT")
    assert task_id is not None
    message = database.hget(f"asynq:{{default}}:t:{task_id.decode()}", "msg")
    assert message is not None
    return "beat:new" if b"beat:new" in message else "beat:old"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_a_signal_and_ends_well(
    number: signal.Signals, start: Start, server: RedisServer, database: redis.Redis
) -> None:
    process = start()
    assert process.stdout is not None
    assert process.stdout.readline() == (
        "Scheduler started: 1 entry of schedules.toml, time zone Europe/Berlin,"
        f" Redis 127.0.0.1:{server.port} db 0\n"
    )
    assert take_type(database) == "beat:old"

    process.send_signal(number)
    output, errors = process.communicate(timeout=30)

    assert (process.returncode, output) == (0, "Scheduler stopped\n")
    assert "Traceback" not in errors
    assert not database.exists("asynq:schedulers")


def test_a_change_of_the_file_is_taken_over(
    start: Start, file: Path, database: redis.Redis
) -> None:
    start()
    assert take_type(database) == "beat:old"

    beside = Path("new.toml")
    beside.write_text(FILE.replace("old", "new"))
    beside.rename(file)

    assert "beat:new" in (take_type(database) for _ in range(10))


def test_a_fault_in_the_changed_file_is_logged_and_changes_nothing(
    start: Start, file: Path, database: redis.Redis
) -> None:
    process = start()
    assert take_type(database) == "beat:old"

    file.write_text(FILE.replace("spec", "spce"))
    assert process.stderr is not None
    fault = next(line for line in process.stderr if "ERROR" in line)

    assert fault.endswith('schedules.toml: task 1 ("beat"): spec is missing\n')
    assert take_type(database) == "beat:old"


def test_every_fault_of_the_file_is_told_and_nothing_is_started(start: Start, file: Path) -> None:
    file.write_text(FILE.replace("spec", "spce").replace("Berlin", "Atlantis"))

    process = start()
    output, errors = process.communicate(timeout=30)

    assert (process.returncode, output) == (1, "")
    assert errors.splitlines() == [
        "asynq-py: schedules.toml: scheduler: location 'Europe/Atlantis': unknown time zone",
        'asynq-py: schedules.toml: task 1 ("beat"): spec is missing',
        'asynq-py: schedules.toml: task 1 ("beat"): unknown key "spce"; did you mean "spec"?',
    ]
