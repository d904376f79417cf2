"""What is going on, on stderr."""

from __future__ import annotations

import sys


class Progress:
    """One line that changes on a terminal; elsewhere, only lines that matter."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def now(self, text: str) -> None:
        """What is being done; replaced by what comes next."""
        if self._live:
            self._write(f"\r\x1b[2K{text[:100]}")

    def say(self, text: str) -> None:
        """What stays to be read."""
        self._write(f"\r\x1b[2K{text}\n" if self._live else f"{text}\n")

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
