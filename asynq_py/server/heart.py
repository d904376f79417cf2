"""The heartbeat: renews leases and shows the server, on a thread and a connection of its own,
so that handlers that block the event loop do not lose their tasks.

Source: asynq v0.26.0, heartbeat.go (which shows the server first, and then renews).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from asynq_py.broker.attendance import hide_server, show_server
from asynq_py.broker.leases import extend_leases
from asynq_py.broker.take import LEASE_S
from asynq_py.clock import Clock
from asynq_py.server.config import ServerConfig
from asynq_py.server.identity import Identity
from asynq_py.server.job import Job
from asynq_py.wire.presence import server_info, worker_info

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection

#: How often it beats, seconds.
EVERY_S = 5.0
#: How much of a payload is shown to inspectors: it is sent with every beat.
SHOWN_BYTES = 64 * 1024


class Heart:
    """Beats when called.

    Args:
        connection: Of its own.
        identity: Who the server is.
        config: How it was configured.
        clock: Tells the time.
        jobs: The tasks at work.
        lost: Told of a task whose lease ended, once.
        status: Gives the server's state.
    """

    def __init__(
        self,
        connection: Connection,
        identity: Identity,
        config: ServerConfig,
        clock: Clock,
        jobs: Callable[[], Collection[Job]],
        lost: Callable[[Job], None],
        status: Callable[[], str],
    ) -> None:
        self._connection = connection
        self._identity = identity
        self._config = config
        self._clock = clock
        self._jobs = jobs
        self._lost = lost
        self._status = status
        self._started_ns = clock.now_ns()

    def __call__(self) -> None:
        jobs = self._jobs()
        self._renew(jobs)
        self._show(jobs)

    def _renew(self, jobs: Collection[Job]) -> None:
        now = time.monotonic()
        ours: list[Job] = []
        ids: dict[str, list[str]] = {}
        for job in jobs:
            if job.is_decided:
                continue  # it is handed in while its lease lasts, or handled again
            if job.lease_until >= now:
                ours.append(job)
                ids.setdefault(job.queue, []).append(job.task_id)
            elif not job.is_shown_expired:
                job.is_shown_expired = True
                self._lost(job)
        if ours:
            self._connection.run(extend_leases(ids, self._clock.now_ns()))
            for job in ours:
                job.lease_until = now + LEASE_S

    def _show(self, jobs: Collection[Job]) -> None:
        host, pid, server_id = self._identity
        workers = [
            (
                job.task_id,
                worker_info(
                    host,
                    pid,
                    server_id,
                    job.task_id,
                    job.message.type,
                    job.message.payload[:SHOWN_BYTES],
                    job.queue,
                    started_ns=job.started_ns,
                    deadline_ns=job.deadline_ns,
                ).SerializeToString(),
            )
            for job in jobs
        ]
        info = server_info(
            host,
            pid,
            server_id,
            self._config.concurrency,
            self._config.queues,
            strict_priority=self._config.strict_priority,
            status=self._status(),
            started_ns=self._started_ns,
            active=len(workers),
        )
        self._connection.run(
            show_server(
                self._identity.text,
                info.SerializeToString(deterministic=True),
                workers,
                self._clock.now_ns(),
            )
        )

    def stop(self) -> None:
        """Shows the server no more."""
        self._connection.run(hide_server(self._identity.text))
