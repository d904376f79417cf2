"""The plugin of pytest, as pytest itself runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
from datetime import timedelta
from asynq_py import Client, Task
from asynq_py.testing import assert_enqueued, assert_not_enqueued, enqueued

def handler(context, task):
    pass

def test_one(asynq_redis, asynq_client, asynq_drain, asynq_clock):
    asynq_client.enqueue(Task("later"), process_in=timedelta(hours=2))
    assert asynq_drain(handler) == []
    asynq_clock.advance(hours=1)
    assert asynq_drain(handler) == []
    (run,) = asynq_drain(handler, until=timedelta(hours=1))
    assert run.outcome == "done"
    asynq_client.enqueue(Task("left"))
    with open("address", "w") as file:
        file.write(asynq_redis.address)

def test_two(asynq_redis):
    assert enqueued(asynq_redis) == []
    with open("address") as file:
        assert file.read() == asynq_redis.address

def test_three(asynq_redis):
    with Client(asynq_redis.url) as client:
        client.enqueue(Task("t"))
    assert_enqueued(asynq_redis, "t", payload={"a": 1})
"""


def run_pytest(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Runs pytest where only this plugin is."""
    plugins = ["-p", "asynq_py.testing.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", *plugins, *arguments],
        cwd=folder,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | (env or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)

    code, told = run_pytest(tmp_path)

    assert "1 failed, 2 passed" in told
    assert code == 1
    # The failure is shown where the test asks, not somewhere inside.
    assert re.search(r"^> +assert_enqueued", told, re.M)
    assert "there are 0. What is enqueued:" in told
    assert "enqueued.py" not in told


@pytest.mark.parametrize("way", ["option", "variable", "ini"])
def test_a_container_may_be_asked_for(tmp_path: Path, way: str) -> None:
    # There is nothing that answers, so that the engine's own error tells that it was asked.
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/none", "PATH": str(tmp_path)}
    (tmp_path / "test_it.py").write_text("def test_it(asynq_redis): pass")
    if way == "ini":
        (tmp_path / "pytest.ini").write_text("[pytest]\nasynq_redis = container\n")
    arguments = ["--asynq-redis=container"] if way == "option" else []
    if way == "variable":
        nowhere["ASYNQ_TEST_REDIS"] = "container"

    code, told = run_pytest(tmp_path, *arguments, env=nowhere)

    assert code == 1
    assert "1 error" in told
    assert "NoEngineError" in told


def test_what_is_neither_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(asynq_redis): pass")

    _, told = run_pytest(tmp_path, env={"ASYNQ_TEST_REDIS": "containers"})

    assert "asynq_redis is 'containers': it must be one of embedded, container" in told


def test_what_is_slow_is_not_imported_before_it_is_asked_for() -> None:
    slow = ["redis", "hiredis", "testcontainers", "docker", "requests", "rich", "typer"]
    code = (
        "import sys, asynq_py.testing.plugin;"
        f"print([name for name in {slow!r} if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "[]\n"
