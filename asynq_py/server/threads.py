"""Threads for plain handlers.

Those of the standard library's pool are waited for when the program ends, for ever if need be.
A handler that hangs must not keep a worker that was told to go, so these are daemons.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeAlias

Job: TypeAlias = Callable[[], None]


class Threads:
    """Starts threads as they are needed, up to a number; each runs one function at a time."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        #: Threads that wait for a function, less functions that wait for a thread.
        self._idle = 0

    def submit(self, job: Job) -> None:
        """Has a function run soon; what it raises ends its thread, so it should not."""
        with self._lock:
            self._idle -= 1
            if self._idle < 0 and self._started < self._most:
                self._started += 1
                self._idle += 1
                threading.Thread(
                    target=self._run, name=f"{self._name}-{self._started}", daemon=True
                ).start()
        self._jobs.put(job)

    def close(self) -> None:
        """Ends the threads, once they are idle."""
        with self._lock:
            for _ in range(self._started):
                self._jobs.put(None)
            self._started = self._most

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job
            with self._lock:
                self._idle += 1
