"""Gathers the tasks that are enqueued at the same time, and sends them together.

While one round trip is under way the next tasks gather, and go as one: the busier a
program is, the fuller its trips.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import TypeAlias

from asynq_py.broker.enqueue import Draft, Outcome
from asynq_py.broker.op import Op
from asynq_py.connection.aio import AsyncConnection

#: A task on its way, and who waits for it to be stored.
_Waiting: TypeAlias = "tuple[Draft, asyncio.Future[None]]"


class Gatherer:
    """Stores tasks for many callers at once; belongs to one event loop.

    Args:
        connection: Where to.
        store: Makes the operation that stores tasks.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        store: Callable[[Iterable[Draft]], Op[list[Outcome]]],
    ) -> None:
        self._connection = connection
        self._store = store
        self._gathered: list[_Waiting] = []
        self._sender: asyncio.Task[None] | None = None

    async def enqueue(self, draft: Draft) -> None:
        """Returns when the task is stored, raises why it was not.

        A caller who is cancelled before its task was sent gets nothing sent.
        """
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gathered.append((draft, stored))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_gathered())
        await stored

    async def finish(self) -> None:
        """Returns when nothing is on its way any more."""
        if self._sender is not None:
            await self._sender

    async def _send_gathered(self) -> None:
        """Sends what has gathered, again and again until nothing has."""
        try:
            while self._gathered:
                going = [(draft, stored) for draft, stored in self._gathered if not stored.done()]
                self._gathered = []
                await self._send(going)
        finally:
            # Only when the loop is going down is anyone left: nobody may wait for ever.
            for _, stored in self._gathered:
                stored.cancel()
            self._gathered = []
            self._sender = None

    async def _send(self, going: list[_Waiting]) -> None:
        outcomes: Sequence[Exception | None]
        try:
            outcomes = await self._connection.run(self._store([draft for draft, _ in going]))
        except Exception as error:
            outcomes = [error] * len(going)
        except BaseException:
            for _, stored in going:
                stored.cancel()
            raise
        for (_, stored), outcome in zip(going, outcomes, strict=True):
            if stored.done():
                continue
            if outcome is None:
                stored.set_result(None)
            else:
                # One error may have befallen many; each raises its own.
                own = copy(outcome)
                own.__cause__ = outcome.__cause__
                stored.set_exception(own)
