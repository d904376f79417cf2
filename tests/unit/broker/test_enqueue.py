"""Enqueueing, by scripted replies: what is sent when, and what each answer means."""

from __future__ import annotations

from typing import Any

import pytest

from asynq_py import (
    BrokerError,
    DuplicateTaskError,
    OverlapError,
    RejectedError,
    RunsExhaustedError,
    TaskIDConflictError,
    TickTakenError,
    UnavailableError,
)
from asynq_py.broker.enqueue import (
    ANNOUNCE_EVERY_NS,
    Announced,
    Draft,
    enqueue,
)
from asynq_py.broker.enqueue_all import enqueue_all
from asynq_py.broker.op import Command
from asynq_py.broker.scripts import ENQUEUE
from asynq_py.wire.message import TaskMessage, TaskState, encode
from tests.support.scripted import draft_of, replay

NOW = 1_700_000_000_000_000_000
UNKNOWN = RejectedError("NOSCRIPT No matching script", code="NOSCRIPT")
LOST = UnavailableError("gone", written=None)


def draft(task_id: str = "a", queue: str = "default", payload: bytes = b"") -> Draft:
    """A pending task."""
    message = TaskMessage(type="t", id=task_id, queue=queue, payload=payload)
    return draft_of(message)


def known(*queues: str) -> Announced:
    """Queues that were announced a moment ago."""
    return dict.fromkeys(queues or ("default",), NOW - 1)


def stored(commands: list[Command]) -> list[Any]:
    """Answers as a server that stores everything."""
    return [1 if c[0] == "SADD" else [1] * (len(ids(c))) for c in commands]


def ids(command: Command) -> list[str]:
    """The IDs of the tasks in one script call."""
    assert command[0] in ("EVALSHA", "EVAL")
    args = list(command[3 + int(command[2]) + 3 :])
    found = []
    while args:
        state, _, task_id, _ = args[:4]
        found.append(str(task_id))
        del args[: {"pending": 4, "scheduled": 5, "aggregating": 6}[str(state)]]
    return found


def test_a_pending_task_is_sent_in_the_scripts_form() -> None:
    one = draft(payload=b"p")

    played = replay(enqueue(one, now_ns=NOW, announced=known()), [[[1]]])

    assert played.error is None
    assert played.sent == [
        [
            (
                "EVALSHA",
                ENQUEUE.sha,
                4,
                "asynq:{default}:pending",
                "asynq:{default}:py:ticks",
                "asynq:{default}:py:terms",
                "asynq:{default}:t:a",
                NOW,
                "",
                "",
                "pending",
                "0",
                "a",
                encode(one.message),
            )
        ]
    ]


def test_locks_and_groups_add_their_keys_in_the_order_of_the_tasks() -> None:
    lock = "asynq:{default}:unique:t:"
    drafts = [
        draft_of(
            TaskMessage(id="a", queue="default", unique_key=lock), TaskState.SCHEDULED, 99, 60
        ),
        draft_of(TaskMessage(id="b", queue="default", group_key="g"), TaskState.AGGREGATING, 98),
        # Scheduled with a group: it waits alone.
        draft_of(TaskMessage(id="c", queue="default", group_key="g"), TaskState.SCHEDULED, 97),
        draft_of(
            TaskMessage(id="d", queue="default", group_key="g", unique_key=lock),
            TaskState.AGGREGATING,
            96,
            50,
        ),
    ]

    played = replay(enqueue_all(drafts, now_ns=NOW, announced=known()), [[[1] * 4]])

    ((command,),) = played.sent
    assert command[2] == 15
    assert list(command[3:18]) == [
        "asynq:{default}:pending",
        "asynq:{default}:py:ticks",
        "asynq:{default}:py:terms",
        "asynq:{default}:t:a",
        lock,
        "asynq:{default}:scheduled",
        "asynq:{default}:t:b",
        "asynq:{default}:g:g",
        "asynq:{default}:groups",
        "asynq:{default}:t:c",
        "asynq:{default}:scheduled",
        "asynq:{default}:t:d",
        lock,
        "asynq:{default}:g:g",
        "asynq:{default}:groups",
    ]
    messages = [encode(draft.message) for draft in drafts]
    assert list(command[18:]) == [
        *(NOW, "", ""),
        *("scheduled", 60, "a", messages[0], 99),
        *("aggregating", "0", "b", messages[1], 98, "g"),
        *("scheduled", "0", "c", messages[2], 97),
        *("aggregating", 50, "d", messages[3], 96, "g"),
    ]


