"""Several processes that work as one: started, watched, replaced and stopped together."""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import NamedTuple, TypeAlias

from asynq_py.server.child import ended_by

#: A process that lived this long, seconds, is replaced at once; others after a pause.
STEADY_S = 10.0
#: The first pause and the longest, seconds; each is twice the one before.
PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0

#: Signals that come this soon, seconds, after the first are the same: some programs send one to
#: a process and to its group.
SAME_SIGNAL_S = 0.5

#: What a process runs: it sends something, whatever it is, when it has begun its work.
Work: TypeAlias = Callable[[int, Connection], None]


class _Process:
    """One process, with the number that its successors will have, too."""

    def __init__(self, number: int, work: Work) -> None:
        context = multiprocessing.get_context("spawn")
        self.number = number
        self.ready, theirs = context.Pipe(duplex=False)
        # No daemon: it may have processes of its own.
        self.process = context.Process(
            target=_run, args=(work, number, theirs), name=f"worker-{number}"
        )
        self.process.start()
        theirs.close()
        self.started_at = time.monotonic()

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; one that has ended gets none."""
        if self.process.pid is not None and self.process.exitcode is None:
            os.kill(self.process.pid, number)


def _run(work: Work, number: int, ready: Connection) -> None:
    # What the terminal sends is for the supervisor, which passes it on.
    os.setsid()
    threading.Thread(target=_stop_with_supervisor, daemon=True).start()
    work(number, ready)


def _stop_with_supervisor() -> None:
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None
    supervisor.join()
    os.kill(os.getpid(), signal.SIGTERM)


class _Signal(NamedTuple):
    number: int


class _Ready(NamedTuple):
    process: _Process


class _Ended(NamedTuple):
    process: _Process


class _Changed(NamedTuple):
    what: str


_Event: TypeAlias = _Signal | _Ready | _Ended | _Changed


class Supervisor:
    """Keeps processes running until a signal: SIGINT and SIGTERM stop them, and kill them the
    second time; SIGTSTP is passed on.

    The first one shows whether it can work at all; the others start when it does.

    Args:
        work: What each runs; picklable.
        count: How many there are.
        log: Where messages go.
    """

    def __init__(self, work: Work, count: int, log: logging.Logger) -> None:
        self._work = work
        self._count = count
        self._log = log
        # A queue, since putting into one is all that a signal handler may safely do.
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._running: dict[int, _Process] = {}
        #: When those that died are replaced, by the monotonic clock; how many died young in a row.
        self._due: dict[int, float] = {}
        self._young: dict[int, int] = {}
        self._is_up = False
        self._is_reloading = False
        self._is_ending = False
        self._is_paused = False
        self._ending_since = 0.0
        self._was_killed = False
        self._restarts_on_change = False
        self._code: int | None = None

    def changed(self, what: str) -> None:
        """All processes are to start anew; from any thread."""
        self._events.put(_Changed(what))

    def run(self, *, restarts_on_change: bool = False) -> int:
        """Runs them; returns the exit code.

        Args:
            restarts_on_change: Whether a first process that cannot work is no reason to give up,
                since what is wrong will be changed.
        """
        self._restarts_on_change = restarts_on_change
        with self._signals():
            try:
                self._start(1)
                while self._code is None:
                    self._handle(self._next())
                return self._code
            finally:
                self._send(signal.SIGKILL)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def note(number: int, frame: FrameType | None) -> None:
            self._events.put(_Signal(number))

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGTSTP)
        before = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _next(self) -> _Event | None:
        """What happens next; None when a process is due."""
        if not self._due:
            return self._events.get()
        try:
            return self._events.get(timeout=max(0.0, min(self._due.values()) - time.monotonic()))
        except queue.Empty:
            return None

    def _handle(self, event: _Event | None) -> None:
        match event:
            case None:
                for number, due in list(self._due.items()):
                    if due <= time.monotonic():
                        self._start(number)
            case _Ready():
                self._is_up = True
                for number in range(1, self._count + 1):
                    if number not in self._running and number not in self._due:
                        self._start(number)
            case _Ended(process):
                del self._running[process.number]
                process.process.join()
                self._ended(process, process.process.exitcode or 0)
            case _Changed(what):
                self._log.info("%s changed: starting anew", what)
                self._is_reloading = not self._is_ending
                self._stop()
            case _Signal(signal.SIGTSTP):
                self._is_paused = True
                self._due.clear()
                self._send(signal.SIGTSTP)
            case _Signal():
                self._end()
        if not self._running and self._is_ending:
            self._code = int(self._was_killed)
        if not self._running and self._is_reloading:
            self._is_reloading = self._is_up = False
            self._young.clear()
            self._start(1)

    def _start(self, number: int) -> None:
        self._due.pop(number, None)
        if self._is_ending or self._is_reloading or self._is_paused:
            return
        process = _Process(number, self._work)
        self._running[number] = process
        threading.Thread(target=self._watch, args=(process,), daemon=True).start()

    def _watch(self, process: _Process) -> None:
        try:
            process.ready.recv()
            self._events.put(_Ready(process))
        except EOFError:
            pass
        process.ready.close()
        # How it ended may be asked for by one thread only: that of the events.
        wait([process.process.sentinel])
        self._events.put(_Ended(process))

    def _ended(self, process: _Process, code: int) -> None:
        if self._is_ending or self._is_reloading:
            return
        if not self._is_up:
            if self._restarts_on_change:
                self._log.error("the worker could not start; waiting for a change")
                return
            if code <= 0:  # else it has said why
                self._log.error("the worker could not start: %s", ended_by(code))
            self._code = code if code > 0 else 1
            return
        lived_s = time.monotonic() - process.started_at
        young = 0 if lived_s >= STEADY_S else self._young.get(process.number, 0) + 1
        self._young[process.number] = young
        pause_s = min(LONGEST_PAUSE_S, PAUSE_S * 2.0 ** (young - 1)) if young else 0.0
        self._log.error(
            "worker %d died: %s; another starts in %g s", process.number, ended_by(code), pause_s
        )
        if not self._is_paused:
            self._due[process.number] = time.monotonic() + pause_s

    def _end(self) -> None:
        now = time.monotonic()
        if not self._is_ending:
            self._is_ending, self._ending_since = True, now
            self._is_reloading = False
            self._stop()
        elif now - self._ending_since >= SAME_SIGNAL_S:
            self._log.warning("killing what still runs")
            self._was_killed = True
            self._send(signal.SIGKILL)

    def _stop(self) -> None:
        self._due.clear()
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for process in self._running.values():
            process.send(number)
