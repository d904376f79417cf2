"""What a program says on stdout, as it says it, and waiting for it without polling."""

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
Event = dict[str, Any]
"""A line of stdout that is a JSON object with the key "event"."""


class WaitTimeout(TimeoutError):
    """What was waited for did not come in time; the text tells what came instead."""


class ProgramEnded(RuntimeError):
    """The program ended before what was waited for came."""


class EventLog:
    """Follows a stream of bytes on a thread of its own.

    Args:
        chunks: The bytes, cut anywhere; its end is the end of the program.
        describe: What to tell in an error, such as the program's name and stderr.
    """

    def __init__(self, chunks: Iterable[bytes], describe: Callable[[], str]) -> None:
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._lines: list[str] = []
        self._ended = False
        self._describe = describe
        self._thread = threading.Thread(target=self._follow, args=(chunks,), daemon=True)
        self._thread.start()

    @property
    def events(self) -> list[Event]:
        """The events so far."""
        with self._changed:
            return list(self._events)

    @property
    def lines(self) -> list[str]:
        """The lines so far, events included."""
        with self._changed:
            return list(self._lines)

    @property
    def ended(self) -> bool:
        """Whether the stream has ended."""
        with self._changed:
            return self._ended

    def wait_for(self, look: Callable[[], T | None], *, what: str, timeout: float) -> T:
        """Calls `look` now and after every line until it answers something true.

        Args:
            look: Is called with the log's lock held; it may read `events` and `lines`.
            what: The claim, for the error.
            timeout: Seconds.

        Raises:
            WaitTimeout: The time is over.
            ProgramEnded: The stream has ended.
        """
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                found = look()
                if found:
                    return found
                if self._ended:
                    raise ProgramEnded(f"ended before {what}. {self._story()}")
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    found = look()
                    if found:
                        return found
                    raise WaitTimeout(f"no {what} in {timeout} s. {self._story()}")

    def wait_for_event(self, name: str, *, timeout: float) -> Event:
        """Waits for the first event of that name, which may have come already."""
        return self.wait_for(
            lambda: next((e for e in self._events if e["event"] == name), None),
            what=f"event {name!r}",
            timeout=timeout,
        )

    def wait_for_line(self, text: str, *, timeout: float) -> str:
        """Waits for a line that contains the text."""
        return self.wait_for(
            lambda: next((line for line in self._lines if text in line), None),
            what=f"line with {text!r}",
            timeout=timeout,
        )

    def join(self, timeout: float) -> None:
        """Waits for the end of the stream."""
        self._thread.join(timeout)

    def _story(self) -> str:
        last = "\n".join(self._lines[-20:])
        return f"{self._describe()}\n{len(self._lines)} lines of stdout, the last:\n{last}"

    def _follow(self, chunks: Iterable[bytes]) -> None:
        rest = b""
        try:
            for chunk in chunks:
                *whole, rest = (rest + chunk).split(b"\n")
                self._take(whole)
        except (OSError, ValueError):
            pass  # the stream was closed under us: its end
        finally:
            self._take([rest] if rest else [], ended=True)

    def _take(self, raw: list[bytes], *, ended: bool = False) -> None:
        lines = [line.decode(errors="replace").rstrip("\r") for line in raw]
        with self._changed:
            self._lines += lines
            self._events += [event for line in lines if (event := parse_event(line))]
            self._ended = ended
            self._changed.notify_all()


def parse_event(line: str) -> Event | None:
    """Reads a line; None unless it is an object with the key "event"."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