def test_a_script_that_the_server_has_lost_is_sent_whole() -> None:
    played = replay(enqueue(draft(), now_ns=NOW, announced=known()), [[UNKNOWN], [[1]]])

    assert played.error is None
    assert played.words == [["EVALSHA"], ["EVAL"]]
    (by_hash,), (whole,) = played.sent
    assert whole == ("EVAL", ENQUEUE.text, *by_hash[2:])


@pytest.mark.parametrize(
    ("code", "error", "written"),
    [
        (0, TaskIDConflictError, False),
        (-1, DuplicateTaskError, False),
        (b"WRONGTYPE Operation against a key", RejectedError, False),
        (2, TickTakenError, False),
        (3, BrokerError, None),
        (-2, TickTakenError, False),
        (-3, OverlapError, False),
        (-4, RunsExhaustedError, False),
        (-5, BrokerError, None),
        (None, BrokerError, None),
        ("1", BrokerError, None),
        ([1], BrokerError, None),
    ],
)
def test_every_answer_but_one_is_an_error(
    code: object, error: type[Exception], written: bool | None
) -> None:
    played = replay(enqueue(draft(), now_ns=NOW, announced=known()), [[[code]]])

    assert type(played.error) is error
    assert played.error.written is written  # type: ignore[union-attr]
    assert 'enqueue "a" on "default"' in str(played.error)


@pytest.mark.parametrize("reply", [None, 1, b"OK", [], [1, 1]])
def test_an_answer_of_another_shape_is_an_error(reply: object) -> None:
    played = replay(enqueue(draft(), now_ns=NOW, announced=known()), [[reply]])

    assert type(played.error) is BrokerError
    assert played.error.written is None


def test_a_conflict_carries_the_queue_and_the_id() -> None:
    played = replay(enqueue(draft("i", "q"), now_ns=NOW, announced=known("q")), [[[0]]])

    assert isinstance(played.error, TaskIDConflictError)
    assert (played.error.queue, played.error.task_id) == ("q", "i")


def test_a_queue_is_announced_first_and_alone() -> None:
    announced: Announced = {}

    played = replay(enqueue(draft(), now_ns=NOW, announced=announced), [[1], [[1]]])

    assert played.sent[0] == [("SADD", "asynq:queues", "default")]
    assert played.words == [["SADD"], ["EVALSHA"]]
    assert announced == {"default": NOW}


def test_a_queue_announced_of_late_is_not_announced_again() -> None:
    announced = {"default": NOW - ANNOUNCE_EVERY_NS + 1}

    played = replay(enqueue(draft(), now_ns=NOW, announced=announced), [[[1]]])

    assert played.words == [["EVALSHA"]]


@pytest.mark.parametrize("last", [NOW - ANNOUNCE_EVERY_NS, NOW - 10**15, NOW + 1])
def test_a_queue_announced_long_ago_is_announced_in_the_same_round_trip(last: int) -> None:
    announced = {"default": last}

    played = replay(enqueue(draft(), now_ns=NOW, announced=announced), [[0, [1]]])

    assert played.words == [["SADD", "EVALSHA"]]
    assert announced == {"default": NOW}


def test_a_first_announcement_that_is_refused_stores_nothing() -> None:
    announced: Announced = {}
    refused = RejectedError("OOM full", code="OOM")

    played = replay(enqueue(draft(), now_ns=NOW, announced=announced), [[refused]])

    assert played.error is refused
    assert announced == {}


def test_a_first_announcement_that_is_lost_surely_stored_nothing() -> None:
    played = replay(
        enqueue(draft(), now_ns=NOW, announced={}), [UnavailableError("gone", written=None)]
    )

    assert isinstance(played.error, UnavailableError)
    assert played.error.written is False


def test_a_later_announcement_that_is_refused_is_forgotten_and_the_task_stored() -> None:
    announced = {"default": NOW - ANNOUNCE_EVERY_NS}
    refused = RejectedError("OOM full", code="OOM")

    played = replay(enqueue(draft(), now_ns=NOW, announced=announced), [[refused, [1]]])

    assert played.error is None
    assert announced == {}


def test_a_later_announcement_that_is_lost_is_forgotten() -> None:
    announced = {"default": NOW - ANNOUNCE_EVERY_NS}

    played = replay(enqueue(draft(), now_ns=NOW, announced=announced), [LOST])

    assert played.error is LOST
    assert announced == {}
