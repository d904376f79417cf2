"""`@every <duration>`: a fixed distance, in whole seconds."""

from __future__ import annotations

import re

from asynq_py.schedule.golang import quote_bytes
from asynq_py.schedule.problem import Problem
from asynq_py.schedule.zone import FIRST_S, HORIZON_S

_SECOND = 10**9
_UNITS = {
    "ns": 1, "us": 10**3, "\u00b5s": 10**3, "\u03bcs": 10**3, "ms": 10**6,
    "s": _SECOND, "m": 60 * _SECOND, "h": 3600 * _SECOND,
}  # fmt: skip
_LARGEST = 1 << 63
_TERM = re.compile(r"([0-9]*)(?:(\.)([0-9]*))?([^.0-9]*)", re.DOTALL)


class Every:
    """Due every ``delay`` seconds from the instant asked about, not aligned to the clock.

    Source: robfig/cron v3.0.1, ConstantDelaySchedule.
    """

    __slots__ = ("delay",)

    def __init__(self, delay: int) -> None:
        self.delay = delay

    def next_s(self, after_s: int) -> int | None:
        """Returns ``after_s`` plus the delay, or None beyond the year 9999."""
        due = max(after_s, FIRST_S) + self.delay
        return due if due < HORIZON_S else None


def parse_every(duration: str) -> Every:
    """Reads the part after ``@every ``; under 1 s counts as 1 s, fractions are cut off.

    Raises:
        Problem: Worded as Go's time.ParseDuration does.
    """
    return Every(max(parse_duration(duration), _SECOND) // _SECOND)


def parse_duration(text: str) -> int:
    """Reads a Go duration such as ``1h30m`` or ``-1.5s``, as nanoseconds.

    Raises:
        Problem: Worded as Go's time.ParseDuration does. No duration is longer than 2**63 ns.

    Source: Go, time.ParseDuration.
    """
    invalid = f"time: invalid duration {quote_bytes(text)}"
    position = 1 if text[:1] in ("+", "-") else 0
    negative = text[:1] == "-"
    if text[position:] == "0":
        return 0
    if position == len(text):
        raise Problem(invalid, position)
    total = 0
    while position < len(text):
        position, length = _term(text, position, invalid)
        total = (total + length) % (1 << 64)  # Go adds in 64 bits and does not notice a carry
        if total > _LARGEST:
            raise Problem(invalid, position)
    if negative:
        return -total
    if total == _LARGEST:
        raise Problem(invalid)
    return total


def _term(text: str, start: int, invalid: str) -> tuple[int, int]:
    """Reads one number with its unit; returns where the next starts, and nanoseconds."""
    match = _TERM.match(text, start)
    if match is None or not (match[1] or match[2]):
        raise Problem(invalid, start)
    digits = match[1].lstrip("0")
    whole = int(digits or "0") if len(digits) < 20 else _LARGEST + 1
    if whole > _LARGEST or not (match[1] or match[3]):
        raise Problem(invalid, start)
    if not match[4]:
        raise Problem(f"time: missing unit in duration {quote_bytes(text)}", match.end())
    unit = _UNITS.get(match[4])
    if unit is None:
        unknown = f"time: unknown unit {quote_bytes(match[4])} in duration {quote_bytes(text)}"
        raise Problem(unknown, match.start(4))
    if whole > _LARGEST // unit:
        raise Problem(invalid, start)
    fraction, scale = _fraction(match[3] or "")
    # In floating point and in this order, as in Go.
    length = whole * unit + (int(float(fraction) * (float(unit) / scale)) if fraction else 0)
    if length > _LARGEST:
        raise Problem(invalid, start)
    return match.end(), length


def _fraction(digits: str) -> tuple[int, float]:
    """Returns digits behind a point as a number and the power of ten to divide by.

    Digits that no longer fit into 63 bits are ignored, as in Go.
    """
    number, scale = 0, 1.0
    for digit in digits:
        if number > (_LARGEST - 1) // 10 or number * 10 + int(digit) > _LARGEST:
            break
        number = number * 10 + int(digit)
        scale *= 10
    return number, scale
