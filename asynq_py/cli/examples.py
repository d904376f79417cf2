"""Runs the examples of docs/cli.md on a Redis that Go has filled, and writes what they print.

``python -m asynq_py.cli.examples TEMPLATE`` renews the output of every "$ ..." in the template,
in the order in which they stand. It needs Go, and nothing else: the Redis is one of its own.
"""

from __future__ import annotations

import base64
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from asynq_py.inspector.sync import Inspector
from asynq_py.testing import Redis, Stack
from asynq_py.wire.message import TaskState

#: The files that the examples name.
FILES = {
    "app.py": """\
from asynq_py import ServeMux

mux = ServeMux()


@mux.handle("email:")
def send(context, task):
    print(f"sending {task.payload}")
""",
    "day.json": '{ "day": "2026-01-31" }\n',
    "schedule.toml": """\
[[task]]
name = "daily-report"
spec = "0 9 * * mon-fri"
type = "report:daily"
payload = { format = "pdf" }
queue = "reports"
""",
}
#: What Go's client enqueues, for a worker that consumes the queues images and mail: type (its
#: first part tells the worker what becomes of it), payload, options.
_TASKS: list[tuple[str, str, dict[str, Any]]] = [
    ("fail:resize", '{"path":"/u/1.png"}', {"task_id": "resize-1", "queue": "images"}),
    (
        *("fail:resize", '{"path":"/u/2.png"}'),
        {"task_id": "resize-2", "queue": "images", "max_retry": 0},
    ),
    (
        *("result:resize", '{"path":"/u/3.png"}'),
        {"task_id": "resize-3", "queue": "images", "retention_ms": 86_400_000},
    ),
    ("sleep:resize", "3600000", {"task_id": "resize-4", "queue": "images"}),
    ("email:welcome", '{"user_id":1}', {"task_id": "welcome-1", "queue": "critical"}),
    ("email:welcome", '{"user_id":2}', {"task_id": "welcome-2", "queue": "critical"}),
    ("push:send", '{"to":1}', {"task_id": "push-1", "queue": "low", "group": "mobile"}),
    ("push:send", '{"to":2}', {"task_id": "push-2", "queue": "low", "group": "mobile"}),
    ("push:send", '{"to":3}', {"task_id": "push-3", "queue": "low", "group": "web"}),
    ("report:daily", '{"day":"2026-01-30"}', {"task_id": "report-1", "process_in_ms": 21_600_000}),
]
#: An ID in a command that stands for the Go entry that has run.
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def renewed(template: str) -> str:
    """The template with what its examples print now."""
    with go_filled() as (redis, entry_id), _shell(redis) as run:
        parts = re.split(r"(?<=^```console\n)(.*?)(?=^```$)", template, flags=re.M | re.S)
        for number in range(1, len(parts), 2):
            commands = re.findall(r"^\$ .*\n", parts[number], flags=re.M)
            parts[number] = "".join(
                line + run(line[2:].strip()) for line in (_UUID.sub(entry_id, c) for c in commands)
            )
        return "".join(parts)


@contextmanager
def go_filled() -> Iterator[tuple[Redis, str]]:
    """A Redis with what a Go client, a Go worker and a Go scheduler at work leave in it, and the
    ID of the scheduler's entry that has run."""
    with Stack(mode="processes") as stack:
        redis, oracle = stack.redis(appendonly=True), stack.oracle()
        worker = stack.worker(redis, queues={"images": 3, "mail": 1}, retry_delay=3600)
        for kind, payload, options in _TASKS:
            task = {"type": kind, "payload": _base64(payload), "headers": None}
            answer = oracle.enqueue(redis, task, **options)
            assert "error" not in answer, answer
        entries: list[dict[str, Any]] = [
            {
                "spec": "@every 2s",
                "type": "cache:refresh",
                "payload": _base64('{"region":"eu"}'),
                "queue": "mail",
            },
            {"spec": "30 6 * * *", "type": "email:digest", "queue": "mail", "max_retry": 3},
        ]
        scheduler = oracle.start_scheduler(redis, entries, location="Europe/Berlin")
        entry_id = scheduler["entry_ids"][0]
        with Inspector(redis.url) as inspector:
            _until(lambda: len(inspector.scheduler_history(entry_id)) == 2)
            _until(lambda: len(inspector.list_tasks("images", TaskState.ACTIVE)) == 1)
            _until(lambda: inspector.queue_info("mail").processed == 2)
            # Servers show what they are at every five seconds.
            _until(lambda: any(server.active_workers for server in inspector.servers()))
        yield redis, entry_id
        worker.stop()
        oracle.stop_scheduler(scheduler["id"])


@contextmanager
def _shell(redis: Redis) -> Iterator[Callable[[str], str]]:
    """Runs lines as a user would in a shell, without a terminal; gives all that is printed."""
    with ExitStack() as exits:
        folder = Path(exits.enter_context(TemporaryDirectory()))
        for name, text in FILES.items():
            (folder / name).write_text(text)
        command = folder / "asynq-py"
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m asynq_py "$@"\n')
        command.chmod(0o755)
        env = os.environ | {
            "ASYNQ_REDIS_URL": redis.url,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

        def run(line: str) -> str:
            process = subprocess.Popen(
                ["bash", "-c", line.removesuffix("&")],
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            if line.endswith("&"):  # what it says until it has started; it goes on until the end
                exits.callback(process.communicate)
                exits.callback(process.terminate)
                assert process.stdout is not None
                said = ""
                while "started:" not in said:
                    said += process.stdout.readline()
            else:
                said, _ = process.communicate(timeout=60)
            return said.replace(redis.address, "localhost:6379")

        yield run


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, "Go did not get so far"
        time.sleep(0.02)  # Redis tells nobody how far Go is


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(renewed(file.read_text()))
