"""asynq-py doctor: what it prints, what it asks, how it ends."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from asynq_py import Client, Task
from asynq_py.cli.app import run
from asynq_py.doctor.finding import KINDS
from asynq_py.testing.redis_server import RedisServer
from tests.support.commands import Command, Ran
from tests.support.database import content

Q = "asynq:{q}:"
DOCS = Path(__file__).parents[2] / "docs" / "doctor.md"


@pytest.fixture
def doctor(
    server: RedisServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Any:  # noqa: ANN401
    """Runs ``doctor`` on the shared server, whose settings are made to be right."""
    monkeypatch.setenv("ASYNQ_REDIS_URL", server.url)
    monkeypatch.delenv("ASYNQ_CONFIG", raising=False)
    server.command("CONFIG", "SET", "save", "100000 100000")

    def command(*arguments: str) -> Ran:
        code = run(["doctor", *arguments])
        return Ran(code, capsys.readouterr())

    yield command
    server.command("CONFIG", "SET", "save", "")


@pytest.fixture
def damaged(server: RedisServer, database: redis.Redis) -> redis.Redis:
    """A queue with seven ghosts, an orphan and an empty group."""
    with Client(server.url) as client:
        for number in range(9):
            client.enqueue(Task("t", b"x"), queue="q", task_id=f"id{number}")
    for number in range(7):
        database.delete(f"{Q}t:id{number}")
    database.hset(Q + "t:o", "result", "r")
    database.sadd(Q + "groups", "[red]\x1b")
    return database


def test_health_is_said_and_ends_with_zero(doctor: Command, database: redis.Redis) -> None:
    ran = doctor()

    assert (ran.code, ran.out, ran.err) == (0, "Healthy: nothing is damaged\n", "")
    assert doctor("--output", "json").json == {"healthy": True, "kinds": []}


def test_damage_is_shown_by_kind_with_cause_and_examples(
    doctor: Command, damaged: redis.Redis
) -> None:
    before = content(damaged)

    ran = doctor()

    assert (ran.code, ran.err) == (1, "")
    lines = ran.out.splitlines()
    start = lines.index("WARNING ghost  7")
    assert lines[start + 1] == " " * 8 + KINDS["ghost"].why
    assert lines[start + 2] == " " * 8 + f"Repair: {KINDS['ghost'].repair}"
    shown = lines[start + 3 : start + 8]
    assert all(line.startswith(f"        - {Q}t:id") for line in shown)
    assert shown[0].endswith("is held by pending; its hash says no state")
    assert lines[start + 8] == "        - and 2 more"
    assert '        - asynq:{q}:g:[red]\\x1b: group "[red]\\x1b" is listed and empty' in lines
    assert lines[-1] == "Found: 9 warnings; --fix mends 9"
    assert content(damaged) == before


def test_programs_are_given_every_finding(doctor: Command, damaged: redis.Redis) -> None:
    damaged.hset(b"asynq:{q}:t:\xff", "result", "r")

    ran = doctor("--output", "json")

    assert ran.code == 1
    kinds = {kind["code"]: kind for kind in ran.json["kinds"]}
    assert {code: kind["count"] for code, kind in kinds.items()} == {
        "empty-group": 1,
        "ghost": 7,
        "orphan": 2,
    }
    assert len(kinds["ghost"]["findings"]) == 7
    assert {finding["key"] for finding in kinds["orphan"]["findings"]} == {
        Q + "t:o",
        Q + "t:\\udcff",
    }
    assert kinds["orphan"] | {"findings": 0} == {
        "code": "orphan",
        "severity": "warning",
        "count": 2,
        "why": KINDS["orphan"].why,
        "repair": KINDS["orphan"].repair,
        "findings": 0,
    }


def test_what_can_be_mended_is_mended(doctor: Command, damaged: redis.Redis) -> None:
    ran = doctor("--fix", "--yes")

    assert (ran.code, ran.err) == (0, "")
    lines = sorted(ran.out.splitlines())
    assert [line.split(":")[0] for line in lines] == [
        "Healthy",
        "Mended 1 empty-group",
        "Mended 1 orphan",
        "Mended 7 ghost",
    ]
    assert damaged.lrange(Q + "pending", 0, -1) == [b"id8", b"id7"]
    assert len(damaged.keys("*")) == 4
    assert doctor("--fix", "--yes", "--output", "json").json == {
        "healthy": True,
        "kinds": [],
        "mended": {},
    }


def test_what_a_repair_brings_to_light_is_mended_too(doctor: Command, damaged: redis.Redis) -> None:
    # A lost task is archived; only then is its queue one that has tasks and is not listed.
    damaged.delete(Q + "pending")
    damaged.srem("asynq:queues", "q")

    ran = doctor("--fix", "--yes", "--output", "json")

    assert (ran.code, ran.json["kinds"]) == (0, [])
    assert ran.json["mended"] == {
        "empty-group": 1,
        "lost-task": 2,
        "orphan": 1,
        "unlisted-queue": 1,
    }


def test_what_cannot_be_mended_is_left_and_ends_with_one(
    doctor: Command, damaged: redis.Redis
) -> None:
    damaged.xadd(Q + "processed", {"a": "b"})

    ran = doctor("--fix", "--yes")

    assert ran.code == 1
    assert "ERROR   wrong-type  1" in ran.out.splitlines()
    assert ran.out.splitlines()[-1] == "Left: 1 error"


def test_what_was_put_into_quarantine_is_said_and_ends_with_zero(
    doctor: Command, damaged: redis.Redis
) -> None:
    damaged.hset(Q + "t:id8", "msg", b"\xff")

    ran = doctor("--fix", "--yes", "--output", "json")

    assert (ran.code, ran.json["healthy"], ran.json["mended"]["undecodable"]) == (0, True, 1)
    (kind,) = ran.json["kinds"]
    assert (kind["code"], kind["severity"], kind["count"]) == ("quarantined", "info", 1)


def test_what_is_only_good_to_know_ends_with_zero(doctor: Command, database: redis.Redis) -> None:
    database.zadd("asynq:scheduler_history:x", {"": 1})

    ran = doctor()

    assert (ran.code, ran.out.splitlines()[-1]) == (0, "Healthy. Found: 1 to know; --fix mends 1")


def test_only_some_queues_and_only_quickly(doctor: Command, damaged: redis.Redis) -> None:
    damaged.sadd("asynq:queues", "p")

    assert doctor("-q", "p").code == 0
    assert doctor("-q", "p", "-q", "q").code == 1
    quick = doctor("--quick", "--output", "json").json
    assert [kind["code"] for kind in quick["kinds"]] == ["empty-group"]
    ran = doctor("-q", "z")
    assert (ran.code, ran.err) == (1, 'asynq-py: there is no queue "z"\n')


def test_nothing_is_mended_where_nobody_can_be_asked(doctor: Command, damaged: redis.Redis) -> None:
    before = content(damaged)

    ran = doctor("--fix")

    assert ran.code == 2
    assert "needs --yes" in ran.err
    assert content(damaged) == before


class Keyboard(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 130), ("", 130)])
def test_it_asks_before_it_mends(
    typed: str,
    code: int,
    doctor: Command,
    damaged: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = content(damaged)
    monkeypatch.setattr(sys, "stdin", Keyboard(typed))

    ran = doctor("--fix")

    assert ran.code == code
    assert "WARNING ghost  7" in ran.out
    assert "Mend 9 of them? [y/N]:" in ran.err
    assert (content(damaged) == before) == (code != 0)


def test_without_redis_it_fails_in_one_line(doctor: Command) -> None:
    ran = doctor("--redis", "redis://localhost:1")

    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)


def test_a_terminal_is_shown_how_far_it_is(server: RedisServer, damaged: redis.Redis) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "asynq_py", "doctor", "--redis", server.url],
        stdout=subprocess.PIPE,
        stderr=slave,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
    )
    out, _ = process.communicate(timeout=60)
    os.close(slave)
    shown = os.read(master, 65536)
    os.close(master)

    assert process.returncode == 1
    assert b"Looking" in shown
    assert b"Looking" not in out
    assert b"\x1b" not in out


def test_every_kind_is_in_the_documents() -> None:
    text = DOCS.read_text()

    assert [code for code in KINDS if f"| `{code}` |" not in text] == []
