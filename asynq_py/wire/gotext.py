"""Go's text forms of strings, durations and times, and how to read them back.

Scheduler entries keep their options as such text: ``Queue("a")``, ``Timeout(30m0s)``,
``Deadline(Tue Mar  5 07:08:09 UTC 2024)``. Errors are ``ValueError``.

Source: Go 1.26, packages strconv and time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

_MICROSECOND: Final = 1_000
_MILLISECOND: Final = 1_000_000
_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_INT64: Final = 1 << 63

# --- quoted strings ---

_SHORT_ESCAPES: Final = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
_LONG_FORMS: Final = {text: char for char, text in _SHORT_ESCAPES.items()}

_QUOTED_PIECE: Final = re.compile(
    r'(?P<plain>[^"\\\n]+)'
    r'|(?P<short>\\[abfnrtv\\"])'
    r"|\\x(?P<byte>[0-9a-fA-F]{2})"
    r"|\\(?P<octal>[0-3][0-7]{2})"
    r"|\\u(?P<rune4>[0-9a-fA-F]{4})"
    r"|\\U(?P<rune8>[0-9a-fA-F]{8})"
)


def quote(text: str) -> str:
    """Gives Go's ``%q``: in double quotes, what is not printable escaped.

    Printable is what Python's Unicode tables say is: version 14 in Python 3.11, 15.0 in 3.12,
    15.1 in 3.13; Go 1.21 to 1.26 has 15.0. A character that one knows and the other does not
    is verbatim on one side and escaped on the other; both read back as the same text.

    Args:
        text: May hold bytes that are no UTF-8 as ``surrogateescape`` gives them; they are
            written ``\\xNN``, as Go does.

    Raises:
        ValueError: Other lone surrogates.
    """
    if not text.isascii():
        # Surrogates that together are UTF-8 become the character: Go sees bytes only.
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join([_quote_char(char) for char in text]) + '"'


def _quote_char(char: str) -> str:
    if char in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def unquote(text: str) -> str:
    """Reads a Go string literal in double quotes.

    Returns:
        The text; bytes that are no UTF-8 as ``surrogateescape`` gives them.

    Raises:
        ValueError: It is no such literal.
    """
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        raise ValueError(f"invalid syntax: {text!r} is not in double quotes")
    result = bytearray()
    at, end = 1, len(text) - 1
    while at < end:
        match = _QUOTED_PIECE.match(text, at, end)
        if match is None:
            raise ValueError(f"invalid syntax: {text!r} at {at}")
        result += _unquote_piece(match)
        at = match.end()
    return result.decode("utf-8", "surrogateescape")


def _unquote_piece(match: re.Match[str]) -> bytes:
    piece = match[match.lastgroup or 0]
    match match.lastgroup:
        case "plain":
            return piece.encode("utf-8", "surrogateescape")
        case "short":
            return _LONG_FORMS[piece].encode()
        case "byte":
            return bytes([int(piece, 16)])
        case "octal":
            return bytes([int(piece, 8)])
        case _:
            code = int(piece, 16)
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                raise ValueError(f"invalid syntax: {match[0]} is no character")
            return chr(code).encode()


# --- durations ---

_UNITS: Final = {
    "ns": 1,
    "us": _MICROSECOND,
    "\u00b5s": _MICROSECOND,  # micro sign
    "\u03bcs": _MICROSECOND,  # Greek letter mu
    "ms": _MILLISECOND,
    "s": _SECOND,
    "m": _MINUTE,
    "h": _HOUR,
}

_DURATION_TERM: Final = re.compile(r"([0-9]*)(?:(\.)([0-9]*))?([^.0-9]*)", re.DOTALL)


def duration(nanoseconds: int) -> str:
    """Gives Go's ``time.Duration.String``: "1h0m0s", "1.5s", "1.5µs" (U+00B5), "0s".

    Raises:
        ValueError: It does not fit into 64 bits.
    """
    if not -_INT64 <= nanoseconds < _INT64:
        raise ValueError(f"duration of {nanoseconds} ns does not fit into 64 bits")
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    if rest < _MICROSECOND:
        return f"{sign}{rest}ns"
    if rest < _MILLISECOND:
        return f"{sign}{_decimal(rest, 3)}\u00b5s"
    if rest < _SECOND:
        return f"{sign}{_decimal(rest, 6)}ms"
    hours, rest = divmod(rest, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    seconds = f"{_decimal(rest, 9)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    if minutes:
        return f"{sign}{minutes}m{seconds}"
    return sign + seconds


def _decimal(number: int, places: int) -> str:
    """Gives the number with its last ``places`` digits behind the point, without trailing 0s."""
    whole, fraction = divmod(number, 10**places)
    return f"{whole}.{fraction:0{places}d}".rstrip("0").rstrip(".")


class DurationError(ValueError):
    """Text is no Go duration; ``position`` is the index of the first wrong character."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


