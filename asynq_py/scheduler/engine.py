"""What works while a scheduler runs: its threads, so that none waits for another.

The *ticker* takes what is due from a heap and puts it into the outbox; the *sender* enqueues
that, in batches, and keeps the history; the *publisher* shows the entries to Go's tools; the
*listener* hears what others ask of the entries; the *elector*, if there is an election, stands
for leadership. Hooks have a thread of their own.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from asynq_py.client.prepare import new_task_id
from asynq_py.clock import Clock
from asynq_py.errors import AsynqError
from asynq_py.scheduler.book import Book
from asynq_py.scheduler.config import Leadership, SchedulerConfig
from asynq_py.scheduler.elector import Elector
from asynq_py.scheduler.hooks import Hooks
from asynq_py.scheduler.listener import WAIT_S, Listener
from asynq_py.scheduler.outbox import Outbox
from asynq_py.scheduler.publisher import Publisher
from asynq_py.scheduler.sender import Sender
from asynq_py.scheduler.ticker import Ticker
from asynq_py.scheduler.timetable import Due

if TYPE_CHECKING:
    from asynq_py.connection.sync import RedisArgument

#: How long stopping waits at least for the entries to be taken back, seconds.
TAKE_BACK_S = 0.5
#: How long the ticker waits for the first word on leadership, seconds.
ASKING_S = 1.0
#: How long a thread pauses after a fault of ours, seconds.
FAULT_PAUSE_S = 1.0


class Engine:
    """Started once and stopped once."""

    def __init__(
        self,
        redis: RedisArgument,
        book: Book,
        config: SchedulerConfig,
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        from asynq_py.connection.sync import Connection

        self._config = config
        self._log = log
        self.connection = Connection(redis)
        # It waits for messages longer than others wait for replies.
        self._listening = Connection(redis, wait_s=WAIT_S)
        scheduler_id = f"{_hostname()}:{os.getpid()}:{new_task_id()}"
        self._transitions: Counter[str] = Counter()
        self._hooks = Hooks(log)
        self._elector: Elector | None = None
        if config.leader_election is not None:
            self._elector = Elector(
                self.connection, config.leader_election, scheduler_id, self._on_leadership, log
            )
        self._outbox = Outbox(config.max_waiting)
        self._sender = Sender(
            self.connection,
            book,
            self._outbox,
            self._hooks,
            config,
            self.leadership,
            self._on_fenced,
            clock,
            log,
        )
        self._ticker = Ticker(
            self.connection, book, self._outbox, self._sender, self.leadership, clock, log
        )
        self._publisher = Publisher(
            self.connection, scheduler_id, book, self.leadership, config, clock, log
        )
        self._listener = Listener(
            self._listening,
            book,
            self._outbox,
            self.leadership,
            self._on_resigned,
            config,
            log,
        )
        self._wake_ticker = threading.Event()
        self._is_stopping = threading.Event()
        #: No more ticks come; the sender ends when none waits.
        self._ends_sending = threading.Event()
        #: Time is up: the sender ends at once.
        self.abandons = threading.Event()
        self._threads: dict[str, threading.Thread] = {}

    def leadership(self) -> int | None:
        """The term in which ticks are enqueued: 0 without election, None if another leads."""
        return 0 if self._elector is None else self._elector.term

    def counts(self) -> Mapping[str, int]:
        """See Scheduler.counts."""
        counts = {outcome.value: count for outcome, count in self._sender.counts.items()}
        counts["waiting"] = len(self._outbox) + len(self._sender.in_hand)
        return counts | self._transitions

    def start(self) -> None:
        """Starts all threads."""
        self._listener.begin()
        runs: dict[str, Callable[[], None]] = {
            "ticker": self._tick,
            "sender": self._send,
            "publisher": self._publisher.run,
            "listener": self._listener.run,
        }
        if self._elector is not None:
            runs["elector"] = self._elector.run
        for name, run in runs.items():
            thread = threading.Thread(target=run, name=f"asynq-scheduler-{name}", daemon=True)
            self._threads[name] = thread
            thread.start()

    def wake(self) -> None:
        """Has changed entries looked at, and shown, at once."""
        self._wake_ticker.set()
        self._publisher.wake()

    def stop(self, timeout_s: float) -> list[Due]:
        """No new ticks; what is under way finishes; what was published is taken back.

        Returns:
            The ticks that were not enqueued, or not known to be, within ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        self._is_stopping.set()
        self._wake_ticker.set()
        # It may be waiting for the ledger.
        self._join("ticker", deadline)
        self._ends_sending.set()
        self._outbox.wake()
        self._publisher.stop()
        self._listener.stop()
        self._join("sender", deadline)
        self.abandons.set()
        # Nothing, unless it could not finish; whether it has ended since says nothing.
        lost = list(dict.fromkeys([*self._sender.in_hand, *self._outbox.take_all()]))
        # On a thread of its own, since Redis may take longer than there is time.
        closer = threading.Thread(target=self._take_back, daemon=True)
        closer.start()
        closer.join(max(TAKE_BACK_S, deadline - time.monotonic()))
        self._hooks.finish(max(deadline, time.monotonic() + TAKE_BACK_S))
        self.connection.close()
        self._listening.close()
        return lost

    # -- threads --

    def _tick(self) -> None:
        if self._elector is not None:
            # Who is about to lead reads the ledger once, not first as a follower.
            self._elector.has_asked.wait(ASKING_S)
        while not self._is_stopping.is_set():
            self._wake_ticker.clear()
            # Looked at after that, since ``stop`` sets both in the other order.
            if not self._is_stopping.is_set():
                self._wake_ticker.wait(self._guarded("ticker", self._ticker.step))

    def _send(self) -> None:
        while not self.abandons.is_set():
            pause = self._guarded("sender", self._sender.step)
            if pause is not None:
                # What is left when it stops is tried until the time is up.
                ending = self._ends_sending.is_set()
                (self.abandons if ending else self._ends_sending).wait(pause)
            elif self._ends_sending.is_set():
                return
            else:
                self._outbox.wait()

    def _guarded(self, name: str, step: Callable[[], float | None]) -> float | None:
        """A step; a fault of ours must not end all ticks to come."""
        try:
            return step()
        except Exception:
            self._log.exception("the %s met a fault of asynq_py; it goes on", name)
            return FAULT_PAUSE_S

    def _join(self, name: str, deadline: float | None = None) -> None:
        thread = self._threads[name]
        if thread is not threading.current_thread():
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _take_back(self) -> None:
        """Writes what is left to write, and leaves."""
        self._sender.flush_history()
        if self._elector is not None:
            self._elector.stop()
            self._join("elector")
            self._elector.resign()
        self._join("publisher")
        try:
            self._publisher.take_back()
        except AsynqError as error:
            self._log.warning("the published entries stay until they expire: %s", error)

    # -- leadership --

    def _on_leadership(self, event: Leadership) -> None:
        self._transitions[event.event] += 1
        if event.event == "elected":
            self._listener.replay()
        self.wake()
        election = self._config.leader_election
        if election is not None and election.on_change is not None:
            on_change = election.on_change
            self._hooks.call([("on_change", lambda: on_change(event))])

    def _on_resigned(self) -> None:
        if self._elector is not None:
            self._elector.wake()

    def _on_fenced(self, reason: str, later_term: int) -> None:
        if self._elector is not None:
            self._elector.step_down(reason, later_term)


def _hostname() -> str:
    return os.uname().nodename or "unknown-host"
