"""Messages that may come a thousand times a second are written now and then."""

from __future__ import annotations

import logging
import re
import time

#: How often a message of a kind is written, seconds.
EVERY_S = 3.0
_DIGITS = re.compile(r"['\"].*?['\"]|\d+")


class Quiet:
    """Writes a message at once, and others that differ in names and numbers after a while."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        #: When a kind was written last, and how many were left out since.
        self._kinds: dict[str, tuple[float, int]] = {}

    def warning(self, message: str) -> None:
        """Something is not as it should be, and is coped with."""
        self._write(logging.WARNING, message)

    def error(self, message: str) -> None:
        """Something is lost or broken."""
        self._write(logging.ERROR, message)

    def info(self, message: str) -> None:
        """Something is well again."""
        self._write(logging.INFO, message)

    def fault(self, message: str, error: Exception) -> None:
        """Something is wrong in asynq_py itself: always told, with where."""
        self._log.error(message, exc_info=error)

    def _write(self, level: int, message: str) -> None:
        kind = _DIGITS.sub("", message)
        now = time.monotonic()
        last, left_out = self._kinds.get(kind, (-EVERY_S, 0))
        if now - last < EVERY_S:
            self._kinds[kind] = (last, left_out + 1)
            return
        self._kinds[kind] = (now, 0)
        more = f" (and {left_out} like it before)" if left_out else ""
        self._log.log(level, "%s%s", message, more)
