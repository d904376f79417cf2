"""README.md says only what is true: its programs run, its links lead somewhere."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import islice, pairwise
from pathlib import Path

import pytest

from asynq_py import Client, Task
from asynq_py.testing import RedisServer
from asynq_py.testing.go import find_go
from asynq_py.wire.message import TaskMessage

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("interop/*.md")])


def blocks(language: str, page: str = "README.md") -> list[str]:
    """The code blocks of a page in a language."""
    text = (ROOT / page).read_text()
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.S)


def run_program(source: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return finished.stdout


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def test_the_producer_runs_and_prints_what_it_should(server: RedisServer) -> None:
    producer = blocks("python")[0].replace("redis://localhost:6379/0", server.url)

    lines = run_program(producer).splitlines()

    assert re.fullmatch(r"[0-9a-f-]{36} pending", lines[0])
    assert "another task holds the lock" in lines[1]
    assert lines[2] == "10000"
    assert server.command("LLEN", "asynq:{low}:pending") == 10000


def test_the_scheduler_runs_and_prints_its_entries(server: RedisServer) -> None:
    scheduler = blocks("python")[1].replace("redis://localhost:6379/0", server.url)

    lines = run_program(scheduler).splitlines()

    assert len(lines) == 3
    assert lines[0].startswith("daily-report 0 9 * * mon-fri ")
    assert lines[0].endswith(("+01:00", "+02:00"))
    assert lines[2].endswith(("-04:00", "-05:00"))


def test_two_schedulers_enqueue_each_tick_once(server: RedisServer) -> None:
    source = blocks("python")[2].replace("redis://localhost:6379/0", server.url)

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-c", source]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    leader = start()
    _lines(leader, "elected,", 1)
    follower = start()
    try:
        _lines(follower, "started", 1)
        before = _lines(leader, "enqueued", 2)
        leader.kill()
        after = _lines(follower, "enqueued", 3)
    finally:
        for process in (leader, follower):
            process.kill()
            process.communicate()

    ticks = [datetime.fromisoformat(line.split()[-1]) for line in before + after]
    # The killed one may have enqueued a tick more than we read.
    assert all(0 < (b - a).total_seconds() <= 2 for a, b in pairwise(ticks))


def _lines(process: subprocess.Popen[str], word: str, count: int) -> list[str]:
    """The next lines of its log that have a word."""
    assert process.stderr
    wanted = (line for line in process.stderr if f" {word}" in line)
    return list(islice(wanted, count))


def test_the_worker_handles_what_is_enqueued_and_ends_when_told(server: RedisServer) -> None:
    source = blocks("python")[3].replace("redis://localhost:6379/0", server.url)
    with Client(server.url) as client:
        client.enqueue(Task("image:logo", b"logo.png"), task_id="logo", retention=60)
        client.enqueue(Task("email:welcome", {"user_id": 42}))
    command = [sys.executable, "-W", "error", "-c", source]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout
        assert worker.stdout.readline() == "welcome 42\n"
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    finally:
        worker.kill()
        worker.communicate()

    assert server.command("LLEN", "asynq:{default}:pending") == 0
    assert server.command("HGET", "asynq:{default}:t:logo", "result") == b"thumbnail of logo.png"


def test_the_inspector_prints_the_queues_and_runs_what_is_to_be_retried(
    server: RedisServer,
) -> None:
    source = blocks("python")[4].replace("redis://localhost:6379/0", server.url)
    with Client(server.url) as client:
        client.enqueue(Task("t", task_id="a"))
    message = TaskMessage(type="t", id="b", queue="default", error_msg="a Timeout")
    key = "asynq:{default}:t:b"
    server.command("HSET", key, "msg", message.SerializeToString(), "state", "retry")
    server.command("ZADD", "asynq:{default}:retry", 4_000_000_000, "b")

    assert run_program(source) == "default 2\n"
    assert server.command("LRANGE", "asynq:{default}:pending", 0, -1) == [b"b", b"a"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_all_python_programs_compile(page: Path) -> None:
    for number, source in enumerate(blocks("python", str(page.relative_to(ROOT)))):
        compile(source, f"{page.name}, program {number}", "exec")


def test_what_the_page_on_workers_sets_up_can_be_set_up() -> None:
    source = "\n".join(blocks("python", "docs/worker.md"))

    assert run_program(source.replace("server.run(mux)", "")) == ""


def test_the_go_program_compiles() -> None:
    folder = ROOT / "interop" / "bin" / "readme"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.go").write_text(
        "package main\n\nimport (\n"
        + "".join(f'\t"{name}"\n' for name in ("context", "encoding/json", "log"))
        + '\n\t"github.com/hibiken/asynq"\n)\n\n'
        "func sendWelcome(context.Context, int) error { return nil }\n\n"
        "func main() {\n" + blocks("go")[0] + "}\n"
    )

    vet = subprocess.run(
        [find_go(), "vet", "./bin/readme"],
        cwd=ROOT / "interop",
        capture_output=True,
        text=True,
        check=False,
    )

    assert vet.returncode == 0, vet.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
