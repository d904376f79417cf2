"""A clock that a test moves."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from asynq_py.clock import from_unix_ns
from asynq_py.options import Duration, duration_ns, moment_ns


class VirtualClock:
    """Tells a time that only a test moves on; for all that takes a ``clock``.

    Args:
        start: Where it stands still until it is moved; an aware datetime. Without it, it goes
            along with the machine's clock, ahead by as much as it was moved: so it also goes
            with clients that know nothing of it.

    Raises:
        ConfigError: The start has no time zone.

    Example::

        clock = VirtualClock()
        client = Client(url, clock=clock)
        client.enqueue(Task("report"), process_in=timedelta(hours=1))
        clock.advance(hours=1)
        drain(mux, url, clock=clock)  # runs it
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._still_ns = None if start is None else moment_ns("start", start)
        self._ahead_ns = 0

    @property
    def now(self) -> datetime:
        """The time; aware, UTC."""
        return from_unix_ns(self.now_ns())

    def now_ns(self) -> int:
        """Unix time in nanoseconds."""
        base_ns = time.time_ns() if self._still_ns is None else self._still_ns
        return base_ns + self._ahead_ns

    def advance(
        self,
        by: Duration = 0,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> None:
        """Moves it on; nothing is run by it, that is what ``drain`` is for.

        Args:
            by: How far; a timedelta, or seconds.
            days, hours, minutes, seconds: How far, in other words.

        Raises:
            ConfigError: It would go back.
        """
        more = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        self._ahead_ns += duration_ns("by", by) + duration_ns("by", more)

    def advance_to(self, moment: datetime) -> None:
        """Moves it on to a moment; does nothing if that has passed.

        Raises:
            ConfigError: The moment has no time zone.
        """
        self.advance_to_ns(moment_ns("moment", moment))

    def advance_to_ns(self, unix_ns: int) -> None:
        """The same, in Unix nanoseconds."""
        self._ahead_ns += max(0, unix_ns - self.now_ns())

    def __repr__(self) -> str:
        return f"VirtualClock({self.now.isoformat()})"
