"""An event loop on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from asynq_py.errors import ConfigError

T = TypeVar("T")

#: How long closing waits for the thread, seconds: something may block it.
JOIN_S = 5.0


class Loop:
    """Runs from when it is made until it is closed.

    Args:
        uvloop: Whether it is uvloop's; None for "if it is installed".

    Raises:
        ConfigError: uvloop was asked for and is not installed.
    """

    def __init__(self, uvloop: bool | None) -> None:
        self.loop = _new_loop(uvloop)
        self._last: Callable[[], Coroutine[Any, Any, None]] | None = None
        self._thread = threading.Thread(target=self._run, name="asynq-server", daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Runs a coroutine to its end, from another thread.

        Raises:
            TimeoutError: It has not ended by then: something blocks the loop.
        """
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout_s)

    def post(self, function: Callable[[], object]) -> None:
        """Has a function called soon, from any thread; a closed loop calls nothing."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function)

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancels what still runs, does the last thing, and ends the thread."""
        self._last = last
        self.post(self.loop.stop)
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            if left:
                self.loop.run_until_complete(asyncio.wait(left, timeout=1.0))
            if self._last is not None:
                self.loop.run_until_complete(self._last())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()


def _new_loop(uvloop: bool | None) -> asyncio.AbstractEventLoop:
    if uvloop is not False:
        try:
            import uvloop as library
        except ImportError:
            if uvloop:
                raise ConfigError(
                    "uvloop is not installed: pip install asynq_py[uvloop], or leave uvloop out"
                ) from None
        else:
            loop: asyncio.AbstractEventLoop = library.new_event_loop()
            return loop
    return asyncio.SelectorEventLoop()
