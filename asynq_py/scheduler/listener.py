"""Hears what others ask of the entries through Redis: pause, resume, trigger. One thread of a
scheduler."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from asynq_py.broker.control import (
    PAUSE,
    RESIGNED,
    RESUME,
    TRIGGER,
    Request,
    read_paused,
    read_requests,
    server_ms,
)
from asynq_py.errors import AsynqError
from asynq_py.scheduler.book import Book
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.outbox import Outbox
from asynq_py.scheduler.timetable import Due

if TYPE_CHECKING:
    from asynq_py.connection.sync import Connection

#: How long it waits for a message at a time, seconds.
WAIT_S = 30.0
#: The longest pause between attempts while Redis is away, seconds.
LONGEST_PAUSE_S = 5.0
#: How long a follower remembers what was triggered, in case the leader died of it; in leases.
REMEMBERED_LEASES = 3


class Listener:
    """Waits at the stream until stopped; what is paused it reads anew whenever it may have
    missed a message."""

    def __init__(
        self,
        connection: Connection,
        book: Book,
        outbox: Outbox,
        leadership: Callable[[], int | None],
        on_resigned: Callable[[], None],
        config: SchedulerConfig,
        log: logging.Logger,
    ) -> None:
        self._connection = connection
        self._book = book
        self._outbox = outbox
        self._leadership = leadership
        self._on_resigned = on_resigned
        election = config.leader_election
        self._group = election.group if election else None
        self._remember_s = REMEMBERED_LEASES * election.lease_s if election else 0.0
        self._log = log
        patience_s = connection.patience_s
        self._wait_ms = round(1000 * min(WAIT_S, patience_s / 2 if patience_s else WAIT_S))
        self._started_at = time.monotonic()
        self._last_id: str | None = None
        #: Whether no message can have been missed since what is paused was read.
        self._is_informed = False
        self._triggered: deque[tuple[float, Request]] = deque()
        self._stopping = threading.Event()
        self._failures = 0

    def begin(self) -> None:
        """Has ``run`` hear what is asked from now on."""
        self._started_at = time.monotonic()

    def run(self) -> None:
        """Listens until stopped."""
        while not self._stopping.is_set():
            try:
                self._listen()
                self._failures = 0
            except AsynqError as error:
                if self._stopping.is_set():
                    return
                self._failures += 1
                if self._failures == 1:
                    self._log.warning("requests to entries are not heard: %s", error)
                pause = min(LONGEST_PAUSE_S, 0.1 * 2.0 ** min(self._failures, 8))
                self._stopping.wait(random.uniform(0.01, pause))
                self._is_informed = False
            except Exception:
                self._log.exception("the listener met a fault of asynq_py; it goes on")
                self._stopping.wait(1.0)

    def stop(self) -> None:
        """Asks ``run`` to return; it may still wait for a message."""
        self._stopping.set()

    def replay(self) -> None:
        """Acts on what was triggered of late, for a leader who may have died of it; the ledger
        sees to it that nothing runs twice."""
        for heard_at, request in list(self._triggered):
            if time.monotonic() - heard_at < self._remember_s:
                self._trigger(request)

    def _listen(self) -> None:
        if self._last_id is None:
            # From the start on, however late Redis was there; by its clock, as the IDs are.
            now_ms = self._connection.run(server_ms())
            since_ms = now_ms - round(1000 * (time.monotonic() - self._started_at))
            self._last_id = f"{since_ms - 1}-0"
        if not self._is_informed:
            self._read_paused()
            self._is_informed = True
        for request in self._connection.run(read_requests(self._last_id, self._wait_ms)):
            self._last_id = request.id
            if request.group is not None and request.group != self._group:
                continue
            if request.action in (PAUSE, RESUME):
                self._read_paused()
            elif request.action == RESIGNED:
                self._on_resigned()
            elif request.action == TRIGGER:
                self._remember(request)
                self._trigger(request)

    def _read_paused(self) -> None:
        paused = frozenset(self._connection.run(read_paused()))
        with self._book.lock.write():
            self._book.pause(paused)

    def _remember(self, request: Request) -> None:
        now = time.monotonic()
        self._triggered.append((now, request))
        while now - self._triggered[0][0] > self._remember_s and len(self._triggered) > 1:
            self._triggered.popleft()

    def _trigger(self, request: Request) -> None:
        """Has an entry run once, beside its schedule, if it is ours to run."""
        if self._leadership() is None:
            return
        with self._book.lock.read():
            slot = self._book.find(request.entry)
        if slot is None:
            return
        milliseconds, _, number = request.id.partition("-")
        due = Due(slot, int(milliseconds) // 1000)
        # Grows from request to request, as the ledger wants it, and is exact in a double.
        due.number = int(milliseconds) * 1000 + min(int(number), 999)
        self._outbox.put([due])
