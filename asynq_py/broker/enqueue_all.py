"""Many tasks at once: which go together, and what became of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from asynq_py.broker.enqueue import (
    Announced,
    Draft,
    Fence,
    Outcome,
    command_for,
    describe,
    is_announced,
    outcomes,
    store,
)
from asynq_py.broker.op import Command, Commands, Op, Reply, Stream, checked
from asynq_py.broker.scripts import is_unknown_script
from asynq_py.errors import BrokerError, UnavailableError

#: The most tasks, and about the most bytes, that one script call stores: a few
#: milliseconds in which Redis serves nobody else.
CHUNK_TASKS = 100
CHUNK_BYTES = 1 << 20
#: The first chunk of a batch is small, lest Redis wait long for it; each next one is twice
#: as large.
FIRST_CHUNK_TASKS = 25


def enqueue_all(
    drafts: Iterable[Draft], *, now_ns: int, announced: Announced, fence: Fence | None = None
) -> Op[list[Outcome]]:
    """Stores many tasks as if one after another; the outcomes are in their order.

    Tasks of one queue keep their order; each goes its own way, so some may be stored and
    others not. Once the connection is lost nothing more is sent. ``drafts`` is read bit by
    bit, while Redis works on what was sent before. With a fence all of them are ticks.
    """
    batch = _Batch(chunks(drafts, now_ns, fence=fence), now_ns, announced)
    while batch.lost is None:
        chunk = batch.take_refused()
        if chunk is None:
            following = batch.peek()
            if following is None:
                break
            if not is_announced(following.queue, now_ns, announced):
                chunk = batch.take()
        try:
            if chunk is None:
                yield Stream("EVALSHA", batch.batches(), batch.answered)
            else:
                # Alone: whether the queue can be announced, and the server has the script,
                # is seen before others follow.
                batch.settle(chunk, (yield from chunk.store(now_ns, announced)))
        except BrokerError as error:
            batch.fail(error)
    return batch.outcomes()


class Chunk(NamedTuple):
    """Tasks of one queue that go in one script call."""

    #: Where the tasks stand in the whole batch.
    indices: list[int]
    drafts: list[Draft]
    command: Command

    @property
    def queue(self) -> str:
        """Whose tasks they are."""
        return self.drafts[0].queue

    def store(self, now_ns: int, announced: Announced) -> Op[list[Outcome]]:
        """See :func:`asynq_py.broker.enqueue.store`."""
        return store(self.drafts, self.command, now_ns, announced)


def chunks(
    drafts: Iterable[Draft],
    now_ns: int,
    *,
    first: int = FIRST_CHUNK_TASKS,
    fence: Fence | None = None,
) -> Iterator[Chunk]:
    """The tasks by queue, in pieces that are not too many and not too large.

    Args:
        drafts: The tasks.
        now_ns: Unix nanoseconds.
        first: The most tasks of a queue's first piece.
        fence: In whose name, if they are ticks.
    """
    filling: dict[str, tuple[list[int], list[Draft]]] = {}
    sizes: dict[str, int] = {}
    most: dict[str, int] = {}
    for index, draft in enumerate(drafts):
        queue = draft.queue
        if queue not in filling:
            filling[queue] = ([], [])
            sizes[queue] = 0
            size = 2 * most[queue] if queue in most else first
            most[queue] = min(size, CHUNK_TASKS)
        indices, members = filling[queue]
        indices.append(index)
        members.append(draft)
        sizes[queue] += len(draft.data)
        if len(members) >= most[queue] or sizes[queue] >= CHUNK_BYTES:
            del filling[queue]
            yield Chunk(indices, members, command_for(members, now_ns, fence))
    for indices, members in filling.values():
        yield Chunk(indices, members, command_for(members, now_ns, fence))


class _Batch:
    """The chunks of a batch on their way, and what became of them."""

    def __init__(self, chunks: Iterator[Chunk], now_ns: int, announced: Announced) -> None:
        self._chunks = chunks
        self._now_ns = now_ns
        self._announced = announced
        self._next: Chunk | None = None
        #: Sent, but not answered.
        self._under_way: deque[Chunk] = deque()
        self._refused: list[Chunk] = []
        self._outcomes: dict[int, Outcome] = {}
        #: How the connection was lost.
        self.lost: UnavailableError | None = None

    def peek(self) -> Chunk | None:
        """The chunk that is to go next."""
        if self._next is None:
            self._next = next(self._chunks, None)
        return self._next

    def take(self) -> Chunk:
        """Has the next chunk under way."""
        chunk, self._next = self._next, None
        assert chunk is not None
        self._under_way.append(chunk)
        return chunk

    def batches(self) -> Iterator[Commands]:
        """Takes the next chunks, as long as their queues are known."""
        while (chunk := self.peek()) and is_announced(chunk.queue, self._now_ns, self._announced):
            yield [self.take().command]

    def answered(self, replies: list[Reply]) -> None:
        """Notes the reply to the chunk that is under way for the longest time."""
        (reply,) = replies
        chunk = self._under_way[0]
        if is_unknown_script(reply):
            self._refused.append(self._under_way.popleft())
            return
        try:
            self.settle(chunk, outcomes(chunk.drafts, checked(reply)))
        except BrokerError as error:
            self.settle(chunk, [error] * len(chunk.drafts))

    def take_refused(self) -> Chunk | None:
        """Has a chunk under way again for which the server had no script."""
        if not self._refused:
            return None
        self._under_way.append(self._refused.pop(0))
        return self._under_way[-1]

    def settle(self, chunk: Chunk, results: Sequence[Outcome]) -> None:
        """Notes what became of a chunk."""
        self._under_way.remove(chunk)
        self._outcomes.update(zip(chunk.indices, results, strict=True))

    def fail(self, error: BrokerError) -> None:
        """Notes that what is under way failed."""
        if isinstance(error, UnavailableError):
            self.lost = error
        while self._under_way:
            chunk = self._under_way[0]
            self.settle(chunk, [error] * len(chunk.drafts))

    def outcomes(self) -> list[Outcome]:
        """What became of all tasks; those that did not go were not stored."""
        left = list(self._refused)
        while chunk := self.peek():
            left.append(self.take())
        for chunk in left:
            self._outcomes.update(
                (index, _not_sent(draft))
                for index, draft in zip(chunk.indices, chunk.drafts, strict=True)
            )
        return [self._outcomes[index] for index in range(len(self._outcomes))]


def _not_sent(draft: Draft) -> UnavailableError:
    return UnavailableError(
        f"{describe(draft)}: not sent, the connection was lost before", written=False
    )
