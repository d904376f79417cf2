"""Enqueueing many, by scripted replies: what goes together, and what became of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynq_py import RejectedError, TaskIDConflictError, UnavailableError
from asynq_py.broker import enqueue_all as module
from asynq_py.broker.enqueue import ANNOUNCE_EVERY_NS, Announced, Draft
from asynq_py.broker.enqueue_all import (
    CHUNK_BYTES,
    CHUNK_TASKS,
    FIRST_CHUNK_TASKS,
    enqueue_all,
)
from asynq_py.broker.op import Command, Exchange, Stream
from asynq_py.wire.message import TaskMessage
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


def test_no_tasks_send_nothing() -> None:
    assert replay(enqueue_all([], now_ns=NOW, announced={}), []).result == []


def test_a_batch_is_cut_by_the_number_of_tasks() -> None:
    drafts = [draft(str(i)) for i in range(3 * FIRST_CHUNK_TASKS + CHUNK_TASKS + 1)]

    played = replay(enqueue_all(drafts, now_ns=NOW, announced=known()), [stored] * 4)

    assert [len(ids(command)) for (command,) in played.sent] == [
        FIRST_CHUNK_TASKS,
        2 * FIRST_CHUNK_TASKS,
        CHUNK_TASKS,
        1,
    ]
    assert played.result == [None] * len(drafts)


def test_a_batch_is_cut_by_the_bytes_of_its_messages() -> None:
    # A third with what is around a payload, and a little less than a third without.
    third = bytes(CHUNK_BYTES // 3 - 10)
    drafts = [draft(str(i), payload=third) for i in range(8)]

    played = replay(enqueue_all(drafts, now_ns=NOW, announced=known()), [stored] * 3)

    assert [len(ids(command)) for (command,) in played.sent] == [3, 3, 2]


def test_a_payload_larger_than_a_chunk_goes_alone_or_last() -> None:
    drafts = [draft("a"), draft("b", payload=bytes(CHUNK_BYTES)), draft("c")]

    played = replay(enqueue_all(drafts, now_ns=NOW, announced=known()), [stored] * 2)

    assert [ids(command) for (command,) in played.sent] == [["a", "b"], ["c"]]


@given(st.lists(st.sampled_from(["q1", "q2", "q3"]), max_size=40), st.integers(1, 5))
def test_tasks_of_a_queue_keep_their_order_and_outcomes_that_of_the_batch(
    queues: list[str], most: int
) -> None:
    drafts = [draft(str(i), queue) for i, queue in enumerate(queues)]
    sent: dict[str, list[int]] = {queue: [] for queue in queues}

    def answer(commands: list[Command]) -> list[Any]:
        (command,) = commands
        queue = str(command[3]).removeprefix("asynq:{").removesuffix("}:pending")
        numbers = [int(task_id) for task_id in ids(command)]
        sent[queue] += numbers
        # Every third task is a conflict, so that the outcomes tell the tasks apart.
        return [[0 if number % 3 == 0 else 1 for number in numbers]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK_TASKS", most)
        trips = sum(-(-count // most) for count in Counter(queues).values())
        announced = known(*queues) if queues else {}
        played = replay(enqueue_all(drafts, now_ns=NOW, announced=announced), [answer] * trips)

    assert all(numbers == sorted(numbers) for numbers in sent.values())
    assert played.result is not None
    assert [outcome is None for outcome in played.result] == [
        number % 3 != 0 for number in range(len(queues))
    ]
    for number, outcome in enumerate(played.result):
        if outcome is not None:
            assert isinstance(outcome, TaskIDConflictError)
            assert outcome.task_id == str(number)


def test_tasks_are_prepared_while_redis_works() -> None:
    prepared: list[int] = []

    def drafts() -> Iterator[Draft]:
        for number in range(3 * FIRST_CHUNK_TASKS):
            prepared.append(number)
            yield draft(str(number))

    stream = next(enqueue_all(drafts(), now_ns=NOW, announced=known()))

    assert isinstance(stream, Stream)
    assert len(prepared) == FIRST_CHUNK_TASKS
    next(stream.batches)
    assert len(prepared) == FIRST_CHUNK_TASKS
    next(stream.batches)
    assert len(prepared) == 3 * FIRST_CHUNK_TASKS


def test_what_is_not_answered_when_the_connection_is_lost_is_not_known() -> None:
    sizes = [FIRST_CHUNK_TASKS, 2 * FIRST_CHUNK_TASKS, CHUNK_TASKS, CHUNK_TASKS]
    drafts = [draft(str(i)) for i in range(sum(sizes))]
    op = enqueue_all(drafts, now_ns=NOW, announced=known())

    stream = next(op)
    assert isinstance(stream, Stream)
    sent = [next(stream.batches) for _ in range(3)]
    stream.answered(stored(list(sent[0])))
    with pytest.raises(StopIteration) as end:
        op.throw(LOST)

    told = iter(end.value.value)
    first, second, third, fourth = ([next(told) for _ in range(size)] for size in sizes)
    assert first == [None] * len(first)
    assert second + third == [LOST] * len(second + third)
    assert {type(error) for error in fourth} == {UnavailableError}
    assert {error.written for error in fourth} == {False}
    assert all("not sent" in str(error) for error in fourth)


def test_once_the_connection_is_lost_nothing_more_is_sent() -> None:
    drafts = [draft(str(i)) for i in range(4 * FIRST_CHUNK_TASKS)]

    played = replay(enqueue_all(drafts, now_ns=NOW, announced=known()), [stored, LOST])

    assert played.result is not None
    assert [result is None for result in played.result[: FIRST_CHUNK_TASKS + 1]] == [
        *([True] * FIRST_CHUNK_TASKS),
        False,
    ]


def test_chunks_without_a_script_are_sent_whole_and_in_order() -> None:
    drafts = [draft(str(i)) for i in range(3 * FIRST_CHUNK_TASKS)]

    played = replay(
        enqueue_all(drafts, now_ns=NOW, announced=known()),
        [[UNKNOWN], [UNKNOWN], [UNKNOWN], stored, [UNKNOWN], stored],
    )

    assert [words for (words,) in played.words] == [
        *(["EVALSHA"] * 2),
        *(["EVALSHA", "EVAL"] * 2),
    ]
    assert played.result == [None] * len(drafts)
    whole = [id for (command,) in played.sent if command[0] == "EVAL" for id in ids(command)]
    assert whole == [str(i) for i in range(len(drafts))]


def test_chunks_without_a_script_that_are_lost_are_not_stored() -> None:
    drafts = [draft(str(i)) for i in range(3 * FIRST_CHUNK_TASKS)]

    played = replay(
        enqueue_all(drafts, now_ns=NOW, announced=known()), [[UNKNOWN], [UNKNOWN], LOST]
    )

    assert played.result is not None
    assert [error.written for error in played.result if error] == [
        *([None] * FIRST_CHUNK_TASKS),
        *([False] * 2 * FIRST_CHUNK_TASKS),
    ]


@pytest.mark.parametrize("announced", [{}, {"default": NOW - ANNOUNCE_EVERY_NS}])
def test_the_first_chunk_of_a_queue_that_is_not_announced_goes_alone(announced: Announced) -> None:
    op = enqueue_all(
        [draft(str(i)) for i in range(3 * FIRST_CHUNK_TASKS)], now_ns=NOW, announced=announced
    )

    request = next(op)
    while isinstance(request, Exchange):
        request = op.send(stored(list(request.commands)))

    assert len(ids(next(request.batches)[0])) == 2 * FIRST_CHUNK_TASKS
    assert announced == {"default": NOW}


def test_a_refused_chunk_does_not_stop_the_others() -> None:
    drafts = [draft("a", "q1"), draft("b", "q2")]
    refused = RejectedError("OOM full", code="OOM")

    played = replay(
        enqueue_all(drafts, now_ns=NOW, announced=known("q1", "q2")), [[refused], [[1]]]
    )

    assert played.result == [refused, None]


def test_a_queue_that_cannot_be_announced_does_not_stop_the_others() -> None:
    drafts = [draft("a", "q1"), draft("b", "q2")]
    refused = RejectedError("NOPERM no", code="NOPERM")

    played = replay(enqueue_all(drafts, now_ns=NOW, announced=known("q2")), [[refused], [[1]]])

    assert played.result == [refused, None]
    assert played.words == [["SADD"], ["EVALSHA"]]
