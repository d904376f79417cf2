"""Codecs: what a payload's bytes mean.

A producer encodes with one, a handler decodes with the same one. The bytes matter
beyond their meaning: unique locks hash them, so the JSON codecs give exactly what
Go's ``json.Marshal`` gives.
"""

from __future__ import annotations

from typing import Protocol

from asynq_py.codec.gojson import JSONCodec
from asynq_py.codec.packed import MsgpackCodec
from asynq_py.codec.plain import Decoded
from asynq_py.codec.raw import RawCodec

__all__ = ["JSON", "JSON_SORTED", "MSGPACK", "RAW", "Codec"]


class Codec(Protocol):
    """Turns values into a payload's bytes, and bytes into plain data.

    One instance serves all threads, so it keeps no state between calls.
    """

    def encode(self, value: object, /) -> bytes:
        """Gives the payload.

        Raises:
            ConfigError: The value has no such form.
        """
        ...

    def decode(self, data: bytes, /) -> Decoded:
        """Gives plain data: dicts, lists, str, numbers, bool, None; what else, the codec says.

        Raises:
            WireError: The bytes do not mean anything in this codec.
        """
        ...


#: Bytes as they are.
RAW = RawCodec()

#: Go's JSON of a struct: keys in the order given. The default.
JSON = JSONCodec("JSON")

#: Go's JSON of a map: keys sorted, on every level.
JSON_SORTED = JSONCodec("JSON_SORTED", sort_keys=True)

#: MessagePack, with the ``bin`` and timestamp types.
MSGPACK = MsgpackCodec()
