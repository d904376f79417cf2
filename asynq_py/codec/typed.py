"""Decoded payloads as dataclasses and pydantic models: the way back of what codecs encode."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import types
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from asynq_py.errors import WireError

#: What an annotation says: a type, or what `typing` makes of types, for which there is no type.
Wanted: TypeAlias = Any
#: Data, or what is made of it: which, only the annotation knows.
Value: TypeAlias = Any

_PLAIN = (str, int, float, bool)


def can_read(wanted: Wanted) -> bool:
    """Whether it is a dataclass or a pydantic model."""
    return isinstance(wanted, type) and (
        dataclasses.is_dataclass(wanted) or hasattr(wanted, "model_validate")
    )


def read_as(wanted: Wanted, data: object, place: str = "payload") -> Value:
    """Makes a value of a type of plain data: of a dataclass (its fields may be dataclasses, plain
    types, containers and unions of them, datetimes, enums, UUIDs and bytes, in the forms that the
    codecs give them), or of a pydantic model, which checks by its own rules.

    Raises:
        WireError: The data is something else; names the place.
    """
    if wanted is Any or wanted is object:
        return data
    if wanted is None or wanted is type(None):
        if data is None:
            return None
        raise _wrong(place, "null", data)
    if isinstance(wanted, type):
        if hasattr(wanted, "model_validate"):
            return _model(wanted, data, place)
        if dataclasses.is_dataclass(wanted):
            return _dataclass(wanted, data, place)
        if wanted in _PLAIN:
            return _plain(wanted, data, place)
    origin: Wanted = get_origin(wanted)
    arguments = get_args(wanted)
    if origin in (Union, types.UnionType):
        return _union(arguments, data, place)
    if origin is Literal:
        if data in arguments:
            return data
        raise _wrong(place, " or ".join(map(repr, arguments)), data)
    return _other(wanted, origin or wanted, arguments, data, place)


def _dataclass(wanted: Wanted, data: object, place: str) -> object:
    if isinstance(data, wanted):
        return data
    if not isinstance(data, Mapping):
        raise _wrong(place, f"an object ({wanted.__name__})", data)
    hints = get_type_hints(wanted)
    values = {}
    for field in dataclasses.fields(wanted):
        if not field.init:
            continue
        if field.name in data:
            values[field.name] = read_as(
                hints[field.name], data[field.name], f"{place}.{field.name}"
            )
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise WireError(f'{place} has no "{field.name}" ({wanted.__name__} needs it)')
    try:
        return wanted(**values)
    except (ValueError, TypeError) as error:
        raise WireError(f"{place} is no {wanted.__name__}: {error}") from error


def _model(wanted: Wanted, data: object, place: str) -> object:
    try:
        return wanted.model_validate(data)
    except ValueError as error:
        raise WireError(f"{place} is no {wanted.__name__}: {error}") from error


def _plain(wanted: type, data: object, place: str) -> object:
    # An integral float is written without a fraction, so it may come back as an int.
    if wanted is float and isinstance(data, int) and not isinstance(data, bool):
        try:
            return float(data)
        except OverflowError:
            raise _wrong(place, "float", data) from None
    if isinstance(data, wanted) and (wanted is bool or not isinstance(data, bool)):
        return data
    raise _wrong(place, wanted.__name__, data)


def _union(choices: tuple[Any, ...], data: object, place: str) -> object:
    if data is None and type(None) in choices:
        return None
    problems = []
    for choice in choices:
        try:
            return read_as(choice, data, place)
        except WireError as error:
            problems.append(str(error))
    raise WireError("; or ".join(problems))


def _other(
    wanted: Wanted,
    kind: Wanted,
    arguments: tuple[Any, ...],
    data: object,
    place: str,
) -> object:
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(data)
        except ValueError:
            raise _wrong(place, f"a {kind.__name__}", data) from None
    if data is None and (kind in _CONTAINERS or kind in (dict, Mapping, bytes)):
        # Go's null for a slice or a map that is nil.
        return {} if kind is Mapping else kind()
    if kind in _CONTAINERS:
        if not isinstance(data, list | tuple):
            raise _wrong(place, "a list", data)
        items = _items(kind, arguments, data, place)
        try:
            return _CONTAINERS[kind](items)
        except TypeError as error:
            raise WireError(f"{place}: {error}") from error
    if kind in (dict, Mapping):
        if not isinstance(data, Mapping):
            raise _wrong(place, "an object", data)
        of_key, of_value = arguments or (Any, Any)
        return {
            _key(of_key, key, place): read_as(of_value, value, f"{place}[{key!r}]")
            for key, value in data.items()
        }
    read = _SCALARS.get(kind)
    if read is None:
        raise WireError(f"{place}: there is no way to read a {wanted!r}")
    if isinstance(data, kind):
        return data
    try:
        return read(data)
    except (ValueError, TypeError, AttributeError, OverflowError, binascii.Error) as error:
        raise _wrong(place, f"a {kind.__name__}", data) from error


def _key(wanted: Wanted, key: Value, place: str) -> Value:
    if wanted is int and isinstance(key, str):  # keys are always text in JSON
        try:
            key = int(key)
        except ValueError:
            raise _wrong(f"{place} key", "int", key) from None
    return read_as(wanted, key, f"{place} key")


def _items(kind: Wanted, arguments: tuple[Any, ...], data: Value, place: str) -> list[object]:
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(arguments) != len(data):
            raise _wrong(place, f"a list of {len(arguments)}", data)
        kinds = list(arguments)
    else:
        kinds = [arguments[0] if arguments else Any] * len(data)
    return [
        read_as(each, item, f"{place}[{index}]")
        for index, (each, item) in enumerate(zip(kinds, data, strict=True))
    ]


def _moment(data: Value) -> datetime:
    moment = datetime.fromisoformat(data)
    if moment.utcoffset() is None:
        raise ValueError("no time zone")
    return moment


def _span(data: Value) -> timedelta:
    if not isinstance(data, int) or isinstance(data, bool):
        raise TypeError("no number of nanoseconds")
    return timedelta(microseconds=data // 1000)


_CONTAINERS: dict[Any, Any] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
}
_SCALARS: dict[Any, Any] = {
    datetime: _moment,
    date: date.fromisoformat,
    timedelta: _span,
    UUID: UUID,
    bytes: lambda data: base64.b64decode(data, validate=True),
}


def _wrong(place: str, wanted: str, data: object) -> WireError:
    text = repr(data)
    shown = text if len(text) <= 60 else text[:57] + "..."
    return WireError(f"{place} must be {wanted}, not {shown}")
