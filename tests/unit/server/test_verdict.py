"""What becomes of a task, without Redis."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from asynq_py import LeaseLostError, RevokeTask, ServerConfig, SkipRetry, fixed_delay
from asynq_py.broker.finish import Finished, Outcome
from asynq_py.server.verdict import Judge, caused_by, success
from asynq_py.wire.message import TaskMessage, decode

NOW_S = 1_900_000_000
NOW_NS = NOW_S * 10**9


def judge(**config: Any) -> Judge:  # noqa: ANN401
    return Judge(ServerConfig(**{"retry_delay": fixed_delay(5), **config}), logging.getLogger("t"))


def message(**fields: Any) -> TaskMessage:  # noqa: ANN401
    return TaskMessage(**{"type": "t", "id": "a", "queue": "q", "retry": 3, **fields})


def test_a_success_keeps_the_message_of_the_task() -> None:
    finished = success("q", "a", message(retention=60, unique_key="k", group_key="g"), NOW_NS)

    assert finished[:3] == ("q", "a", Outcome.COMPLETE)
    assert decode(finished.data) == message(
        retention=60, unique_key="k", group_key="g", completed_at=NOW_S
    )
    assert (finished.score, finished.lock) == (NOW_S + 60, "k")
    assert success("q", "a", message(retention=-5), NOW_NS) == Finished("q", "a", Outcome.DONE)


@pytest.mark.parametrize(("retried", "retry"), [(3, 3), (4, 3), (0, 0)])
def test_no_retry_is_left_when_there_were_as_many_as_may_be(retried: int, retry: int) -> None:
    made = judge().failure("q", "a", message(retried=retried, retry=retry), KeyError("x"), NOW_NS)

    assert made.outcome is Outcome.ARCHIVE
    assert decode(made.data).retried == retried


def crash(crashes: int, **config: Any) -> Finished:  # noqa: ANN401
    free = {"free_crashes": 2} | config
    task = message(retry=1, retried=config.pop("retried", 0))
    return judge(**free).crash("q", "a", task, LeaseLostError("gone"), NOW_NS, crashes, 77)


def test_some_deaths_of_workers_are_free() -> None:
    assert [crash(number).outcome for number in range(4)] == [
        *(Outcome.CRASH, Outcome.CRASH, Outcome.RETRY, Outcome.RETRY),
    ]
    assert decode(crash(0).data).retried == 0
    assert decode(crash(2).data).retried == 1
    assert {crash(number).lease_at_most for number in range(4)} == {77}
    assert crash(0, free_crashes=0).outcome is Outcome.RETRY
    assert crash(5, is_failure=lambda error: False).outcome is Outcome.POSTPONE


@pytest.mark.parametrize("faulty", [-1, "x", None, float("nan"), ZeroDivisionError])
def test_a_delay_that_is_none_is_replaced_and_told(
    faulty: Any,  # noqa: ANN401
    caplog: pytest.LogCaptureFixture,
) -> None:
    def rule(*_: object) -> Any:  # noqa: ANN401
        if isinstance(faulty, type):
            raise faulty
        return faulty

    made = judge(retry_delay=rule).failure("q", "a", message(), KeyError("x"), NOW_NS)

    assert made.outcome is Outcome.RETRY
    assert 15 <= made.score - NOW_S <= 44
    assert "asynq's own is taken" in caplog.text


def test_an_is_failure_that_raises_counts_the_error(caplog: pytest.LogCaptureFixture) -> None:
    def rule(error: BaseException) -> bool:
        raise ZeroDivisionError

    made = judge(is_failure=rule).failure("q", "a", message(), KeyError("x"), NOW_NS)

    assert made.outcome is Outcome.RETRY
    assert "is_failure raised; the error counts" in caplog.text


def test_causes_that_go_in_circles_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first

    assert not caused_by(first, SkipRetry)
    assert not caused_by(None, SkipRetry)


def test_a_group_deep_inside_is_looked_into() -> None:
    error = ValueError("x")
    error.__cause__ = ExceptionGroup("g", [ExceptionGroup("h", [KeyError(), RevokeTask()])])

    assert caused_by(error, RevokeTask)
    assert not caused_by(error, SkipRetry)
