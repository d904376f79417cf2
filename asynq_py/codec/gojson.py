"""JSON as Go's ``encoding/json`` writes it, byte for byte.

The work is done by Python's own C encoder. It differs from Go in the forms of some numbers
and in three escapes, so its text is corrected, and only where there is something to correct.

Source: Go 1.22 and later, ``json.Marshal`` (before, Go wrote \\b and \\f as \\u0008, \\u000c).
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, NoReturn

from asynq_py.codec.plain import (
    BYTES_LIKE,
    MAX_DEPTH,
    Decoded,
    Refused,
    Target,
    instant,
    to_plain,
    too_deep,
)
from asynq_py.errors import ConfigError, WireError

# The end of a float without a fraction. Python writes no other float with a last digit 0.
_WHOLE: Final = re.compile(r"\.0(?=[,\]}])")

# A float that Go writes otherwise: without a fraction, or with an exponent.
_ODD_NUMBER: Final = r"[:,\[]-?\d+(?:\.0|(?:\.\d+)?e[+-]\d+)(?=[,\]}])"
_ODD: Final = re.compile(_ODD_NUMBER)
_ODD_OR_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"|' + _ODD_NUMBER)

# An escape in JSON text; group 1 is half of a surrogate pair without the other half.
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

# Integers longer than this may pass Python's limit of digits; looked at only to explain.
_LONG_INTEGER_BITS: Final = 2048


class JSONCodec:
    """Encodes as Go's ``json.Marshal``; decodes to dicts, lists, str, int, float, bool, None.

    Taken besides plain data: dataclasses and pydantic models (fields in their order, as in a
    struct), ``Enum`` (its value), bytes-like (base64, ``[]byte``), aware ``datetime`` (RFC 3339
    with nanoseconds, ``time.Time``), ``timedelta`` (integer nanoseconds, ``time.Duration``),
    ``UUID``, tuples (as lists).

    A dict is a struct, its order is kept; with only ``int`` keys it is a Go ``map[int]``, whose
    keys are text, sorted as text. With ``sort_keys`` everything is a map: all levels are
    sorted by the bytes of the keys, those of dataclasses and models too.
    """

    def __init__(self, name: str, *, sort_keys: bool = False) -> None:
        self._name = name
        self._chunks = _make_writer(sort_keys=sort_keys)

    def __repr__(self) -> str:
        return self._name

    def encode(self, value: object, /) -> bytes:
        """Gives the JSON text in UTF-8, without blanks.

        Raises:
            ConfigError: NaN or infinity, a naive datetime, a key that is neither ``str`` nor
                ``int``, text with lone surrogates, a value that refers back to itself or is
                nested too deeply, or of a type without a form. The message names the place.
        """
        plain = value
        try:
            odd = (0, 0) if _is_flat(plain) else _survey((plain,))
            if odd is None:
                plain = to_plain(value, _TARGET)
                odd = _survey((plain,))
                if odd is None:
                    raise ConfigError(too_deep())
            text = "".join(self._chunks(plain, 0))
            whole, exponents = odd
            if whole or exponents:
                text = _go_numbers(text, whole, exponents)
            if "<" in text:
                text = text.replace("<", "\\u003c")
            if ">" in text:
                text = text.replace(">", "\\u003e")
            if "&" in text:
                text = text.replace("&", "\\u0026")
            if not text.isascii():
                text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
            return text.encode()
        except ConfigError:
            raise
        except (ValueError, TypeError) as error:
            to_plain(value, _TARGET)  # names the place, if it finds one
            raise ConfigError(f"payload: cannot be encoded as JSON: {error}") from error
        except RecursionError as error:
            raise ConfigError(too_deep()) from error

    def decode(self, data: bytes, /) -> Decoded:
        """Gives the data of a JSON text.

        Of two equal keys the last counts, and half a surrogate pair becomes U+FFFD: as in Go.
        A number without point and exponent is an ``int``, also where a float was encoded.

        Raises:
            WireError: Not UTF-8, not JSON, NaN or infinity, a number out of range, too deep.
        """
        try:
            text = str(data, "utf-8")
            if "\\u" in text:
                text = _ESCAPE.sub(_whole_escape, text)
            return json.loads(text, parse_float=_finite, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise WireError(f"payload is not JSON: {error}") from error


def _make_writer(*, sort_keys: bool) -> Callable[[object, int], Iterable[str]]:
    """Gives a function (value, 0) -> pieces of JSON text, for data that `_survey` passed.

    ``JSONEncoder.encode`` makes a C encoder for each call; we make one, if Python has it.
    """
    encoder = json.JSONEncoder(
        ensure_ascii=False,
        check_circular=False,
        allow_nan=False,
        sort_keys=sort_keys,
        separators=(",", ":"),
    )
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return lambda value, _level: (encoder.encode(value),)
    writer: Callable[[object, int], Iterable[str]] = make(
        None,  # no markers: cycles have been ruled out
        encoder.default,
        json.encoder.encode_basestring,
        None,  # no indent
        ":",
        ",",
        sort_keys,
        False,  # keys are never skipped
        False,  # NaN is an error
    )
    return writer


#: What needs no look: no floats, and nothing inside.
_SIMPLE = frozenset((str, int, bool, type(None)))


def _is_flat(value: object) -> bool:
    """Whether a survey would find nothing: quick, for the dicts that most payloads are."""
    if type(value) is not dict or not _SIMPLE.issuperset(map(type, value.values())):
        return False
    try:
        "".join(value)
    except TypeError:
        return False
    return True


def _survey(root: object) -> tuple[int, int] | None:
    """Counts the floats that Go writes otherwise; None where the C encoder alone is not enough.

    Returns:
        Those that Python writes as "1.0", and those it writes with an exponent. NaN and
        infinity pass: the C encoder refuses them.
    """
    whole = exponents = depth = 0
    level: list[Any] = [root]
    while level:
        depth += 1
        if depth > MAX_DEPTH + 1:  # the root holds the value
            return None  # too deep, or a cycle
        below = []
        for container in level:
            if type(container) is dict:
                try:
                    "".join(container)  # the quickest way to see that all keys are text
                except TypeError:
                    return None
                members = container.values()
            else:
                members = container
            for member in members:
                kind = type(member)
                if kind is str or kind is int:
                    continue
                if kind is float:
                    if member.is_integer() and -1e16 < member < 1e16:
                        whole += 1
                    elif member >= 1e16 or member <= -1e16 or -1e-4 < member < 1e-4:
                        exponents += 1
                elif kind is dict or kind is list or kind is tuple:
                    below.append(member)
                elif kind is not bool and member is not None:
                    return None
        level = below
    return whole, exponents


def _go_numbers(text: str, whole: int, exponents: int) -> str:
    """Rewrites the counted floats of a JSON text to Go's form.

    Text inside strings may look like a number; then the count shows it, and strings are
    recognised in another, slower pass.
    """
    text = f"[{text}]"
    if exponents:
        result, found = _ODD.subn(_go_number, text)
    else:
        result, found = _WHOLE.subn("", text)
    if found != whole + exponents:
        result = _ODD_OR_STRING.sub(_go_number, text)
    return result[1:-1]


def _go_number(match: re.Match[str]) -> str:
    """Gives one number, behind its delimiter, as Go writes it; a string as it is.

    Go: with an exponent below 1e-6 and from 1e21 on, and that of one digit if it can be.
    """
    token = match[0]
    if token[0] == '"':
        return token
    if token.endswith(".0"):
        return token[:-2]
    mantissa, _, power = token.partition("e")
    exponent = int(power)
    if exponent >= 21:
        return token
    if exponent < -6:
        return f"{mantissa}e{exponent}"
    digits = mantissa.replace(".", "").lstrip(":,[-")
    head = mantissa[: 2 if mantissa[1] == "-" else 1]
    if exponent < 0:
        return head + "0." + "0" * (-exponent - 1) + digits
    return head + digits.ljust(exponent + 1, "0")


def _leaf(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return NotImplemented
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        number = float(value)
        if not math.isfinite(number):
            raise Refused(f"{number} is no number in JSON")
        return number
    if isinstance(value, BYTES_LIKE):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return _rfc3339(instant(value))
    return NotImplemented


def _text(value: str) -> str:
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused(f"{text!a} is not valid Unicode: lone surrogates") from error
    return text


def _integer(value: int) -> int:
    number = int(value)
    if number.bit_length() > _LONG_INTEGER_BITS:
        try:
            str(number)
        except ValueError as error:
            raise Refused(f"int of {number.bit_length()} bits: {error}") from error
    return number


def _rfc3339(value: datetime) -> str:
    """Gives Go's RFC3339Nano: no trailing zeros, "Z" for offset 0, offsets cut to minutes."""
    fraction = f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
    seconds = int((value.utcoffset() or timedelta()).total_seconds())
    zone = "Z"
    if seconds:
        minutes = int(seconds / 60)
        hours, minute = divmod(abs(minutes), 60)
        zone = f"{'-' if minutes < 0 else '+'}{hours:02d}:{minute:02d}"
    return value.replace(tzinfo=None, microsecond=0).isoformat() + fraction + zone


def _keys(members: Mapping[object, object]) -> Iterable[tuple[str, object]]:
    items: dict[str, object] = {}
    numbers = 0
    for key, member in members.items():
        if isinstance(key, str):
            name = _text(key)
        elif isinstance(key, int) and not isinstance(key, bool):
            name = str(_integer(key))
            numbers += 1
        else:
            raise Refused(
                f"key {key!r} is a {type(key).__qualname__}; keys in JSON are str, or int"
            )
        if name in items:
            raise Refused(f"key {name!r} is there twice, as str and as int")
        items[name] = member
    return sorted(items.items(), key=_first) if numbers == len(items) else items.items()


def _first(item: tuple[str, object]) -> str:
    return item[0]


_TARGET: Final = Target("JSON", _leaf, _keys)


def _whole_escape(match: re.Match[str]) -> str:
    return "\ufffd" if match[1] else match[0]


def _finite(token: str) -> float:
    number = float(token)
    if not math.isfinite(number):
        raise ValueError(f"{token} does not fit into a float")
    return number


def _no_constant(token: str) -> NoReturn:
    raise ValueError(f"{token} is not JSON")
