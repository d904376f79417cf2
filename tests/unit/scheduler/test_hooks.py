"""The user's functions: what they raise, or that they hang, stops nothing."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from asynq_py.scheduler import hooks as module
from asynq_py.scheduler.hooks import Hooks, bound

PATIENCE_S = 15


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    made = Hooks(logging.getLogger("asynq_py.scheduler"))
    yield made
    made.finish(time.monotonic() + PATIENCE_S)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook is hardly waited for."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)


def hanging() -> tuple[Callable[[], object], threading.Event]:
    """A hook that hangs until the event is set."""
    end = threading.Event()
    return lambda: end.wait(PATIENCE_S), end


def test_calls_are_made_one_after_another_in_their_order(hooks: Hooks) -> None:
    made: list[int] = []

    assert hooks.call_first([("hook", lambda number=n: made.append(number)) for n in range(100)])

    assert made == list(range(100))


def test_no_calls_need_no_thread(hooks: Hooks) -> None:
    hooks.call([])

    assert hooks.call_first([])
    assert hooks._thread is None


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_hook_that_raises_stops_no_other(
    hooks: Hooks, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    made: list[str] = []

    def raising() -> None:
        raise error("a fault")

    assert hooks.call_first([("first", raising), ("second", lambda: made.append("second"))])
    assert hooks.call_first([("third", lambda: made.append("third"))])

    assert made == ["second", "third"]
    assert [record.getMessage() for record in caplog.records] == ["first raised"]


@pytest.mark.usefixtures("impatient")
def test_a_hook_that_hangs_is_waited_for_once(
    hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    hook, end = hanging()
    made = threading.Event()

    assert not hooks.call_first([("hook", hook)])
    assert not hooks.call_first([("hook", made.set)])

    assert not made.is_set()
    assert len(caplog.records) == 1
    assert "has not returned within 0.01 s" in caplog.text
    end.set()
    assert made.wait(PATIENCE_S)


@pytest.mark.usefixtures("impatient")
def test_hooks_are_waited_for_again_once_the_one_that_hung_has_returned(hooks: Hooks) -> None:
    hook, end = hanging()
    hooks.call_first([("hook", hook)])
    end.set()
    returned = threading.Event()
    # Behind the mark which says that the hook is back.
    hooks.call([("hook", returned.set)])
    assert returned.wait(PATIENCE_S)

    made: list[int] = []
    module.PATIENCE_S = PATIENCE_S
    assert hooks.call_first([("hook", lambda: made.append(1))])

    assert made == [1]


def test_a_hook_that_returns_when_patience_ends_does_not_count_as_hanging(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, end = hanging()

    class AtTheLastMoment(threading.Event):
        """Waits in vain, and is set before anyone can say so."""

        def wait(self, timeout: float | None = None) -> bool:
            end.set()
            super().wait(PATIENCE_S)
            return False

    names = SimpleNamespace(**vars(threading))
    names.Event = AtTheLastMoment
    monkeypatch.setattr(module, "threading", names)
    assert not hooks.call_first([("hook", hook)])
    monkeypatch.undo()

    assert hooks.call_first([("hook", lambda: None)])


def test_calls_that_pile_up_are_left_out_and_that_is_said_once(
    hooks: Hooks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    hook, end = hanging()
    made: list[int] = []
    begun = threading.Event()
    hooks.call([("slow", lambda: (begun.set(), hook()))])
    assert begun.wait(PATIENCE_S)
    for number in range(10):
        hooks.call([("slow", lambda number=number: made.append(number))])

    end.set()
    hooks.finish(time.monotonic() + PATIENCE_S)

    assert made == [0, 1, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "slow is too slow: calls of hooks are left out"
    ]


def test_finishing_lets_waiting_calls_be_made_but_not_for_ever(hooks: Hooks) -> None:
    hook, end = hanging()
    made: list[int] = []
    hooks.call([("hook", hook), ("hook", lambda: made.append(1))])

    hooks.finish(time.monotonic())
    assert made == []
    end.set()
    hooks.finish(time.monotonic() + PATIENCE_S)

    assert made == [1]


def test_a_hook_may_finish_the_hooks_itself(hooks: Hooks) -> None:
    finished = threading.Event()

    hooks.call([("hook", lambda: (hooks.finish(time.monotonic() + PATIENCE_S), finished.set()))])

    assert finished.wait(PATIENCE_S)


def test_a_bound_call_keeps_copies_of_mappings() -> None:
    options = {"queue": "q"}
    told: list[dict[str, str]] = []
    call = bound(told.append, options)

    options["queue"] = "changed"
    call()

    assert told == [{"queue": "q"}]
