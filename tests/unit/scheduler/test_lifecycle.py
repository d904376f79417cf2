"""What a scheduler may be asked to do when; every other call has an error of its own."""

from __future__ import annotations

import pytest

from asynq_py import SchedulerRunningError, SchedulerStoppedError
from asynq_py.scheduler.lifecycle import Lifecycle, State

RUNNING = (SchedulerRunningError, "cannot register: the scheduler runs, stop it first")
STOPPED = (SchedulerStoppedError, "cannot register: the scheduler was stopped; make a new one")


def at(state: State) -> Lifecycle:
    life = Lifecycle()
    life.state = state
    return life


def test_it_goes_from_new_to_stopped() -> None:
    life = Lifecycle()
    states = [life.state]

    life.start()
    states.append(life.state)
    assert life.stop()
    states.append(life.state)
    life.end()
    states.append(life.state)

    assert states == [State.NEW, State.RUNNING, State.STOPPING, State.STOPPED]


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (State.RUNNING, SchedulerRunningError, "the scheduler is already running"),
        (
            State.STOPPING,
            SchedulerStoppedError,
            "cannot start: the scheduler was stopped; make a new one",
        ),
        (
            State.STOPPED,
            SchedulerStoppedError,
            "cannot start: the scheduler was stopped; make a new one",
        ),
    ],
)
def test_it_is_started_once(state: State, error: type[Exception], message: str) -> None:
    life = at(state)

    with pytest.raises(error) as caught:
        life.start()

    assert str(caught.value) == message
    assert life.state is state


@pytest.mark.parametrize("state", [State.NEW, State.STOPPING, State.STOPPED])
def test_what_does_not_run_cannot_be_stopped_and_that_is_no_error(state: State) -> None:
    life = at(state)

    assert not life.stop()

    assert life.state is state


@pytest.mark.parametrize(
    ("state", "refusal"),
    [(State.RUNNING, RUNNING), (State.STOPPING, RUNNING), (State.STOPPED, STOPPED)],
)
def test_entries_are_sealed_from_the_start_on(
    state: State, refusal: tuple[type[Exception], str]
) -> None:
    error, message = refusal

    with pytest.raises(error) as caught:
        at(state).check_unsealed("register")

    assert str(caught.value) == message
    at(State.NEW).check_unsealed("register")


@pytest.mark.parametrize("state", [State.STOPPING, State.STOPPED])
def test_all_entries_may_be_replaced_until_it_stops(state: State) -> None:
    with pytest.raises(SchedulerStoppedError) as caught:
        at(state).check_not_stopped("register")

    assert str(caught.value) == STOPPED[1]
    at(State.NEW).check_not_stopped("register")
    at(State.RUNNING).check_not_stopped("register")
