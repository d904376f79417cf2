"""Drives an operation with no Redis: its replies are written down beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from asynq_py.broker.enqueue import Draft
from asynq_py.broker.op import Command, Exchange, Op, Reply, Request, run
from asynq_py.wire.message import TaskMessage, TaskState, encode

T = TypeVar("T")
#: The replies of one round trip, what it fails with, or a function that tells.
Scripted: TypeAlias = "Sequence[Reply] | Exception | Callable[[list[Command]], list[Reply]]"


class Replayed(NamedTuple, Generic[T]):
    """How an operation went."""

    #: What it returned; None if it raised.
    result: T | None
    #: What it raised.
    error: Exception | None
    #: The commands of each round trip.
    sent: list[list[Command]]

    @property
    def words(self) -> list[list[str]]:
        """The commands' names, by round trip."""
        return [[str(command[0]) for command in commands] for commands in self.sent]


def replay(op: Op[T], replies: Sequence[Scripted]) -> Replayed[T]:
    """Runs an operation against replies, one item for each round trip and each batch
    of a stream; all must be used."""
    sent: list[list[Command]] = []
    left = list(replies)

    def answer(commands: list[Command]) -> list[Reply]:
        sent.append(commands)
        assert left, f"an unexpected round trip: {commands}"
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(commands) if callable(answer) else list(answer)

    def send(request: Request) -> list[Reply]:
        if isinstance(request, Exchange):
            return answer(list(request.commands))
        for commands in request.batches:
            request.answered(answer(list(commands)))
        return []

    result: T | None = None
    error: Exception | None = None
    try:
        result = run(op, send)
    except Exception as raised:
        if isinstance(raised, AssertionError):
            raise
        error = raised
    assert not left, f"round trips that were not made: {left}"
    return Replayed(result, error, sent)


def draft_of(
    message: TaskMessage,
    state: TaskState = TaskState.PENDING,
    at_s: int = 0,
    lock_ttl_s: int = 0,
) -> Draft:
    """The draft of a message."""
    group = message.group_key if state is TaskState.AGGREGATING else ""
    lock = message.unique_key if lock_ttl_s else ""
    return Draft(message.queue, message.id, encode(message), state, at_s, group, lock, lock_ttl_s)
