"""How the harness chooses and what it tells its programs. Running: `interop/test_harness.py`."""

import subprocess
import sys

import pytest

from asynq_py.testing.backend import choose_mode
from asynq_py.testing.stack import _flags
from asynq_py.testing.worker import consumed_task


@pytest.mark.parametrize(
    ("value", "mode"),
    [("", "auto"), ("containers", "containers"), ("processes", "processes")],
)
def test_the_variable_chooses(monkeypatch: pytest.MonkeyPatch, value: str, mode: str) -> None:
    monkeypatch.setenv("ASYNQ_INTEROP", value)
    assert choose_mode() == mode


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNQ_INTEROP", "container")
    with pytest.raises(ValueError, match="neither"):
        choose_mode()


def test_flags_repeat_lists_and_leave_out_none() -> None:
    assert _flags({"n": 3, "header": ["a=1", "b=2"], "group": None}) == [
        "-n=3",
        "-header=a=1",
        "-header=b=2",
    ]


def test_a_task_without_payload_and_headers() -> None:
    event = {
        "event": "task", "id": "1", "type": "t", "queue": "q", "payload": None, "headers": None,
        "retried": 0, "max_retry": 25, "at": 5,
    }  # fmt: skip
    task = consumed_task(event)
    assert (task.payload, task.headers, task.at_ns, task.group_tasks) == (b"", {}, 5, [])


def test_the_library_does_not_import_the_harness() -> None:
    program = "import asynq_py, sys; sys.exit(any('testing' in m for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_redis_server_needs_only_the_standard_library() -> None:
    program = (
        "import asynq_py.testing, sys\n"
        "sys.exit(any(m in sys.modules for m in ('docker', 'testcontainers', 'requests')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
