"""What works while a server runs; started and stopped together."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from asynq_py.connection.aio import AsyncConnection
from asynq_py.connection.sync import Connection
from asynq_py.connection.twin import asyncio_argument
from asynq_py.errors import BrokerError
from asynq_py.server.aggregator import EVERY_S as AGGREGATOR_EVERY_S
from asynq_py.server.aggregator import Aggregator
from asynq_py.server.chores import (
    RECOVER_EVERY_S,
    Chore,
    Forwarder,
    HealthCheck,
    Janitor,
    Recoverer,
)
from asynq_py.server.handlers import Call
from asynq_py.server.heart import EVERY_S as HEART_EVERY_S
from asynq_py.server.heart import Heart
from asynq_py.server.identity import new_identity
from asynq_py.server.job import Job
from asynq_py.server.loop import Loop
from asynq_py.server.processor import Processor
from asynq_py.server.subscriber import Subscriber
from asynq_py.server.turns import LONGEST_PAUSE_S
from asynq_py.wire.message import TaskMessage

if TYPE_CHECKING:
    import logging

    from asynq_py.clock import Clock
    from asynq_py.connection.sync import RedisArgument
    from asynq_py.server.config import ServerConfig

#: How long the parts of a server may take to stop, seconds.
PART_S = 2.0
#: How long it may take to give back or hand in what handlers leave, seconds.
FINISH_S = LONGEST_PAUSE_S + PART_S


class Parts:
    """Made, started, stopped and shut down once.

    Args:
        redis: Where Redis is.
        connection: A way there, for what is not urgent.
        resolve: Gives for the type of a task what is to be called.
        config: How the server behaves.
        clock: Tells the time.
        log: Where messages go.
        status: Gives the server's state.

    Raises:
        ConfigError: The server cannot work so.
    """

    def __init__(
        self,
        redis: RedisArgument,
        connection: Connection,
        resolve: Callable[[str], tuple[str, Call]],
        config: ServerConfig,
        clock: Clock,
        log: logging.Logger,
        status: Callable[[], str],
    ) -> None:
        self._config = config
        self._log = log
        argument = asyncio_argument(redis)
        self._loop = Loop(config.uvloop)
        self._beating = Connection(redis)

        async def make() -> tuple[AsyncConnection, Processor]:
            aio = AsyncConnection(argument, owns=True)
            return aio, Processor(aio, resolve, config, clock, log)

        self._aio, self.processor = self._loop.call(make())
        self._heart = Heart(
            self._beating,
            new_identity(),
            config,
            clock,
            self._jobs,
            lambda job: self._loop.post(lambda: self.processor.lose(job)),
            status,
        )
        self._heartbeat = Chore("heartbeat", self._heart, HEART_EVERY_S, log, at_once=True)
        self._subscriber = Subscriber(
            connection, lambda each: self._loop.post(lambda: self.processor.cancel(each)), log
        )
        self._chores = [
            Chore(
                "recoverer",
                Recoverer(connection, config, clock, log, self._tell_archived),
                RECOVER_EVERY_S,
                log,
                at_once=True,
            ),
            Chore(
                "forwarder",
                Forwarder(connection, config, clock),
                config.seconds("delayed_task_check_interval"),
                log,
            ),
            Chore(
                "janitor",
                Janitor(connection, config, clock),
                config.seconds("janitor_interval"),
                log,
            ),
        ]
        if config.health_check is not None:
            check = HealthCheck(connection, config.health_check, log)
            every_s = config.seconds("health_check_interval")
            self._chores.append(Chore("health check", check, every_s, log))
        self._aggregator: Aggregator | None = None
        if config.group_aggregator is not None:
            self._aggregator = Aggregator(connection, config, clock, log, self._loop.loop)
            every_s = min(AGGREGATOR_EVERY_S, config.seconds("group_grace_period"))
            self._chores.append(Chore("aggregator", self._aggregator, every_s, log))

    def _jobs(self) -> Collection[Job]:
        # One step of the interpreter: the loop's thread cannot change it halfway.
        return self.processor.jobs.copy()

    def _tell_archived(
        self, queue: str, task_id: str, message: TaskMessage, error: Exception
    ) -> None:
        self._loop.post(lambda: self.processor.tell_archived(queue, task_id, message, error))

    def start(self) -> None:
        """Begins to take tasks."""
        self._heartbeat.start()
        self._subscriber.start()
        for chore in self._chores:
            chore.start()
        self._loop.post(self.processor.start)

    def stop(self) -> None:
        """Takes no more."""
        self._loop.post(self.processor.stop)

    def shutdown(self) -> None:
        """Waits for the handlers, and ends everything."""
        for chore in self._chores:
            chore.stop(0)
        timeout_s = self._config.seconds("shutdown_timeout")
        try:
            self._loop.call(self.processor.finish(timeout_s), timeout_s + FINISH_S)
        except TimeoutError:
            self._log.error("a handler blocks the event loop; what it kept is left to recoverers")
        for chore in self._chores:
            chore.stop(PART_S)
        if self._aggregator is not None:
            self._aggregator.stop(PART_S)
        self._subscriber.stop(PART_S)
        self._heartbeat.stop(PART_S)
        try:
            self._heart.stop()
        except BrokerError as error:
            self._log.warning("the server is shown for some seconds more: %s", error)
        self._beating.close()
        self._loop.close(self._aio.close)