def parse_duration(text: str) -> int:
    """Reads Go's ``time.ParseDuration`` form: "1h30m", "-1.5s", "+2us", "0".

    Returns:
        Nanoseconds. What is smaller is cut off, with the same float arithmetic as in Go.

    Raises:
        DurationError: With Go's text: invalid, missing unit or unknown unit.
    """
    invalid = f"time: invalid duration {_time_quote(text)}"
    position = 1 if text[:1] in ("+", "-") else 0
    negative = text[:1] == "-"
    if text[position:] == "0":
        return 0
    if position == len(text):
        raise DurationError(invalid, position)
    total = 0
    while position < len(text):
        position, length = _duration_term(text, position, invalid)
        total = (total + length) % (1 << 64)  # Go adds in 64 bits and does not notice a carry
        if total > _INT64:
            raise DurationError(invalid, position)
    if negative:
        return -total
    if total == _INT64:
        raise DurationError(invalid, 0)
    return total


def _duration_term(text: str, start: int, invalid: str) -> tuple[int, int]:
    """Reads one number with its unit; returns where the next starts, and nanoseconds."""
    match = _DURATION_TERM.match(text, start)
    if match is None or not (match[1] or match[2]):
        raise DurationError(invalid, start)
    digits = match[1].lstrip("0")
    whole = int(digits or "0") if len(digits) < 20 else _INT64 + 1
    if whole > _INT64 or not (match[1] or match[3]):
        raise DurationError(invalid, start)
    if not match[4]:
        missing = f"time: missing unit in duration {_time_quote(text)}"
        raise DurationError(missing, match.end())
    unit = _UNITS.get(match[4])
    if unit is None:
        unknown = f"time: unknown unit {_time_quote(match[4])} in duration {_time_quote(text)}"
        raise DurationError(unknown, match.start(4))
    if whole > _INT64 // unit:
        raise DurationError(invalid, start)
    fraction, scale = _fraction(match[3] or "")
    # In floating point and in this order, as in Go.
    length = whole * unit + (int(float(fraction) * (float(unit) / scale)) if fraction else 0)
    if length > _INT64:
        raise DurationError(invalid, start)
    return match.end(), length


def _fraction(digits: str) -> tuple[int, float]:
    """Returns digits behind a point as a number and the power of ten to divide by.

    Digits that no longer fit into 63 bits are ignored, as in Go.
    """
    number, scale = 0, 1.0
    for digit in digits:
        if number > (_INT64 - 1) // 10 or number * 10 + int(digit) > _INT64:
            break
        number = number * 10 + int(digit)
        scale *= 10
    return number, scale


def _time_quote(text: str) -> str:
    """Quotes as package time does: all that is not ASCII byte by byte."""
    quoted = []
    for byte in text.encode("utf-8", "surrogatepass"):
        if byte < 0x20 or byte >= 0x80:
            quoted.append(f"\\x{byte:02x}")
        elif byte in b'"\\':
            quoted.append("\\" + chr(byte))
        else:
            quoted.append(chr(byte))
    return '"' + "".join(quoted) + '"'


