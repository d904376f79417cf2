"""Processes for handlers that compute: each runs one at a time, and may die without harm.

The library pebble starts, feeds and watches them. Each has a pool of its own, for in a pool of
several a death is told of one task only if it comes when that task is known to have begun.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import multiprocessing
import os
import pickle
import signal
from contextlib import suppress

from pebble import ProcessExpired, ProcessPool

from asynq_py.errors import ProcessDiedError
from asynq_py.server.child import Answer, begin, ended_by, handle, unpack


class Processes:
    """Starts processes as they are needed, up to a number. Belongs to the running event loop.

    Args:
        most: How many there may be.
    """

    def __init__(self, most: int) -> None:
        self._free = asyncio.Semaphore(most)
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        self._ending: set[asyncio.Future[None]] = set()
        # Of a server that nobody shut down; pebble would ask them nicely, one after another.
        atexit.register(self._kill)

    async def run(self, call: bytes) -> Answer:
        """Has a call that was packed run in a process, which is killed if this is cancelled.

        Raises:
            ProcessDiedError: It died.
        """
        async with self._free:
            while True:
                is_new = not self._idle
                child = _Child() if is_new else self._idle.pop()
                self._all.add(child)
                try:
                    answer = await child.run(call)
                except _NotBegunError as error:
                    self._end(child)
                    if is_new:
                        raise ProcessDiedError(str(error)) from None
                    # It died while it was idle.
                except BaseException:
                    child.kill()
                    self._end(child)
                    raise
                else:
                    self._idle.append(child)
                    return answer

    async def close(self) -> None:
        """Ends all processes; returns when they are gone."""
        while self._idle:
            self._end(self._idle.pop())
        await asyncio.gather(*self._ending, return_exceptions=True)
        self._kill()
        atexit.unregister(self._kill)

    def _end(self, child: _Child) -> None:
        self._all.discard(child)
        ending = asyncio.get_running_loop().run_in_executor(None, child.end)
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _kill(self) -> None:
        for child in self._all:
            child.kill()


class _NotBegunError(Exception):
    """A process died before it took a call, as far as is known."""


class _Child:
    """One process, started by its first call."""

    def __init__(self) -> None:
        self._pool = ProcessPool(
            max_workers=1,
            initializer=begin,
            initargs=_logging_here(),
            # A fork would inherit the locks that our threads hold.
            context=multiprocessing.get_context("spawn"),
        )
        self._pid = 0

    async def run(self, call: bytes) -> Answer:
        """Runs a call."""
        try:
            if not self._pid:
                self._pid = await asyncio.wrap_future(self._pool.schedule(os.getpid))
            return unpack(await asyncio.wrap_future(self._pool.schedule(handle, (call,))))
        except ProcessExpired as error:
            self._pid = 0
            raise ProcessDiedError(f"its process died: {ended_by(error.exitcode)}") from None
        except RuntimeError:  # the pool is broken
            if self._pid:
                self._pid = 0
                raise _NotBegunError("its process died") from None
            raise _NotBegunError(
                "its process could not start; standard error says why. The main module must be"
                ' importable: if __name__ == "__main__"'
            ) from None

    def kill(self) -> None:
        """Kills it, and what it has started."""
        self._pool.stop()
        if self._pid:
            with suppress(ProcessLookupError):
                if hasattr(os, "killpg"):
                    os.killpg(self._pid, signal.SIGKILL)
                else:
                    os.kill(self._pid, signal.SIGTERM)

    def end(self) -> None:
        """Waits until it is gone; one that is idle goes by itself."""
        self._pool.stop()
        self._pool.join()


def _logging_here() -> tuple[int, logging.Formatter | None]:
    """The level and the form of the log of this process, for another one."""
    root = logging.getLogger()
    formatter = root.handlers[0].formatter if root.handlers else None
    try:
        pickle.dumps(formatter)
    except Exception:
        formatter = None
    return root.level, formatter
