"""The grammar of five-field specs, as robfig/cron's standard parser reads them.

field  = piece {"," piece}; empty pieces are ignored
piece  = base ["/" step]
base   = "*" | "?" | value ["-" value]; after "*" or "?" anything from "-" on is ignored
value  = digits, or in month and day of week the three first letters of a name

``N/step`` runs from N to the largest value. A star with a step of 2 or more no
longer counts as a star when the two day fields are combined. 7 is not Sunday.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from asynq_py.schedule.fields import ALL_DAYS, ALL_HOURS, ALL_MONTHS, ALL_WEEKDAYS, Fields
from asynq_py.schedule.golang import WORD, AtoiError, atoi
from asynq_py.schedule.problem import Problem


class _Kind(NamedTuple):
    name: str
    low: int
    high: int
    values: dict[str, int]


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_KINDS = (
    _Kind("minute", 0, 59, {}),
    _Kind("hour", 0, 23, {}),
    _Kind("day of month", 1, 31, {}),
    _Kind("month", 1, 12, {name: i for i, name in enumerate(_MONTHS, 1)}),
    _Kind("day of week", 0, 6, {name: i for i, name in enumerate(_WEEKDAYS)}),
)

#: The named specs; `@every` is not among them.
DESCRIPTORS = {
    "@yearly": Fields(1, 1, 1 << 1, 1 << 1, ALL_WEEKDAYS, both=True),
    "@annually": Fields(1, 1, 1 << 1, 1 << 1, ALL_WEEKDAYS, both=True),
    "@monthly": Fields(1, 1, 1 << 1, ALL_MONTHS, ALL_WEEKDAYS, both=True),
    "@weekly": Fields(1, 1, ALL_DAYS, ALL_MONTHS, 1, both=True),
    "@daily": Fields(1, 1, ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, both=True),
    "@midnight": Fields(1, 1, ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, both=True),
    "@hourly": Fields(1, ALL_HOURS, ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, both=True),
}


def parse_fields(text: str) -> Fields:
    """Reads five fields separated by white space.

    Raises:
        Problem: Worded as in robfig/cron v3.0.1; the first wrong field from the left.
    """
    words = WORD.findall(text)
    if len(words) != 5:
        raise wrong_count("expected exactly 5 fields", text)
    parsed = []
    for i, word in enumerate(words):
        try:
            parsed.append(_parse_field(word, i))
        except Problem as problem:
            start = [match.start() for match in WORD.finditer(text)][i]
            raise Problem(problem.text, start + problem.position, _KINDS[i].name) from None
    (minutes, _), (hours, _), (days, star), (months, _), (weekdays, week_star) = parsed
    return Fields(minutes, hours, days, months, weekdays, both=star or week_star)


def wrong_count(expected: str, text: str, most: int = 5) -> Problem:
    """Returns the problem of too few or too many fields; the first one too many is the place."""
    words = list(WORD.finditer(text))
    position = words[most].start() if len(words) > most else len(text)
    listed = " ".join(word.group() for word in words)
    return Problem(f"{expected}, found {len(words)}: [{listed}]", position)


@lru_cache(maxsize=4096)
def _parse_field(word: str, index: int) -> tuple[int, bool]:
    """Returns the bit set of a field, and whether it counts as a star."""
    kind = _KINDS[index]
    bits, star, position = 0, False, 0
    for piece in word.split(","):
        if piece:
            try:
                more, starred = _parse_piece(piece, kind)
            except Problem as problem:
                problem.position += position
                raise
            bits |= more
            star |= starred
        position += len(piece) + 1
    return bits, star


def _parse_piece(piece: str, kind: _Kind) -> tuple[int, bool]:
    # The order of the checks is robfig's, as it decides which error is reported.
    base, *steps = piece.split("/")
    bounds = base.split("-")
    low_at, high_at = 0, len(bounds[0]) + 1 if len(bounds) > 1 else 0
    star = bounds[0] in ("*", "?")
    if star:
        low, high = kind.low, kind.high
    else:
        low = high = _value(bounds[0], kind, low_at)
        if len(bounds) == 2:
            high = _value(bounds[1], kind, high_at)
        elif len(bounds) > 2:
            raise Problem(f"too many hyphens: {piece}", high_at + len(bounds[1]))
    step, step_at = 1, len(base) + 1
    if len(steps) == 1:
        step = _number(steps[0], step_at)
        if len(bounds) == 1:
            high = kind.high
        star = star and step <= 1
    elif len(steps) > 1:
        raise Problem(f"too many slashes: {piece}", step_at + len(steps[0]))
    if low < kind.low:
        raise Problem(f"beginning of range ({low}) below minimum ({kind.low}): {piece}", low_at)
    if high > kind.high:
        raise Problem(f"end of range ({high}) above maximum ({kind.high}): {piece}", high_at)
    if low > high:
        raise Problem(f"beginning of range ({low}) beyond end of range ({high}): {piece}", low_at)
    if step == 0:
        raise Problem(f"step of range should be a positive number: {piece}", step_at)
    return sum(1 << value for value in range(low, high + 1, step)), star


def _value(text: str, kind: _Kind, position: int) -> int:
    # Go's lower case of U+0130 is a plain i, Python's has a dot added.
    named = kind.values.get(text.replace("\u0130", "i").lower())
    return _number(text, position) if named is None else named


def _number(text: str, position: int) -> int:
    try:
        number = atoi(text)
    except AtoiError as error:
        problem = Problem(f"failed to parse int from {text}: {error}", position + error.position)
        raise problem from None
    if number < 0:
        raise Problem(f"negative number ({number}) not allowed: {text}", position)
    return number