# --- times ---

# Not strftime's, which follow the locale.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)

_UNIX_DATE: Final = re.compile(
    rf"(?:{'|'.join(_DAYS)}) ({'|'.join(_MONTHS)}) +([0-9]{{1,2}})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) (\S+) ([0-9]{4})"
)
_NUMERIC_ZONE: Final = re.compile(r"([+-])([0-9]{2})([0-9]{2})")
_GMT_ZONE: Final = re.compile(r"GMT([+-][0-9]{1,2})")


def unix_date(value: datetime) -> str:
    """Gives Go's ``time.UnixDate``: "Tue Mar  5 07:08:09 UTC 2024"; parts of a second are cut.

    The zone is the abbreviation that the value's own location has at that time ("CET", or
    "-03" where the zone has no letters). A fixed offset without a name is "+0530".

    Raises:
        ValueError: The value is naive.
    """
    offset = value.utcoffset()
    if offset is None:
        raise ValueError(f"naive datetime {value.isoformat()}")
    return (
        f"{_DAYS[value.weekday()]} {_MONTHS[value.month - 1]} {value.day:2d}"
        f" {value.hour:02d}:{value.minute:02d}:{value.second:02d}"
        f" {_zone(value, offset)} {value.year:04d}"
    )


def _zone(value: datetime, offset: timedelta) -> str:
    name = value.tzname()
    # Python makes up "UTC+05:30" for an offset without a name.
    made_up = isinstance(value.tzinfo, timezone) and name == timezone(offset).tzname(None)
    if name and not (made_up and offset):
        return name
    minutes = int(offset.total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"


def parse_unix_date(text: str, local: tzinfo = UTC) -> datetime:
    """Reads Go's ``time.UnixDate`` form, as ``time.Parse`` does.

    "UTC" is UTC; another abbreviation means what it means in ``local``, if it is known there
    at that time or in that year's January or July; every other abbreviation is kept as a name,
    with offset 0. "GMT+3" names no known zone either, yet Go gives the instant that offset 0
    means, shown 3 hours later; so do we. "+0530", which Go writes but cannot read, is an offset
    here. The name of the day is not compared with the date.

    Raises:
        ValueError: It is no such text, or there is no such date or time.
    """
    match = _UNIX_DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no time like 'Tue Mar  5 07:08:09 UTC 2024'")
    month, day, hour, minute, second, zone, year = match.groups()
    try:
        value = datetime(  # noqa: DTZ001  # the zone follows
            int(year),
            _MONTHS.index(month) + 1,
            int(day),
            int(hour),
            int(minute),
            int(second),
        )
    except ValueError as error:
        raise ValueError(f"{text!r}: {error}") from None
    return _in_zone(value, zone, local)


def _in_zone(value: datetime, zone: str, local: tzinfo) -> datetime:
    if zone == "UTC":
        return value.replace(tzinfo=UTC)
    for fold in (0, 1):
        candidate = value.replace(tzinfo=local, fold=fold)
        if candidate.tzname() == zone:
            return candidate
    for month in (1, 7):
        other = datetime(value.year, month, 1, tzinfo=local)
        if other.tzname() == zone:
            named = timezone(other.utcoffset() or timedelta())
            return value.replace(tzinfo=named).astimezone(local)
    if match := _NUMERIC_ZONE.fullmatch(zone):
        sign = -1 if match[1] == "-" else 1
        return value.replace(
            tzinfo=timezone(sign * timedelta(hours=int(match[2]), minutes=int(match[3])))
        )
    if match := _GMT_ZONE.fullmatch(zone):
        shown = timezone(timedelta(hours=int(match[1])), zone)
        return value.replace(tzinfo=UTC).astimezone(shown)
    return value.replace(tzinfo=timezone(timedelta(), zone))
