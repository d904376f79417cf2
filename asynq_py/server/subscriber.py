"""Hears which tasks are to be cancelled.

Source: asynq v0.26.0, subscriber.go.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from asynq_py.errors import AsynqError
from asynq_py.wire.keys import CANCEL

if TYPE_CHECKING:
    from asynq_py.connection.subscription import Subscription
    from asynq_py.connection.sync import Connection

#: The longest pause between attempts while Redis is away, seconds.
LONGEST_PAUSE_S = 5.0


class Subscriber:
    """Listens on a thread of its own; subscribes again whenever the connection is lost."""

    def __init__(
        self, connection: Connection, cancel: Callable[[str], None], log: logging.Logger
    ) -> None:
        self._connection = connection
        self._cancel = cancel
        self._log = log
        self._stopping = threading.Event()
        #: Whether Redis has confirmed.
        self.is_subscribed = threading.Event()
        self._subscription: Subscription | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="asynq-subscriber", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Stops listening."""
        with self._lock:
            self._stopping.set()
            if self._subscription is not None:
                self._subscription.close()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            with self._lock:
                if self._stopping.is_set():
                    return
                subscription = self._subscription = self._connection.subscription(CANCEL)
            try:
                subscription.listen(self._heard, self._confirmed)
            except AsynqError as error:
                if self.is_subscribed.is_set():
                    failures = 0
                failures += 1
                if failures == 1 and not self._stopping.is_set():
                    self._log.warning("cancellations are not heard: %s", error)
            except Exception:
                failures += 1
                self._log.exception("the subscriber met a fault; it goes on")
            finally:
                self.is_subscribed.clear()
                subscription.release()
            longest = min(LONGEST_PAUSE_S, 0.1 * 2.0 ** min(failures, 8))
            self._stopping.wait(random.uniform(0.01, longest))

    def _confirmed(self) -> None:
        self.is_subscribed.set()
        with self._lock:
            # Closed while there was no connection to close yet.
            if self._stopping.is_set() and self._subscription is not None:
                self._subscription.close()

    def _heard(self, message: bytes) -> None:
        self._cancel(message.decode("utf-8", "replace"))
