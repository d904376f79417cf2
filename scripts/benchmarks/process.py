"""A contender's process, spoken to in lines of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .model import Unavailable

START_TIMEOUT = 60.0
ANSWER_TIMEOUT = 120.0


class Process:
    """A running driver; whatever goes wrong with it is an Unavailable.

    Args:
        command: The command line.
        env: What its environment has beside our own.
    """

    def __init__(self, command: list[str], env: Mapping[str, str] | None = None) -> None:
        paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        path = os.pathsep.join(filter(None, paths))
        #: The first line it has said.
        self.greeting: dict[str, Any] = {}
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=os.environ | {"PYTHONPATH": path} | dict(env or {}),
                bufsize=0,
            )
        except OSError as error:
            self._stderr.close()
            raise Unavailable(f"{command[0]}: {error}") from error

    @property
    def pid(self) -> int:
        """The process ID."""
        return self._process.pid

    def wait_until_ready(self) -> dict[str, str]:
        """Returns when it can take commands, with the versions of what it is made of."""
        self.greeting = self._read(START_TIMEOUT)
        versions: dict[str, str] = self.greeting["versions"]
        return versions

    def check(self) -> None:
        """Raises Unavailable if it has ended."""
        if self._process.poll() is not None:
            raise Unavailable(f"it ended: {self._last_words()}")

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """Sends a command and waits for the answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
        except OSError as error:
            raise Unavailable(f"it ended: {self._last_words()}") from error
        answer = self._read(ANSWER_TIMEOUT)
        if "error" in answer:
            raise Unavailable(str(answer["error"]))
        return answer

    def stop(self) -> None:
        """Ends it: gently, and if that does not help soon, by force."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._stderr.close()

    def _read(self, timeout: float) -> dict[str, Any]:
        """Reads one line; there is never more than one on its way."""
        assert self._process.stdout is not None
        end = time.monotonic() + timeout
        line = b""
        while not line.endswith(b"\n"):
            left = max(0.0, end - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                self._process.kill()
                raise Unavailable(f"no answer within {timeout:.0f} s: {self._last_words()}")
            piece = self._process.stdout.read(65536)
            if not piece:
                self._process.wait()
                raise Unavailable(f"it ended: {self._last_words()}")
            line += piece
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise Unavailable(f"not an answer: {line[:200]!r}") from None
        return answer

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "without a word"
