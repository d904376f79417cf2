"""The lock of the state: many read at once, one writes, who waits to write goes first."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from asynq_py.scheduler.rwlock import ReadWriteLock

PATIENCE_S = 15


class Held:
    """A thread that takes the lock and keeps it until told."""

    def __init__(self, hold: Callable[[], object]) -> None:
        self._hold = hold
        self._let_go = threading.Event()
        self.has_it = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._hold():  # type: ignore[attr-defined]
            self.has_it.set()
            assert self._let_go.wait(PATIENCE_S)

    def let_go(self) -> None:
        self._let_go.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def until_waiting(lock: ReadWriteLock, waiters: int) -> None:
    """Returns once so many threads wait for the lock."""
    queue = lock._changed._waiters  # type: ignore[attr-defined]
    deadline = threading.Event()
    timer = threading.Timer(PATIENCE_S, deadline.set)
    timer.start()
    # A condition tells nobody who waits at it: it must be looked at.
    while len(queue) < waiters:
        assert not deadline.is_set(), "nobody waits"
    timer.cancel()


def test_many_read_at_once() -> None:
    lock = ReadWriteLock()
    together = threading.Barrier(8)
    met: list[int] = []

    def read() -> None:
        with lock.read():
            # Passed only by all at once.
            met.append(together.wait(PATIENCE_S))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert sorted(met) == list(range(8))


@pytest.mark.parametrize("other", ["read", "write"])
def test_a_writer_is_alone(other: str) -> None:
    lock = ReadWriteLock()
    writer = Held(lock.write)
    assert writer.has_it.wait(PATIENCE_S)
    second = Held(getattr(lock, other))
    until_waiting(lock, 1)

    assert not second.has_it.is_set()
    writer.let_go()

    assert second.has_it.wait(PATIENCE_S)
    second.let_go()


def test_a_writer_waits_for_all_readers() -> None:
    lock = ReadWriteLock()
    readers = [Held(lock.read), Held(lock.read)]
    for reader in readers:
        assert reader.has_it.wait(PATIENCE_S)
    writer = Held(lock.write)
    until_waiting(lock, 1)

    readers[0].let_go()
    assert not writer.has_it.is_set()
    readers[1].let_go()

    assert writer.has_it.wait(PATIENCE_S)
    writer.let_go()


def test_who_waits_to_write_goes_before_new_readers() -> None:
    lock = ReadWriteLock()
    first = Held(lock.read)
    assert first.has_it.wait(PATIENCE_S)
    writer = Held(lock.write)
    until_waiting(lock, 1)
    late = Held(lock.read)
    until_waiting(lock, 2)

    assert not late.has_it.is_set()
    first.let_go()
    assert writer.has_it.wait(PATIENCE_S)
    assert not late.has_it.is_set()
    writer.let_go()

    assert late.has_it.wait(PATIENCE_S)
    late.let_go()


@pytest.mark.parametrize("way", ["read", "write"])
def test_an_error_gives_the_lock_back(way: str) -> None:
    lock = ReadWriteLock()

    with pytest.raises(LookupError), getattr(lock, way)():
        raise LookupError

    with lock.write():
        pass


def test_many_readers_and_writers_never_meet() -> None:
    lock = ReadWriteLock()
    guard = threading.Lock()
    inside = {"read": 0, "write": 0}
    wrong: list[dict[str, int]] = []

    def work(way: str) -> None:
        for _ in range(300):
            with getattr(lock, way)():
                with guard:
                    inside[way] += 1
                    if inside["write"] > 1 or (inside["write"] and inside["read"]):
                        wrong.append(dict(inside))
                with guard:
                    inside[way] -= 1

    threads = [threading.Thread(target=work, args=(way,)) for way in ("read", "write") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
