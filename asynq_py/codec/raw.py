"""The codec that changes nothing."""

from __future__ import annotations

from asynq_py.errors import ConfigError


class RawCodec:
    """Takes bytes-like values, and gives bytes."""

    def __repr__(self) -> str:
        return "RAW"

    def encode(self, value: object, /) -> bytes:
        """Gives the bytes of a ``bytes``, ``bytearray`` or ``memoryview``.

        Raises:
            ConfigError: The value is something else; text has to be encoded first.
        """
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        hint = "; use value.encode()" if isinstance(value, str) else "; use another codec"
        raise ConfigError(f"payload: {type(value).__qualname__} is not bytes{hint}")

    def decode(self, data: bytes, /) -> bytes:
        """Gives the bytes back."""
        return bytes(data)
