"""Turns what Python programs hold into the plain data that a codec can write.

Also the place where a value is refused, with the path to it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from numbers import Number
from typing import Any, Final, TypeAlias
from uuid import UUID

from asynq_py.errors import ConfigError

#: Decoded data. Any, since who decodes knows what was encoded, and would have to cast.
Decoded: TypeAlias = Any

#: Containers inside containers; more is taken for a mistake.
MAX_DEPTH: Final = 500

BYTES_LIKE: Final = (bytes, bytearray, memoryview)

_LISTS: Final = (list, tuple)
_INT64: Final = 1 << 63
_MICROSECOND: Final = timedelta(microseconds=1)


# Never leaves this package.
class Refused(Exception):
    """Why a value cannot be encoded, without its place."""


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What a codec can write.

    Attributes:
        name: For messages: "JSON".
        leaf: Gives the written form of a value that holds no others, `NotImplemented`
            for one it does not know; raises `Refused`.
        keys: Gives the items of a dict with the keys as they are written; raises `Refused`.
    """

    name: str
    leaf: Callable[[object], object]
    keys: Callable[[dict[object, object]], Iterable[tuple[object, object]]]


def unfold(value: object) -> object:
    """Gives the plain form of one object, its parts untouched; the object itself if it has none.

    ``Enum`` becomes its value, ``UUID`` text, ``timedelta`` nanoseconds (``time.Duration``), a
    dataclass the dict of its fields in their order, an object with a ``model_dump`` method
    (pydantic) what that method gives with no arguments.

    Raises:
        Refused: A duration beyond int64, a field without a value, a failed ``model_dump``.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, timedelta):
        nanoseconds = value // _MICROSECOND * 1000
        if not -_INT64 <= nanoseconds < _INT64:
            raise Refused(f"{value!r} does not fit into 64 bits of nanoseconds")
        return nanoseconds
    if isinstance(value, type):
        return value
    if callable(getattr(type(value), "model_dump", None)):
        try:
            return value.model_dump()  # type: ignore[attr-defined]
        except Exception as error:
            raise Refused(f"model_dump of {_name(value)} failed: {error}") from error
    if dataclasses.is_dataclass(value):
        try:
            return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        except AttributeError as error:
            raise Refused(f"{_name(value)} has a field without a value: {error}") from error
    return value


def to_plain(value: object, target: Target) -> object:
    """Gives the value as dicts, lists and what ``target.leaf`` makes of the rest.

    Raises:
        ConfigError: Something in it cannot be written, it refers back to itself, or it is
            nested deeper than `MAX_DEPTH`. The message names the place, from ``payload`` on.
    """
    walk = _Walk(target)
    try:
        return walk.visit(value, 0)
    except Refused as error:
        raise ConfigError(f"{walk.place()}: {error}") from error
    except RecursionError as error:
        raise ConfigError(too_deep()) from error


def too_deep() -> str:
    """Gives the message for a value that is nested too deeply."""
    return f"payload: nested more than {MAX_DEPTH} deep, or too deep for the call stack"


class _Walk:
    """One descent through a value; on an error ``path`` stays where it was."""

    def __init__(self, target: Target) -> None:
        self._target = target
        # A key or index, or the field of an object as the text ".field".
        self._path: list[object] = []
        self._open: set[int] = set()

    def place(self) -> str:
        parts = []
        for part in self._path:
            if isinstance(part, _Field):
                parts.append(f".{part}")
            elif isinstance(part, str):
                parts.append('["' + repr(part)[1:-1] + '"]')
            else:
                parts.append(f"[{part!r}]")
        return "payload" + "".join(parts)

    def visit(self, value: object, depth: int) -> object:
        # One frame per level: deep values must not meet Python's own limit first.
        plain = self._target.leaf(value)
        if plain is not NotImplemented:
            return plain
        if depth >= MAX_DEPTH:
            raise RecursionError
        if id(value) in self._open:
            raise Refused(f"{_name(value)} refers back to itself")
        self._open.add(id(value))
        result: object
        if isinstance(value, dict):
            members = {}
            for key, member in self._target.keys(value):
                self._path.append(key)
                members[key] = self.visit(member, depth + 1)
                self._path.pop()
            result = members
        elif isinstance(value, _LISTS):
            items = []
            for index, item in enumerate(value):
                self._path.append(index)
                items.append(self.visit(item, depth + 1))
                self._path.pop()
            result = items
        else:
            unfolded = unfold(value)
            if unfolded is value:
                raise Refused(
                    f"{_name(value)} cannot be encoded as {self._target.name}{_hint(value)}"
                )
            if isinstance(unfolded, dict) and not isinstance(value, Enum):
                fields = {}
                for key, member in self._target.keys(unfolded):
                    self._path.append(_Field(key))
                    fields[key] = self.visit(member, depth + 1)
                    self._path.pop()
                result = fields
            else:
                result = self.visit(unfolded, depth + 1)
        self._open.remove(id(value))
        return result


class _Field(str):
    """A step in a path that is an attribute, not a key."""

    __slots__ = ()


def _name(value: object) -> str:
    return type(value).__qualname__


def _hint(value: object) -> str:
    if isinstance(value, Number):
        return "; use an int, a float or a str"
    match value:
        case date() | time():
            return "; use an aware datetime, or value.isoformat()"
        case os.PathLike():
            return "; use a str"
        case type():
            return "; use an instance"
        case Mapping():
            return "; use a dict"
        case Iterable():
            return "; use a list"
        case _:
            return "; use a dict, a dataclass or a model"


def instant(value: datetime) -> datetime:
    """Gives an aware datetime back.

    Raises:
        Refused: It has no time zone, so it names no instant.
    """
    if value.utcoffset() is None:
        raise Refused(f"naive datetime {value.isoformat()} names no instant; give it a tzinfo")
    return value
