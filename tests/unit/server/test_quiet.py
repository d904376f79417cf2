"""Messages that must not flood."""

from __future__ import annotations

import logging

import pytest

from asynq_py.server.quiet import EVERY_S, Quiet


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock; may be changed."""
    now = [100.0]
    monkeypatch.setattr("asynq_py.server.quiet.time.monotonic", lambda: now[0])
    return now


def test_messages_that_differ_in_names_and_numbers_are_of_one_kind(
    now: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    quiet = Quiet(logging.getLogger("q"))
    for number in range(1000):
        quiet.warning(f"task 'a{number}' of \"q{number}\" waits {number} s")
    now[0] += EVERY_S
    quiet.warning("task 'b' of \"q\" waits 5 s")
    quiet.warning("task 'b' of \"q\" waits 5 s")
    now[0] += EVERY_S * 3
    quiet.warning("task 'c' of \"q\" waits 5 s")

    assert caplog.messages == [
        "task 'a0' of \"q0\" waits 0 s",
        "task 'b' of \"q\" waits 5 s (and 999 like it before)",
        "task 'c' of \"q\" waits 5 s (and 1 like it before)",
    ]


def test_other_kinds_are_not_kept_back(now: list[float], caplog: pytest.LogCaptureFixture) -> None:
    quiet = Quiet(logging.getLogger("q"))
    quiet.warning("one")
    quiet.error("two: 5%")

    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "one"),
        ("ERROR", "two: 5%"),
    ]
