"""Threads for plain handlers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from asynq_py.server.threads import Threads


def names() -> list[str]:
    return sorted(each.name for each in threading.enumerate() if each.name.startswith("some-"))


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads("some", 3)
    yield threads
    threads.close()
    for each in threading.enumerate():
        if each.name.startswith("some-"):
            each.join(10)
    assert names() == []


def test_threads_are_started_as_they_are_needed_and_used_again(threads: Threads) -> None:
    assert names() == []
    for _ in range(5):
        done = threading.Event()
        threads.submit(done.set)
        assert done.wait(10)
        # It is idle a moment after its function has returned.
        while threads._idle < 1:
            pass

    assert names() == ["some-1"]


def test_no_more_run_at_a_time_than_may(threads: Threads) -> None:
    begun = threading.Semaphore(0)
    go_on = threading.Event()
    running: list[int] = []
    most: list[int] = []

    def job() -> None:
        running.append(1)
        most.append(len(running))
        begun.release()
        go_on.wait(10)
        running.pop()

    for _ in range(8):
        threads.submit(job)
    for _ in range(3):
        assert begun.acquire(timeout=10)
    assert names() == ["some-1", "some-2", "some-3"]
    assert len(running) == 3
    go_on.set()
    for _ in range(5):
        assert begun.acquire(timeout=10)

    assert max(most) == 3


def test_they_are_daemons(threads: Threads) -> None:
    seen: list[bool] = []
    done = threading.Event()

    def job() -> None:
        seen.append(threading.current_thread().daemon)
        done.set()

    threads.submit(job)
    assert done.wait(10)
    assert seen == [True]


def test_what_was_submitted_before_closing_is_done(threads: Threads) -> None:
    done: list[int] = []
    for number in range(10):
        threads.submit(lambda number=number: done.append(number))  # type: ignore[misc]
    threads.close()
    for each in threading.enumerate():
        if each.name.startswith("some-"):
            each.join(10)

    assert sorted(done) == list(range(10))
