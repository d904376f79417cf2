"""The server: takes tasks from queues and has them handled. What its users hold."""

from __future__ import annotations

import logging
import multiprocessing.process
import queue
import signal
import threading
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING

from asynq_py.broker.op import call
from asynq_py.clock import SYSTEM_CLOCK, Clock
from asynq_py.errors import ServerStateError
from asynq_py.server.config import ServerConfig
from asynq_py.server.handlers import Handler
from asynq_py.server.mux import ServeMux, resolver

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection, RedisArgument
    from asynq_py.server.parts import Parts


class Server:
    """Takes tasks from queues, beside other servers in Go or Python, and has them handled.

    Coroutine handlers run on an event loop on a thread of its own, plain ones in threads. Every
    method may be called from any thread.

    Args:
        redis: A URL, a RedisConfig, or a ready ``redis.Redis`` (which is not closed here).
        config: How it behaves.
        clock: Tells the time; the machine's own by default.

    Raises:
        ConfigError: It is not clear where Redis is. Nothing is connected yet.
    """

    def __init__(
        self,
        redis: RedisArgument,
        config: ServerConfig | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        from asynq_py.connection.sync import Connection

        self._redis = redis
        self._config = config or ServerConfig()
        self._clock = clock
        self._log = self._config.logger or logging.getLogger("asynq_py.server")
        self._connection: Connection = Connection(redis)
        self._lock = threading.Lock()
        self._status = "new"
        self._parts: Parts | None = None
        self._over = threading.Event()
        # A queue, since putting into one is all that a signal handler may safely do.
        self._asked: queue.SimpleQueue[str] = queue.SimpleQueue()

    @property
    def status(self) -> str:
        """ "new", "active", "stopped" (takes no more tasks) or "closed"."""
        return self._status

    def counts(self) -> Mapping[str, int]:
        """How many tasks were handed in since it started, by what became of them."""
        counts = self._parts.processor.counts if self._parts else {}
        return {outcome.value: number for outcome, number in counts.items()}

    def ping(self) -> None:
        """Asks Redis whether it is there.

        Raises:
            BrokerError: It is not.
        """
        if self._status != "closed":
            self._connection.run(call("PING"))

    def start(self, handler: ServeMux | Handler) -> None:
        """Starts taking tasks, and returns at once; Redis need not be there yet.

        Args:
            handler: A ServeMux, or one handler for all tasks.

        Raises:
            ConfigError: It is no handler.
            ServerStateError: It was started before.
        """
        # Else a process for handlers would become a server, and never take its first task.
        if getattr(multiprocessing.process.current_process(), "_inheriting", False):
            raise ServerStateError(
                "a process for handlers imports the main module and must not start a server there:"
                ' put it under if __name__ == "__main__"'
            )
        with self._lock:
            if self._status != "new":
                raise ServerStateError(f"the server cannot start: it is {self._status}")
            resolve = resolver(handler)
            from asynq_py.server.parts import Parts

            self._parts = Parts(
                self._redis,
                self._connection,
                resolve,
                self._config,
                self._clock,
                self._log,
                lambda: self._status,
            )
            self._status = "active"
            self._parts.start()
        self._log.info(
            "server started: %d tasks at a time, of %s",
            self._config.concurrency,
            ", ".join(f"{name} ({weight})" for name, weight in self._config.queues.items()),
        )

    def stop(self) -> None:
        """Takes no more tasks; those at work go on, and so does all else until ``shutdown``."""
        with self._lock:
            if self._status != "active":
                return
            self._status = "stopped"
            assert self._parts is not None
            self._parts.stop()
        self._log.info("server stopped: no more tasks are taken")

    def shutdown(self) -> None:
        """Stops, waits for handlers as long as ``shutdown_timeout``, gives what is left back to
        its queue, and closes everything. Does nothing if it was not started."""
        with self._lock:
            if self._status in ("new", "closed"):
                return
            self._status = "closed"
            parts = self._parts
        assert parts is not None
        parts.shutdown()
        self._connection.close()
        self._log.info("server shut down")
        self._over.set()
        self._asked.put("end")

    def run(self, handler: ServeMux | Handler) -> None:
        """Starts, and shuts down on SIGINT or SIGTERM; SIGTSTP stops it only. Or ``shutdown``
        from another thread ends it.

        Raises:
            ConfigError: It is no handler.
            ServerStateError: It was started before.
        """
        main = threading.current_thread() is threading.main_thread()
        ends = (signal.SIGINT, signal.SIGTERM) if main else ()
        pauses = (signal.SIGTSTP,) if main and hasattr(signal, "SIGTSTP") else ()

        def end(number: int, frame: FrameType | None) -> None:
            self._asked.put("end")

        def pause(number: int, frame: FrameType | None) -> None:
            self._asked.put("pause")

        before = {number: signal.signal(number, end) for number in ends}
        before |= {number: signal.signal(number, pause) for number in pauses}
        try:
            self.start(handler)
            while self._asked.get() == "pause":
                self.stop()
            self.shutdown()
            self._over.wait()
        finally:
            for number, function in before.items():
                signal.signal(number, function)
