"""TaskInfo and EnqueueResult: what callers are shown."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py import EnqueueResult, TaskIDConflictError, TaskInfo, TaskState
from asynq_py.wire.message import TaskMessage, encode
from tests.support import strategies


def message(**fields: Any) -> bytes:  # noqa: ANN401
    """An encoded message with the fields every task has."""
    return encode(TaskMessage(**{"type": "t", "id": "i", "queue": "q", "retry": 25} | fields))


FULL = message(
    payload=b"p",
    retried=2,
    error_msg="boom",
    last_failed_at=1700000000,
    timeout=30,
    deadline=1700000100,
    retention=60,
    completed_at=1700000200,
    group_key="g",
    headers={"h": "v"},
)


def test_every_field_is_shown_in_its_python_form() -> None:
    info = TaskInfo(
        FULL,
        TaskState.ACTIVE,
        next_process_ns=1700000300_000_001_999,
        result=b"r",
        is_orphaned=True,
    )

    assert (info.id, info.queue, info.type, info.payload) == ("i", "q", "t", b"p")
    assert (info.headers, info.state) == ({"h": "v"}, "active")
    assert (info.max_retry, info.retried, info.last_error) == (25, 2, "boom")
    assert info.last_failed_at == datetime.fromtimestamp(1700000000, UTC)
    assert info.deadline == datetime.fromtimestamp(1700000100, UTC)
    assert info.completed_at == datetime.fromtimestamp(1700000200, UTC)
    assert info.next_process_at == datetime.fromtimestamp(1700000300, UTC).replace(microsecond=1)
    assert (info.timeout, info.retention) == (timedelta(seconds=30), timedelta(seconds=60))
    assert (info.group, info.is_orphaned, info.result) == ("g", True, b"r")


def test_what_is_not_set_is_none_or_empty() -> None:
    info = TaskInfo(message(), TaskState.PENDING)

    assert (info.headers, info.group, info.last_error) == ({}, "", "")
    for name in ("last_failed_at", "timeout", "deadline", "next_process_at", "retention"):
        assert getattr(info, name) is None, name
    assert (info.completed_at, info.result, info.is_orphaned) == (None, None, False)


@pytest.mark.parametrize("name", ["id", "state", "headers", "new"])
def test_an_info_is_read_only(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(TaskInfo(message(), TaskState.PENDING), name, "x")


def test_changing_the_headers_shown_changes_nothing() -> None:
    info = TaskInfo(FULL, TaskState.PENDING)

    info.headers["h"] = "changed"  # type: ignore[index]

    assert info.headers == {"h": "v"}


def test_infos_are_equal_when_all_fields_are() -> None:
    info = TaskInfo(FULL, TaskState.PENDING, next_process_ns=5000)
    same = TaskInfo(FULL, TaskState.PENDING, next_process_ns=5000)

    assert info == same
    assert hash(info) == hash(same)


@pytest.mark.parametrize(
    "other",
    [
        TaskInfo(FULL, TaskState.SCHEDULED),
        TaskInfo(message(id="j"), TaskState.PENDING),
        TaskInfo(FULL, TaskState.PENDING, next_process_ns=5000),
        TaskInfo(FULL, TaskState.PENDING, result=b""),
        TaskInfo(FULL, TaskState.PENDING, is_orphaned=True),
        "i",
    ],
)
def test_infos_differ_when_any_field_does(other: object) -> None:
    assert TaskInfo(FULL, TaskState.PENDING) != other


def test_the_repr_shows_what_is_set_and_no_more() -> None:
    info = TaskInfo(message(), TaskState.PENDING)

    assert repr(info) == "TaskInfo(id='i', queue='q', type='t', state=pending, max_retry=25)"


@given(strategies.messages(), st.sampled_from(TaskState), st.none() | strategies.payloads)
def test_a_pickled_info_is_the_same_info(
    message: TaskMessage, state: TaskState, result: bytes | None
) -> None:
    # Times that a datetime can hold; others are refused long before.
    for field in ("deadline", "last_failed_at", "completed_at", "timeout", "retention"):
        setattr(message, field, getattr(message, field) % 2**37)
    info = TaskInfo(encode(message), state, next_process_ns=7000, result=result, is_orphaned=True)

    copied = pickle.loads(pickle.dumps(info))

    assert copied == info
    assert isinstance(copied.state, TaskState)


def test_states_are_the_stored_words() -> None:
    assert [str(state) for state in TaskState] == [
        "active",
        "pending",
        "scheduled",
        "retry",
        "archived",
        "completed",
        "aggregating",
    ]


def test_a_result_is_ok_without_an_error() -> None:
    info = TaskInfo(message(), TaskState.PENDING)

    assert EnqueueResult(info=info).ok
    assert not EnqueueResult(error=TaskIDConflictError()).ok
