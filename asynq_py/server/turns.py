"""Taking tasks and handing them in, together, in turns; several of them may be under way.

It knows how many slots are free, and leaves Redis alone for a while when it does not answer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial

from asynq_py.broker.finish import Finished, finish
from asynq_py.broker.take import LEASE_S, Taken, Turn, take_turn
from asynq_py.clock import Clock
from asynq_py.connection.aio import AsyncConnection
from asynq_py.errors import BrokerError, RejectedError
from asynq_py.server.config import ServerConfig
from asynq_py.server.job import Job
from asynq_py.server.order import Order
from asynq_py.server.quiet import Quiet

#: How many turns may be under way.
TURNS = 4
#: How soon an empty queue is looked at again after there was something, seconds.
SOON_S = 0.002
#: The longest pause after Redis failed, seconds.
LONGEST_PAUSE_S = 5.0


class Turns:
    """Belongs to one event loop.

    Args:
        connection: The way to Redis.
        config: How many slots there are, and where to take from.
        clock: Tells the time.
        quiet: Where messages go.
        begin: Told of a task that is ours, and until when, by the monotonic clock.
        settled: Told of a task that is ours no more; and what became of it, if it was handed in.
        changed: Told that something is over.
    """

    def __init__(
        self,
        connection: AsyncConnection,
        config: ServerConfig,
        clock: Clock,
        quiet: Quiet,
        begin: Callable[[Taken, float], None],
        settled: Callable[[Job, Finished | None], None],
        changed: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._quiet = quiet
        self._begin = begin
        self._settled = settled
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._order = Order(config.queues, strict=config.strict_priority)
        self._slots = config.concurrency
        #: So many handlers are done before a turn goes without waiting for others.
        self._batch = max(1, min(64, config.concurrency // 2))
        self._longest_wait_s = config.seconds("task_check_interval")
        #: Slots that are taken, and slots that turns under way may take.
        self._busy = 0
        self._reserved = 0
        self._under_way = 0
        self._finished: list[tuple[Job, Finished]] = []
        self._is_due = False
        self._is_taking = False
        #: When there was a task last, by the loop's clock.
        self._taken_at = self._loop.time()
        self._poll: asyncio.TimerHandle | None = None
        self._failures = 0
        #: While Redis is left alone, after it did not answer.
        self._pause: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no slot is taken, and no turn under way."""
        return not self._busy and not self._under_way

    def start(self) -> None:
        """Begins to take tasks."""
        self._is_taking = True
        self._turn()

    def stop(self) -> None:
        """Takes no more, but for what a turn under way brings."""
        self._is_taking = False
        if self._poll is not None:
            self._poll.cancel()

    def take_slot(self) -> None:
        """A task begins."""
        self._busy += 1

    def free_slot(self) -> None:
        """A handler is done."""
        self._busy -= 1
        if len(self._finished) >= self._batch:
            self._turn()
        else:
            self.turn_soon()

    def hand_in(self, job: Job, finished: Finished) -> None:
        """Hands a task in, soon."""
        self._finished.append((job, finished))
        self.turn_soon()

    def turn_soon(self) -> None:
        """Has a turn follow what the loop is at."""
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._is_due = False
        if self._under_way >= TURNS or self._pause is not None:
            return  # what ends that begins another
        finished, self._finished = self._finished, []
        now = time.monotonic()
        if finished:
            finished = self._still_ours(finished, now)
        free = self._slots - self._busy - self._reserved if self._is_taking else 0
        if free == 0 and not finished:
            return
        self._reserved += free
        self._under_way += 1
        op = take_turn(
            [each for _, each in finished],
            self._order.queues,
            free,
            self._order.share,
            self._clock.now_ns(),
        )
        self._connection.start(op, partial(self._turned, finished, free, now + LEASE_S))

    def _turned(
        self,
        finished: list[tuple[Job, Finished]],
        free: int,
        lease_until: float,
        turn: Turn | None,
        error: Exception | None,
    ) -> None:
        self._under_way -= 1
        self._reserved -= free
        self._changed()
        if turn is None:
            if not isinstance(error, RejectedError):
                for job, _ in finished:
                    job.is_in_doubt = True
            self._finished += finished
            self._rest(error or RuntimeError("a turn without an end"))
            return
        self._recovered()
        for each, result in zip(finished, turn.handed_in, strict=True):
            self._handed_in(*each, result)
        for queue, count in turn.ghosts.items():
            self._quiet.warning(f"{count} IDs without a message thrown away from queue {queue!r}")
        for taken in turn.taken:
            self._begin(taken, lease_until)
        for refusal in turn.refused:
            self._quiet.warning(f"tasks cannot be taken: {refusal}")
        if self._finished:
            self.turn_soon()
        if free:
            self._after_taking(len(turn.taken), free)

    def _after_taking(self, taken: int, free: int) -> None:
        now = self._loop.time()
        if taken:
            self._taken_at = now
        if taken == free:
            self.turn_soon()  # there may be more slots by now
            return
        # As long as there was no task, however many turns have seen that.
        wait_s = min(max(SOON_S, now - self._taken_at), self._longest_wait_s)
        # Not all servers at once, and as often as Asynq in the long run.
        self._poll_in(wait_s / 2 + random.random() * wait_s)

    def _poll_in(self, seconds: float) -> None:
        if self._poll is not None:
            self._poll.cancel()
        self._poll = self._loop.call_later(seconds, self._poll_now) if self._is_taking else None

    def _poll_now(self) -> None:
        self._poll = None
        self._turn()

    def _rest(self, error: Exception) -> None:
        """Redis did not answer: nothing is asked of it for a while, whoever wants to."""
        self._failures += 1
        if isinstance(error, BrokerError):
            self._quiet.warning(f"tasks are neither taken nor handed in: {error}")
        else:
            self._quiet.fault("a fault of asynq_py", error)
        if self._pause is None:
            self._pause = self._loop.call_later(_pause_s(self._failures), self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        self._turn()

    def _recovered(self) -> None:
        if self._failures:
            self._failures = 0
            self._quiet.info("Redis answers again")

    def _still_ours(
        self, finished: list[tuple[Job, Finished]], now: float
    ) -> list[tuple[Job, Finished]]:
        ours = []
        for job, each in finished:
            if job.lease_until >= now:
                ours.append((job, each))
            else:
                self._quiet.warning(
                    f"the lease of {job.task_id!r} of queue {job.queue!r} ended before it could be"
                    " handed in: it will be handled again"
                )
                self._settled(job, None)
        return ours

    def _handed_in(self, job: Job, finished: Finished, result: bool | BrokerError) -> None:
        if isinstance(result, BrokerError):
            self._quiet.warning(f"{job.task_id!r} of queue {job.queue!r}: {result}")
            self._loop.call_later(_pause_s(job.refusals), self._hand_in_alone, job, finished)
            job.refusals += 1
            return
        # Not at work any more: somebody deleted it, or it was an attempt whose answer was lost.
        self._settled(job, finished if result or job.is_in_doubt else None)
        self._changed()

    def _hand_in_alone(self, job: Job, finished: Finished) -> None:
        """Tries again what was refused, by itself: it must not keep others back."""

        def told(results: list[bool | BrokerError] | None, error: Exception | None) -> None:
            if results is not None:
                self._handed_in(job, finished, results[0])
            elif isinstance(error, BrokerError):
                job.is_in_doubt = job.is_in_doubt or not isinstance(error, RejectedError)
                self._handed_in(job, finished, error)

        if self._still_ours([(job, finished)], time.monotonic()):
            self._connection.start(finish([finished], self._clock.now_ns()), told)


def _pause_s(failures: int) -> float:
    """Full jitter, lest all servers come back at once."""
    return random.uniform(0.01, min(LONGEST_PAUSE_S, 0.1 * 2.0 ** min(failures, 8)))
