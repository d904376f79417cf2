"""Shows the entries to Go's tools. One thread of a scheduler.

Source: asynq v0.26.0, scheduler.go. Go shows them only after the first interval; here they
are there at once.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from asynq_py.broker.presence import write_scheduler_entries
from asynq_py.clock import NANOSECONDS, Clock
from asynq_py.errors import AsynqError
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.entry import Slot
from asynq_py.scheduler.gooptions import option_strings
from asynq_py.wire.presence import SchedulerEntry, scheduler_entry

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection


class Publisher:
    """Writes the entries again and again until it is stopped."""

    def __init__(
        self,
        connection: Connection,
        scheduler_id: str,
        ordered: Callable[[], list[Slot]],
        config: SchedulerConfig,
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        self._connection = connection
        self._scheduler_id = scheduler_id
        self._ordered = ordered
        self._interval_s = config.heartbeat_interval_s
        self._clock = clock
        self._log = log
        self._stopping = threading.Event()

    def run(self) -> None:
        """Publishes now, and then at every interval."""
        while True:
            self.publish()
            if self._stopping.wait(self._interval_s):
                return

    def stop(self) -> None:
        """Asks ``run`` to return."""
        self._stopping.set()

    def publish(self) -> None:
        """Writes the entries once; that Redis is away is logged."""
        entries = [_entry(slot) for slot in self._ordered()]
        # Whole seconds: Redis takes no others, and Go's own fails with them.
        ttl_s = math.ceil(2 * self._interval_s)
        try:
            self._connection.run(
                write_scheduler_entries(
                    self._scheduler_id, entries, ttl_s=ttl_s, now_ns=self._clock.now_ns()
                )
            )
        except AsynqError as error:
            self._log.warning("the entries were not published: %s", error)
        except Exception:
            self._log.exception("the entries were not published")


def _entry(slot: Slot) -> SchedulerEntry:
    return scheduler_entry(
        slot.id,
        slot.spec,
        slot.task.type,
        slot.task.payload or b"",
        option_strings(slot.options),
        next_ns=None if slot.next_s is None else slot.next_s * NANOSECONDS,
        previous_ns=None if slot.previous_s is None else slot.previous_s * NANOSECONDS,
    )
