"""The command asynq-py, as a user runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def asynq_py(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = os.environ | ({"PATH": path} if path is not None else {})
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "asynq_py", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=env,
    )


def test_the_demo_ends_well_when_go_consumed_everything() -> None:
    finished = asynq_py("demo", "--seconds", "3")

    assert finished.returncode == 0, finished.stdout + finished.stderr
    found = re.search(r"scheduled (\d+) tasks in 3 seconds; Go consumed (\d+)", finished.stdout)
    assert found is not None, finished.stdout
    assert found[1] == found[2]
    assert int(found[1]) >= 3
    assert finished.stderr == ""


@pytest.mark.skipif(
    Path(sys.prefix, "bin", "go").exists(), reason="Go is in this environment and will be found"
)
def test_the_demo_without_go_says_so_and_shows_the_tasks(tmp_path: Path) -> None:
    bare = "/usr/bin:/bin"  # where Redis is, and Go is not
    if Path("/usr/bin/go").exists():
        pytest.skip("Go is installed with the system's own programs")
    finished = asynq_py("demo", "--seconds", "1", path=bare)

    assert finished.returncode == 1
    assert "Go 1.24 or later is needed" in finished.stdout
    assert re.search(r"asynq:\{default\}:pending: [12]", finished.stdout)
    assert "Traceback" not in finished.stdout + finished.stderr


def test_an_interrupted_demo_ends_without_a_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "asynq_py", "demo", "--seconds", "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "heartbeat {" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert errors == "asynq-py: interrupted\n"


@pytest.mark.parametrize(
    "arguments", [["nope"], ["demo", "--nope"], ["demo", "--seconds", "x"], ["demo", "extra"]]
)
def test_wrong_usage_exits_with_2_and_says_why(arguments: list[str]) -> None:
    finished = asynq_py(*arguments)

    assert finished.returncode == 2
    assert finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_version_is_shown() -> None:
    finished = asynq_py("--version")

    assert (finished.returncode, finished.stderr) == (0, "")
    assert re.fullmatch(r"asynq-py \d+\.\d+\.\d+\n", finished.stdout)


@pytest.mark.parametrize("output", ["table", "json"])
@pytest.mark.parametrize("n", ["1", "999"])
def test_a_reader_that_leaves_early_sees_no_traceback(n: str, output: str) -> None:
    command = ["cron", "explain", "@daily", "-n", n, "--output", output]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "asynq_py", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": ""},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()

    assert process.wait(30) == 1
    assert errors == b""
    process.stderr.close()
