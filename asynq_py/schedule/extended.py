"""The "extended" dialect: croniter's calendar with our handling of clock changes.

croniter is only asked which local times match; its own time zone rules are not used.
"""

from __future__ import annotations

import importlib
import re
import threading
from typing import Protocol, cast

from asynq_py.schedule.golang import WORD
from asynq_py.schedule.grammar import wrong_count
from asynq_py.schedule.problem import Problem

#: A search looks this many years ahead (croniter's own bound).
YEARS = 50

_NAMES = ("second", "minute", "hour", "day of month", "month", "day of week")
# croniter draws lots for R, and H needs an identity: neither is a fixed schedule.
_RANDOM = re.compile(r"(?:^|,)[hr]", re.IGNORECASE)
# From here on croniter's arithmetic may leave the years of datetime: 9900-01-01.
_NEAR_THE_END_S = 250_249_219_200


class _Cron(Protocol):
    """What is used of a croniter.croniter."""

    expanded: list[list[int | str]]

    def get_next(self, ret_type: type[float], start_time: float) -> float: ...


class _CronClass(Protocol):
    def __call__(
        self, expr_format: str, start_time: float, *, second_at_beginning: bool
    ) -> _Cron: ...

    def expand(self, expr_format: str, *, second_at_beginning: bool) -> object: ...


class _Module(Protocol):
    """What is used of the module croniter, which has no types of its own."""

    croniter: _CronClass
    CroniterBadDateError: type[Exception]


class Croniter:
    """The matching local times of five fields, or of six with seconds first. Thread-safe."""

    __slots__ = ("_cron", "_error", "_lock", "any_hour")

    def __init__(self, cron: _Cron, error: type[Exception]) -> None:
        self._cron = cron
        self._error = error
        self._lock = threading.Lock()
        hours = cron.expanded[1]
        self.any_hour: bool = "*" in hours or len(hours) == 24

    def first(self, local: int, last_year: int) -> int | None:
        """Returns the first matching local time at or after ``local``, in seconds, or None."""
        try:
            with self._lock:
                found = int(self._cron.get_next(float, start_time=float(local - 1)))
        except self._error:
            return None
        except (OverflowError, ValueError):
            if local < _NEAR_THE_END_S:
                raise
            return None
        return found


def parse_extended(text: str) -> Croniter:
    """Reads five fields, or six with seconds first, in croniter's syntax.

    Raises:
        Problem: With croniter's words.
    """
    words = WORD.findall(text)
    if len(words) not in (5, 6):
        raise wrong_count("expected 5 or 6 fields", text, most=6)
    for i, match in enumerate(WORD.finditer(text), 6 - len(words)):
        drawn = _RANDOM.search(match.group())
        if drawn:
            at = match.start() + drawn.end() - 1
            raise Problem(f"random values are not supported: {match.group()}", at, _NAMES[i])
    module = cast(_Module, importlib.import_module("croniter"))  # slow, and seldom needed
    try:
        cron = module.croniter(" ".join(words), 0.0, second_at_beginning=True)
    except ValueError as error:  # croniter's own errors are all of them ValueErrors
        raise _locate(module, words, text, str(error)) from error
    return Croniter(cron, module.CroniterBadDateError)


def _locate(module: _Module, words: list[str], text: str, said: str) -> Problem:
    """Finds the first field that is wrong also among stars only."""
    for i, match in enumerate(WORD.finditer(text)):
        alone = ["*"] * len(words)
        alone[i] = words[i]
        try:
            module.croniter.expand(" ".join(alone), second_at_beginning=True)
        except ValueError:
            return Problem(said, match.start(), _NAMES[i + 6 - len(words)])
    return Problem(said, len(text) - len(text.lstrip()))
