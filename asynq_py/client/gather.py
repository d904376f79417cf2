"""Gathers the tasks that are enqueued at the same time, and sends them together.

What gathers while the event loop goes once round travels together: the busier a program
is, the fuller its trips. When Redis has nothing to do, a part goes ahead, so that neither
waits for the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import TypeAlias

from asynq_py.broker.enqueue import Announced, Draft, Outcome
from asynq_py.broker.enqueue_all import CHUNK_TASKS, chunks
from asynq_py.clock import Clock
from asynq_py.connection.aio import AsyncConnection

#: A task on its way, and who waits for it to be stored.
_Waiting: TypeAlias = "tuple[Draft, asyncio.Future[None]]"

#: How many tasks go ahead when Redis has nothing to do.
AHEAD = 16


class Gatherer:
    """Stores tasks for many callers at once; belongs to one event loop.

    Args:
        connection: Where to.
        announced: See asynq_py.broker.enqueue.
        clock: Tells the time.
    """

    def __init__(self, connection: AsyncConnection, announced: Announced, clock: Clock) -> None:
        self._connection = connection
        self._announced = announced
        self._clock = clock
        self._gathered: list[_Waiting] = []
        #: How many chunks are on their way.
        self._under_way = 0
        self._all_arrived: asyncio.Future[None] | None = None

    async def enqueue(self, draft: Draft) -> None:
        """Returns when the task is stored, raises why it was not.

        A caller who is cancelled before its task was sent gets nothing sent.
        """
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[None] = loop.create_future()
        gathered = self._gathered
        gathered.append((draft, stored))
        if len(gathered) == 1:
            loop.call_soon(self._send)
        elif len(gathered) >= (CHUNK_TASKS if self._under_way else AHEAD):
            self._send()
        await stored

    async def finish(self) -> None:
        """Returns when nothing is on its way any more."""
        self._send()
        if self._under_way:
            self._all_arrived = asyncio.get_running_loop().create_future()
            await self._all_arrived

    def _send(self) -> None:
        """Sends what has gathered."""
        going = [waiting for waiting in self._gathered if not waiting[1].done()]
        self._gathered = []
        now_ns = self._clock.now_ns()
        for chunk in chunks((draft for draft, _ in going), now_ns, first=CHUNK_TASKS):
            self._under_way += 1
            members = [going[index][1] for index in chunk.indices]
            op = chunk.store(now_ns, self._announced)
            self._connection.start(op, partial(self._end, members))

    def _end(
        self,
        members: list[asyncio.Future[None]],
        outcomes: Sequence[Outcome] | None,
        error: Exception | None,
    ) -> None:
        """Tells the callers of a chunk."""
        self._under_way -= 1
        ends: Sequence[Exception | None] = outcomes or [error] * len(members)
        for stored, outcome in zip(members, ends, strict=True):
            if stored.done():
                continue
            if outcome is None:
                stored.set_result(None)
            else:
                # One error may have befallen many; each raises its own.
                own = copy(outcome)
                own.__cause__ = outcome.__cause__
                stored.set_exception(own)
        if not self._under_way and self._all_arrived is not None:
            self._all_arrived.set_result(None)
            self._all_arrived = None
