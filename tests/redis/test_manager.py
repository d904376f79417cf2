"""PeriodicTaskManager: what its provider gives is what runs, and a faulty answer is left aside."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asynq_py import (
    ConfigError,
    PeriodicTask,
    SchedulerConfig,
    SchedulerRunningError,
    SchedulerStoppedError,
    Task,
)
from asynq_py.scheduler.manager import PeriodicTaskManager
from asynq_py.scheduler.provider import FileProvider
from asynq_py.testing.redis_server import RedisServer

A = PeriodicTask("@daily", Task("a"), name="a")
B = PeriodicTask("@daily", Task("b"), name="b")
PLAIN = PeriodicTask("@daily", Task("plain"))
BAD = PeriodicTask("61 * * * *", Task("bad"), name="bad")
PATIENCE_S = 10


class Provided:
    """A provider whose answer can be changed, and which tells when it was asked."""

    def __init__(self, *answer: object) -> None:
        self.answer: Callable[[], Any] = lambda: answer
        self._asked = threading.Condition()
        self._times = 0

    def __call__(self) -> Any:  # noqa: ANN401
        with self._asked:
            self._times += 1
            self._asked.notify_all()
        return self.answer()

    def give(self, *answer: object) -> None:
        self.answer = lambda: answer

    def wait_until_done_with(self) -> None:
        """Waits until an answer that is given now was dealt with: asked for, and asked again."""
        with self._asked:
            seen = self._times + 2
            assert self._asked.wait_for(lambda: self._times >= seen, PATIENCE_S)


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            self.texts.append(record.getMessage().removeprefix("the tasks stay as they are: "))


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def make(server: RedisServer, records: Records) -> Iterator[Callable[..., PeriodicTaskManager]]:
    """Makes managers that ask their provider all the time; they are stopped at the end."""
    log = logging.Logger("test")
    log.addHandler(records)
    made: list[PeriodicTaskManager] = []

    def make_(provider: Any, sync_interval: float = 0.01) -> PeriodicTaskManager:  # noqa: ANN401
        config = SchedulerConfig(logger=log)
        manager = PeriodicTaskManager(
            server.url, provider, sync_interval=sync_interval, config=config
        )
        made.append(manager)
        return manager

    yield make_
    for manager in made:
        manager.stop()


Make = Callable[..., PeriodicTaskManager]


def names(manager: PeriodicTaskManager) -> set[str | None]:
    return {entry.name for entry in manager.entries()}


def test_what_the_provider_gives_runs_from_the_start(make: Make) -> None:
    manager = make(Provided(A, PLAIN))
    assert not manager.is_running

    with manager:
        assert manager.is_running
        assert names(manager) == {"a", None}
        assert manager.entry("a").next_run is not None
        assert manager.is_leader  # there is no other
    assert not manager.is_running


def test_a_change_is_taken_over_and_the_rest_left_alone(make: Make) -> None:
    provider = Provided(A, B)
    manager = make(provider)
    manager.start()

    changed = PeriodicTask("@hourly", Task("b"), name="b")
    provider.give(A, changed, PLAIN)
    provider.wait_until_done_with()

    assert names(manager) == {"a", "b", None}
    assert manager.entry("b").spec == "@hourly"
    provider.give()
    provider.wait_until_done_with()
    assert names(manager) == set()


def test_a_sync_tells_what_has_changed(make: Make) -> None:
    provider = Provided(A, B)
    manager = make(provider, 1000)
    manager.start()

    provider.give(PeriodicTask("@hourly", Task("b"), name="b"), PLAIN)

    assert tuple(manager.sync()) == (1, 1, 1, 0)
    assert tuple(manager.sync()) == (0, 0, 0, 2)


def fail() -> None:
    raise OSError("no database")


def fail_halfway() -> Iterator[PeriodicTask]:
    yield B
    raise OSError("no database")


@pytest.mark.parametrize(
    ("answer", "faults"),
    [
        (fail, ["the provider failed: OSError: no database"]),
        (fail_halfway, ["the provider failed: OSError: no database"]),
        (lambda: None, ["the provider must give PeriodicTasks, but gave NoneType"]),
        (lambda: "ab", ["the provider must give PeriodicTasks, but gave str"]),
        (
            lambda: [B, Task("x"), None],
            [
                "task 2: it must be a PeriodicTask, not Task",
                "task 3: it must be a PeriodicTask, not NoneType",
            ],
        ),
        (lambda: [B, A, B], ['task 3 ("b"): task 1 has that name already']),
        (
            lambda: [PLAIN, PeriodicTask("@daily", Task("plain"))],
            ["task 2: it is the same as task 1; give one of them a name"],
        ),
    ],
)
def test_a_faulty_answer_changes_nothing_and_is_told_once(
    answer: Callable[[], object], faults: list[str], make: Make, records: Records
) -> None:
    provider = Provided(A)
    manager = make(provider)
    manager.start()

    provider.answer = answer
    provider.wait_until_done_with()
    provider.wait_until_done_with()

    assert names(manager) == {"a"}
    assert records.texts == faults
    provider.give(B)
    provider.wait_until_done_with()
    assert names(manager) == {"b"}


def test_a_spec_that_cannot_be_read_changes_nothing(make: Make, records: Records) -> None:
    provider = Provided(A)
    manager = make(provider)
    manager.start()

    provider.give(B, BAD)
    provider.wait_until_done_with()
    provider.wait_until_done_with()

    assert names(manager) == {"a"}
    (told,) = records.texts
    assert "61" in told
    assert "minute" in told


def test_a_fault_that_comes_back_is_told_again(make: Make, records: Records) -> None:
    provider = Provided(A)
    manager = make(provider)
    manager.start()

    for _ in range(2):
        provider.answer = fail
        provider.wait_until_done_with()
        provider.give(A)
        provider.wait_until_done_with()

    assert records.texts == ["the provider failed: OSError: no database"] * 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [(fail, OSError), (lambda: [A, A], ConfigError), (lambda: [BAD], ConfigError)],
)
def test_a_faulty_first_answer_is_raised_and_nothing_runs(
    answer: Callable[[], object], error: type[Exception], make: Make
) -> None:
    provider = Provided(A)
    provider.answer = answer
    manager = make(provider)

    with pytest.raises(error):
        manager.start()

    assert not manager.is_running
    provider.give(A)
    manager.start()
    assert names(manager) == {"a"}


def test_a_provider_that_hangs_holds_up_nothing(make: Make) -> None:
    provider = Provided(A)
    manager = make(provider)
    manager.start()
    let_go = threading.Event()

    def hang() -> list[PeriodicTask]:
        let_go.wait(PATIENCE_S)
        return [B]

    provider.answer = hang
    with provider._asked:
        seen = provider._times + 1
        assert provider._asked.wait_for(lambda: provider._times >= seen, PATIENCE_S)
    assert manager.is_running
    assert names(manager) == {"a"}
    manager.stop()
    thread = manager._thread
    let_go.set()

    assert thread is not None
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert names(manager) == {"a"}


def test_it_starts_once_and_stops_for_good(make: Make) -> None:
    manager = make(Provided(A))
    manager.stop()
    manager.start()
    with pytest.raises(SchedulerRunningError):
        manager.start()
    manager.stop()
    manager.stop()
    with pytest.raises(SchedulerStoppedError):
        manager.start()


def test_to_stop_what_does_not_run_does_nothing(make: Make) -> None:
    provider = Provided(A)
    manager = make(provider)
    manager.stop()
    manager.start()

    provider.give(B)
    provider.wait_until_done_with()

    assert names(manager) == {"b"}


def test_run_ends_when_it_is_stopped(make: Make) -> None:
    provider = Provided(A)
    manager = make(provider)
    runner = threading.Thread(target=manager.run)
    runner.start()
    provider.give(B)
    provider.wait_until_done_with()
    while not manager.is_running:
        provider.wait_until_done_with()
    assert names(manager) == {"b"}

    manager.stop()
    runner.join(PATIENCE_S)

    assert not runner.is_alive()


def test_a_file_is_looked_at_more_often_than_the_interval_says(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileProvider, "poll_interval", 0.01)
    path = tmp_path / "s.toml"
    path.write_text('task = [{spec = "@daily", type = "t", name = "old"}]')
    asked = Provided()
    provider = FileProvider(path)
    asked.answer = provider
    asked.poll_interval = provider.poll_interval  # type: ignore[attr-defined]
    manager = make(asked, 1000)
    manager.start()

    beside = tmp_path / "new"
    beside.write_text('task = [{spec = "@daily", type = "t", name = "new"}]')
    beside.rename(path)
    asked.wait_until_done_with()

    assert names(manager) == {"new"}


@pytest.mark.parametrize(
    "arguments", [{"provider": None}, {"sync_interval": 0}, {"sync_interval": -1}]
)
def test_what_can_never_work_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PeriodicTaskManager("redis://localhost", **({"provider": Provided()} | arguments))
