"""A turn of a worker against replies that were written down."""

from __future__ import annotations

import pytest

from asynq_py.broker.finish import Finished, Outcome
from asynq_py.broker.take import Taken, take_turn
from asynq_py.errors import BrokerError, RejectedError, UnavailableError
from asynq_py.server.order import Order
from tests.support.scripted import replay

ORDER = Order({"a": 2, "b": 1}, strict=True)
NOW_NS = 1_900_000_000 * 10**9
DONE = Finished("a", "x", Outcome.DONE)
LOST = UnavailableError("lost")
OOM = RejectedError("OOM", code="OOM")


def test_what_one_queue_does_not_have_is_asked_of_the_next() -> None:
    went = replay(
        take_turn([DONE], ORDER.queues, 3, ORDER.share, NOW_NS),
        [[[1], [0, b"1", b"m"]], [[0, b"2", b"n", b"3", b"o"]]],
    )

    assert went.words == [["EVALSHA", "EVALSHA"], ["EVALSHA"]]
    assert went.result is not None
    assert went.result.handed_in == [True]
    assert went.result.taken == [
        *(Taken("a", b"1", b"m"), Taken("b", b"2", b"n"), Taken("b", b"3", b"o")),
    ]


def test_what_was_taken_is_kept_when_the_connection_is_lost_afterwards() -> None:
    went = replay(
        take_turn([DONE], ORDER.queues, 3, ORDER.share, NOW_NS), [[[1], [0, b"1", b"m"]], LOST]
    )

    assert went.result is not None
    assert went.result.handed_in == [True]
    assert went.result.taken == [Taken("a", b"1", b"m")]
    assert went.result.refused == [LOST]


def test_what_was_handed_in_is_known_when_the_connection_is_lost_afterwards() -> None:
    went = replay(take_turn([DONE], ORDER.queues, 3, ORDER.share, NOW_NS), [[[1], [0]], LOST])

    assert went.result is not None
    assert (went.result.handed_in, went.result.refused) == ([True], [LOST])


@pytest.mark.parametrize("finished", [[], [DONE]])
def test_a_connection_that_is_lost_at_once_is_raised(finished: list[Finished]) -> None:
    went = replay(take_turn(finished, ORDER.queues, 3, ORDER.share, NOW_NS), [LOST])

    assert went.error is LOST


def test_a_refusal_at_one_queue_does_not_keep_the_other_back() -> None:
    went = replay(take_turn([], ORDER.queues, 2, ORDER.share, NOW_NS), [[OOM], [[0, b"1", b"m"]]])

    assert went.result is not None
    assert went.result.taken == [Taken("b", b"1", b"m")]
    assert went.result.refused == [OOM]


def test_a_refused_hand_in_does_not_keep_tasks_from_being_taken() -> None:
    went = replay(take_turn([DONE], ORDER.queues, 1, ORDER.share, NOW_NS), [[OOM, [0, b"1", b"m"]]])

    assert went.result is not None
    assert went.result.handed_in == [OOM]
    assert went.result.taken == [Taken("a", b"1", b"m")]


def test_ids_without_a_message_are_counted_and_count_as_found() -> None:
    went = replay(
        take_turn([], ORDER.queues, 2, ORDER.share, NOW_NS),
        [[[2]], [[1, b"1", b"m"]], [[0]], [[0]]],
    )

    assert went.result is not None
    assert went.result.ghosts == {"a": 2, "b": 1} or went.result.ghosts == {"a": 3}


@pytest.mark.parametrize("reply", [None, 5, [b"x"], [0, b"odd"]])
def test_a_reply_that_means_nothing_is_an_error(reply: object) -> None:
    went = replay(take_turn([], ORDER.queues, 1, ORDER.share, NOW_NS), [[reply]])

    assert "take.lua answered" in str(went.error)


@pytest.mark.parametrize("reply", [None, 5, [1, 1], []])
def test_a_hand_in_that_is_answered_with_nonsense_is_an_error(reply: object) -> None:
    went = replay(take_turn([DONE], ORDER.queues, 0, ORDER.share, NOW_NS), [[reply]])

    assert went.result is not None
    (answer,) = went.result.handed_in
    assert isinstance(answer, BrokerError)
