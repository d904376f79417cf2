"""MessagePack. The library behind it is imported when it is first needed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Final

from asynq_py.codec.plain import (
    BYTES_LIKE,
    Decoded,
    Refused,
    Target,
    instant,
    to_plain,
    too_deep,
    unfold,
)
from asynq_py.errors import ConfigError, WireError


class MsgpackCodec:
    """Encodes MessagePack with the ``bin`` type; decodes to plain data.

    Taken besides plain data, as in the JSON codecs: dataclasses, pydantic models, ``Enum``,
    ``UUID`` (text), ``timedelta`` (integer nanoseconds). Bytes stay bytes, and an aware
    ``datetime`` is a MessagePack timestamp, which decodes to one in UTC, to the microsecond.
    """

    def __repr__(self) -> str:
        return "MSGPACK"

    def encode(self, value: object, /) -> bytes:
        """Gives the MessagePack form. Dicts keep their order.

        Raises:
            ConfigError: An integer beyond 64 bits, a naive datetime, text with lone surrogates,
                a value that refers back to itself or is nested too deeply, or of a type
                without a form. The message names the place where it can.
        """
        import msgpack  # type: ignore[import-untyped]

        try:
            packed: bytes = msgpack.packb(value, default=_default, use_bin_type=True, datetime=True)
        except (ValueError, TypeError, OverflowError, Refused) as error:
            to_plain(value, _TARGET)  # names the place, if it finds one
            raise ConfigError(f"payload: cannot be encoded as MessagePack: {error}") from error
        except RecursionError as error:
            raise ConfigError(too_deep()) from error
        return packed

    def decode(self, data: bytes, /) -> Decoded:
        """Gives the data: arrays as lists, timestamps as datetimes, other extensions as
        ``msgpack.ExtType``.

        Raises:
            WireError: Not exactly one MessagePack value, or text that is not UTF-8.
        """
        import msgpack

        try:
            return msgpack.unpackb(data, raw=False, timestamp=3, strict_map_key=False)
        except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as e:
            raise WireError(f"payload is not MessagePack: {str(e) or type(e).__name__}") from e


def _default(value: object) -> object:
    """Unfolds what the packer does not know until it does, or nothing is left to unfold."""
    if isinstance(value, datetime):
        instant(value)
    plain = unfold(value)
    while plain is not value:
        value, plain = plain, unfold(plain)
    if _leaf(value) is NotImplemented and not isinstance(value, dict | list | tuple):
        raise TypeError(f"{type(value).__qualname__} has no form in MessagePack")
    return value


def _leaf(value: object) -> object:
    if isinstance(value, Enum):
        return NotImplemented
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Refused(f"{str(value)!a} is not valid Unicode: lone surrogates") from error
        return value
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise Refused(f"int of {value.bit_length()} bits does not fit into 64")
        return value
    if isinstance(value, datetime):
        return instant(value)
    if value is None or isinstance(value, (float, *BYTES_LIKE)):
        return value
    return NotImplemented


def _items(members: dict[object, object]) -> Iterable[tuple[object, object]]:
    for key, member in members.items():
        if not isinstance(key, str | int | bytes):
            raise Refused(f"key {key!r} is a {type(key).__qualname__}; keys are str, int or bytes")
        _leaf(key)
        yield key, member


_TARGET: Final = Target("MessagePack", _leaf, _items)
