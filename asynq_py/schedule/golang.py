"""How Go reads what is in a spec: white space and integers."""

from __future__ import annotations

import re

from asynq_py.wire.gotext import quote

#: unicode.IsSpace. str.split() would also split at the separators U+001C to U+001F.
SPACES = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B)))
SPACES += "\u2028\u2029\u202f\u205f\u3000"
WORD = re.compile(f"[^{SPACES}]+")

_DIGITS = frozenset("0123456789")


class AtoiError(ValueError):
    """Text is not an integer; ``position`` is the index of the first wrong character."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def atoi(text: str) -> int:
    """Reads an integer: an optional sign, then ASCII digits, in 64 bits.

    Raises:
        AtoiError: Worded as strconv.Atoi does.
    """
    signed = text[:1] in ("+", "-")
    digits = text[1:] if signed else text
    number = 0
    # Go reads from the left: too large a number is noticed before a later wrong character.
    for i, c in enumerate(digits):
        if c not in _DIGITS:
            raise _atoi_error(text, "invalid syntax", i + signed)
        number = number * 10 + int(c)
        if number >= 1 << 64:
            raise _atoi_error(text, "value out of range", 0)
    if not digits:
        raise _atoi_error(text, "invalid syntax", len(text))
    if text[0] == "-":
        number = -number
    if not -(1 << 63) <= number < 1 << 63:
        raise _atoi_error(text, "value out of range", 0)
    return number


def _atoi_error(text: str, what: str, position: int) -> AtoiError:
    # Go sees bytes: a lone surrogate is three of them that are no UTF-8.
    seen = text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
    return AtoiError(f"strconv.Atoi: parsing {quote(seen)}: {what}", position)
