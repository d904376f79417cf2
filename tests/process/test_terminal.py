"""asynq-py on a terminal: it asks before much is lost, shows progress, and has colours."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Sequence

import pytest
import redis

from asynq_py.testing.redis_server import RedisServer
from tests.support.states import put

INTERRUPT = b"\x03"


def on_terminal(arguments: Sequence[str], *, answer: str = "", expect: str = "") -> tuple[int, str]:
    """Runs a command on a terminal of its own; gives its exit code and what was seen.

    Args:
        arguments: Of the command.
        answer: What is typed when ``expect`` is seen.
        expect: What to wait for.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "asynq_py", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        # Else what is typed could not interrupt it.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "NO_COLOR": ""},
    )
    os.close(theirs)
    seen, typed = "", b""
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                if typed == INTERRUPT:
                    # Python may miss one that comes just as it begins to read a line.
                    os.write(ours, typed)
                continue
            try:
                seen += os.read(ours, 65536).decode()
            except OSError:  # the other side is closed
                break
            if answer and expect in seen:
                typed = answer.encode()
                os.write(ours, typed)
                answer = ""
        return process.wait(10), seen
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture
def deleteall(server: RedisServer, database: redis.Redis) -> list[str]:
    """The command that deletes the two tasks that there are."""
    put(database, "archived", "a", score=1)
    put(database, "archived", "b", score=2)
    return ["task", "deleteall", "default", "archived", "--redis", server.url]


QUESTION = 'Delete all archived tasks of queue "default", 2 now? [y/N]:'


def test_agreement_has_it_done_with_a_bar(deleteall: list[str], database: redis.Redis) -> None:
    code, seen = on_terminal(deleteall, answer="y\n", expect=QUESTION)

    assert code == 0
    assert QUESTION in seen
    assert "Delete archived tasks" in seen
    assert "2/2" in seen
    assert "2 tasks deleted" in seen
    assert database.keys("*:t:*") == []


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_without_agreement_nothing_is_done(
    answer: str, deleteall: list[str], database: redis.Redis
) -> None:
    code, seen = on_terminal(deleteall, answer=answer, expect=QUESTION)

    assert code == 1
    assert "asynq-py: nothing was changed" in seen
    assert len(database.keys("*:t:*")) == 2


def test_an_interrupted_question_is_a_no(deleteall: list[str], database: redis.Redis) -> None:
    code, seen = on_terminal(deleteall, answer=INTERRUPT.decode(), expect=QUESTION)

    assert code == 130
    assert "asynq-py: interrupted" in seen
    assert "Traceback" not in seen
    assert len(database.keys("*:t:*")) == 2


def test_a_terminal_has_colours_and_what_is_damaged_is_red(
    server: RedisServer, database: redis.Redis
) -> None:
    put(database, "archived", "a", score=1)
    put(database, "archived", "bad", score=2)
    database.hdel("asynq:{default}:t:bad", "msg")

    code, seen = on_terminal(["task", "ls", "default", "archived", "--redis", server.url])

    assert code == 0
    assert "\x1b[1mID" in seen
    assert "\x1b[31mbad" in seen


def test_stats_are_drawn_in_place_and_the_terminal_is_given_back(server: RedisServer) -> None:
    arguments = ["stats", "--watch", "0.1", "--redis", server.url]
    code, seen = on_terminal(arguments, answer=INTERRUPT.decode(), expect="peak memory usage")

    assert code == 0
    assert "\x1b[?1049h" in seen  # a screen of its own
    assert seen.rstrip().endswith(("\x1b[?1049l", "\x1b[?25h"))
    assert "Traceback" not in seen
