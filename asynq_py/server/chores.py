"""What a server does now and then beside handling tasks: each chore on a thread of its own.

    forwarder   makes tasks pending that are due
    recoverer   takes tasks up again whose worker died, and heals what is damaged at work
    janitor     deletes completed tasks whose retention is over
    doctor      asks Redis whether it is there, for the health check

Source: asynq v0.26.0, forwarder.go, recoverer.go, janitor.go, healthcheck.go.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from asynq_py.broker.aggregation import reclaim_stale_sets
from asynq_py.broker.diagnosis import Suspect, diagnose
from asynq_py.broker.due import delete_expired, forward
from asynq_py.broker.finish import Finished, Outcome, finish
from asynq_py.broker.leases import PAGE, Expired, expired_leases, without_lease
from asynq_py.broker.op import call
from asynq_py.broker.quarantine import quarantine
from asynq_py.broker.steering import trim_archive
from asynq_py.clock import NANOSECONDS, Clock
from asynq_py.errors import AsynqError, BrokerError, LeaseLostError, WireError
from asynq_py.server.config import ServerConfig
from asynq_py.server.quiet import Quiet
from asynq_py.server.verdict import Judge
from asynq_py.wire.message import TaskMessage, decode

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection

#: How often leases are looked at, seconds; and how long one must be over, for clocks differ.
RECOVER_EVERY_S = 60.0
OVERDUE_S = 30
#: The longest pause between attempts while Redis is away, seconds.
LONGEST_PAUSE_S = 5.0


class Chore:
    """Does something again and again, until it is stopped.

    Args:
        name: What it is called in messages.
        do: What to do; an AsynqError of it is told once, and it is done again soon.
        every_s: How long to wait after it.
        log: Where messages go.
        at_once: Whether it is done before the first wait.
    """

    def __init__(
        self,
        name: str,
        do: Callable[[], None],
        every_s: float,
        log: logging.Logger,
        *,
        at_once: bool = False,
    ) -> None:
        self._name = name
        self._do = do
        self._every_s = every_s
        self._log = log
        self._at_once = at_once
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"asynq-{name}", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stops, and waits so long for what is being done."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        failures = 0
        pause = 0.0 if self._at_once else self._every_s
        while not self._stopping.wait(pause):
            try:
                self._do()
                failures = 0
                pause = self._every_s
                continue
            except AsynqError as error:
                failures += 1
                if failures == 1:
                    self._log.warning("%s: %s", self._name, error)
            except Exception:
                failures += 1
                self._log.exception("%s met a fault; it goes on", self._name)
            longest = min(LONGEST_PAUSE_S, self._every_s, 0.1 * 2.0 ** min(failures, 8))
            pause = random.uniform(0.01, longest)


class Forwarder:
    """Makes scheduled tasks and retries pending that are due."""

    def __init__(self, connection: Connection, config: ServerConfig, clock: Clock) -> None:
        self._connection = connection
        self._queues = list(config.queues)
        self._clock = clock

    def __call__(self) -> None:
        each_of(self._queues, lambda q: self._connection.run(forward(q, self._clock.now_ns())))


class Janitor:
    """Deletes completed tasks whose retention is over."""

    def __init__(self, connection: Connection, config: ServerConfig, clock: Clock) -> None:
        self._connection = connection
        self._queues = list(config.queues)
        self._batch = config.janitor_batch_size
        self._clock = clock

    def __call__(self) -> None:
        each_of(self._queues, self._clean)

    def _clean(self, queue: str) -> None:
        self._connection.run(delete_expired(queue, self._clock.now_ns(), self._batch))


class Recoverer:
    """Takes up again what other workers left behind.

    Args:
        connection: The way to Redis.
        config: What becomes of it.
        clock: Tells the time.
        log: Where messages go.
        archived: Told of a task that failed for good by that: its queue, ID and message, and why.
    """

    def __init__(
        self,
        connection: Connection,
        config: ServerConfig,
        clock: Clock,
        log: logging.Logger,
        archived: Callable[[str, str, TaskMessage, Exception], None],
    ) -> None:
        self._connection = connection
        self._queues = list(config.queues)
        self._clock = clock
        self._judge = Judge(config, log)
        self._archived = archived
        self._quiet = Quiet(log)

    def __call__(self) -> None:
        each_of(self._queues, self._recover)

    def _recover(self, queue: str) -> None:
        cutoff_s = self._clock.now_ns() // NANOSECONDS - OVERDUE_S
        # One that stays, for whatever reason, is not to be met for ever.
        seen: set[bytes] = set()
        while True:
            expired = self._connection.run(expired_leases(queue, cutoff_s))
            fresh = [each for each in expired if each.task_id not in seen]
            seen |= {each.task_id for each in fresh}
            if fresh:
                self._take_up(queue, fresh, cutoff_s)
            if len(expired) < PAGE or not fresh:
                break
        self._heal(queue)
        given_back = self._connection.run(reclaim_stale_sets(queue, self._clock.now_ns()))
        if given_back:
            self._quiet.warning(
                f"{given_back} tasks of queue {queue!r} were not aggregated in time"
            )

    def _take_up(self, queue: str, expired: list[Expired], cutoff_s: int) -> None:
        error = LeaseLostError("asynq: task lease expired")
        finished: list[Finished] = []
        messages: list[TaskMessage] = []
        without_message: list[bytes] = []
        for task_id, data, crashes in expired:
            if data is None:
                without_message.append(task_id)
                continue
            now_ns = self._clock.now_ns()
            try:
                text = task_id.decode()
                message = decode(data)
            except (WireError, UnicodeDecodeError):
                self._quiet.error(
                    f"a task of queue {queue!r} cannot be read; it is in quarantine: {task_id!r}"
                )
                self._connection.run(quarantine(queue, task_id, data, now_ns // NANOSECONDS))
                continue
            messages.append(message)
            finished.append(
                self._judge.crash(queue, text, message, error, now_ns, crashes, cutoff_s)
            )
        if finished:
            now_ns = self._clock.now_ns()
            results = self._connection.run(finish(finished, now_ns))
            for each, message, result in zip(finished, messages, results, strict=True):
                if isinstance(result, BrokerError):
                    raise result
                if not result:
                    continue
                self._quiet.warning(
                    f"the worker of {each.task_id!r} of queue {queue!r} is gone: {each.outcome}"
                )
                if each.outcome is Outcome.ARCHIVE:
                    self._archived(queue, each.task_id, message, error)
            if any(each.outcome is Outcome.ARCHIVE for each in finished):
                self._connection.run(trim_archive(queue, now_ns // NANOSECONDS))
        self._mend(queue, without_message)

    def _heal(self, queue: str) -> None:
        """Finds active tasks that nobody can ever finish: without a lease, or a message."""
        start = 0
        while True:
            suspects, more = self._connection.run(without_lease(queue, start))
            self._mend(queue, suspects)
            if not more:
                return
            start += PAGE

    def _mend(self, queue: str, ids: list[bytes]) -> None:
        if not ids:
            return
        now_s = self._clock.now_ns() // NANOSECONDS
        name = queue.encode()
        suspects = [Suspect(task_id) for task_id in ids]
        for found in self._connection.run(diagnose(name, suspects, now_s)):
            if found.code in _MENDED:
                again = [Suspect(found.task_id, repair=found.code)]
                self._connection.run(diagnose(name, again, now_s))
                self._quiet.warning(f"mended {found.task_id!r} of queue {queue!r}: {found.code}")


#: What a recoverer mends; for the rest there is the doctor.
_MENDED = frozenset({"phantom-active", "no-lease", "stale-lease"})


class HealthCheck:
    """Tells the user's function whether Redis is there."""

    def __init__(
        self,
        connection: Connection,
        tell: Callable[[Exception | None], None],
        log: logging.Logger,
    ) -> None:
        self._connection = connection
        self._tell = tell
        self._log = log

    def __call__(self) -> None:
        problem: Exception | None = None
        try:
            self._connection.run(call("PING"))
        except AsynqError as error:
            problem = error
        try:
            self._tell(problem)
        except BaseException:  # whatever it raises, it is asked again next time
            self._log.exception("health_check raised")


def each_of(queues: list[str], do: Callable[[str], object]) -> None:
    """Does something for each queue; what fails at one does not keep it from the others.

    Raises:
        BrokerError: The first failure.
    """
    failures = []
    for queue in queues:
        try:
            do(queue)
        except BrokerError as error:
            failures.append(error)
    if failures:
        raise failures[0]
