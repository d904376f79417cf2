"""The user's functions, on a thread of their own: what they raise, or that they hang, stops
nothing."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

#: A call to make: what it is named in the log, and the call itself.
Call: TypeAlias = "tuple[str, Callable[[], object]]"

#: How long a batch of ticks waits for hooks that come before it, seconds.
PATIENCE_S = 1.0
#: The most calls that wait; more are left out.
MOST_WAITING = 100_000


class Hooks:
    """Makes calls one after another, on a thread that starts with the first one."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._calls: queue.SimpleQueue[Call | threading.Event | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        #: Whether a hook was waited for in vain; it is not waited for again until it returns.
        self._hangs = False
        self._left_out = 0

    def call(self, calls: Sequence[Call]) -> None:
        """Makes calls some time."""
        if not calls:
            return
        if self._calls.qsize() + len(calls) > MOST_WAITING:
            self._left_out += len(calls)
            if self._left_out == len(calls):
                self._log.error("%s is too slow: calls of hooks are left out", calls[0][0])
            return
        self._start()
        for each in calls:
            self._calls.put(each)

    def call_first(self, calls: Sequence[Call]) -> bool:
        """Makes calls now, and waits for them, but not for ever.

        Returns:
            Whether they have all been made.
        """
        if not calls:
            return True
        self.call(calls)
        if self._hangs:
            return False
        done = threading.Event()
        self._calls.put(done)
        if done.wait(PATIENCE_S):
            return True
        self._hangs = True
        self._log.error("a hook has not returned within %s s; going on without it", PATIENCE_S)
        return False

    def finish(self, deadline: float) -> None:
        """Lets the calls that wait be made, until a moment of the monotonic clock."""
        thread = self._thread
        if thread is None:
            return
        self._calls.put(None)
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="asynq-scheduler-hooks", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while (each := self._calls.get()) is not None:
            if isinstance(each, threading.Event):
                self._hangs = False
                each.set()
                continue
            name, hook = each
            try:
                hook()
            except Exception:
                self._log.exception("%s raised", name)


def bound(function: Callable[..., object], *arguments: object) -> Callable[[], object]:
    """A call to be made later; mappings are copied, for the hook to keep."""
    copies = [dict(each) if isinstance(each, dict) else each for each in arguments]
    return lambda: function(*copies)
