"""A page is read in two looks, between which tasks move."""

from __future__ import annotations

from typing import Any

import pytest

from asynq_py.broker.listing import BATCH, Placed, list_tasks
from asynq_py.broker.op import Op
from asynq_py.errors import QueueNotFoundError, RejectedError, WireError
from asynq_py.wire.message import TaskState
from tests.support.scripted import replay

Seen = tuple[Placed, bytes | int, bytes | None]


def listing(state: TaskState, count: int = 10) -> Op[list[Seen]]:
    return list_tasks("q", state, None, 0, count, lambda *seen: seen)


def test_the_oldest_of_a_list_come_first() -> None:
    pages: list[Any] = [[1, [b"new", b"old"]], [[b"m-old", None], [b"m-new", b"result"]]]

    played = replay(listing(TaskState.PENDING), pages)

    assert played.result == [
        ((b"old", None), b"m-old", None),
        ((b"new", None), b"m-new", b"result"),
    ]
    assert played.sent[0][1] == ("LRANGE", "asynq:{q}:pending", -10, -1)
    assert played.sent[1][0] == ("HMGET", b"asynq:{q}:t:old", "msg", "result")


@pytest.mark.parametrize(
    "page", [[b"a", b"12", b"b", b"13"], [[b"a", 12.0], [b"b", 13.0]]], ids=["RESP2", "RESP3"]
)
def test_the_members_of_a_sorted_set_have_their_scores(page: list[Any]) -> None:
    played = replay(listing(TaskState.RETRY), [[1, page], [[b"m", None], [b"n", None]]])

    assert played.result is not None
    assert [float(score or 0) for (_, score), _, _ in played.result] == [12.0, 13.0]


def test_a_long_page_is_read_in_batches() -> None:
    ids = [b"%d" % n for n in range(2 * BATCH + 1)]
    batches = [[[b"m", None]] * size for size in (BATCH, BATCH, 1)]

    played = replay(listing(TaskState.ACTIVE, len(ids)), [[1, ids], *batches])

    assert [place[0] for place, _, _ in played.result or ()] == ids[::-1]


def test_a_task_that_left_the_page_meanwhile_is_left_out() -> None:
    played = replay(
        listing(TaskState.PENDING),
        [
            [1, [b"c", b"b", b"a"]],
            [[b"m-a", None], [None, None], [b"m-c", None]],
            [[b"d", b"c"], 0, [None, None]],
        ],
    )

    assert [place[0] for place, _, _ in played.result or ()] == [b"a", b"c"]


def test_a_task_that_is_still_there_is_damaged_or_was_written_anew() -> None:
    wrong_type = RejectedError("HMGET: WRONGTYPE", code="WRONGTYPE")
    page = [b"d", b"c", b"b", b"a"]
    nothing = [None, None]
    played = replay(
        listing(TaskState.PENDING),
        [
            [1, page],
            [nothing, nothing, wrong_type, nothing],
            [page, 0, nothing, 1, [None, b"result"], 1, wrong_type, 1, [b"m-d", None]],
        ],
    )

    assert played.result == [
        ((b"a", None), 0, None),
        ((b"b", None), 1, b"result"),
        ((b"c", None), 0, None),
        ((b"d", None), b"m-d", None),
    ]


def test_an_unknown_queue_is_refused() -> None:
    assert isinstance(replay(listing(TaskState.PENDING), [[0, []]]).error, QueueNotFoundError)


def test_a_page_of_a_wrong_type_is_refused() -> None:
    refused = RejectedError("LRANGE: WRONGTYPE", code="WRONGTYPE")

    assert replay(listing(TaskState.PENDING), [[1, refused]]).error is refused
    assert isinstance(replay(listing(TaskState.PENDING), [[1, b"?"]]).error, WireError)
