"""The task: what is to be done, with what, and how by default."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Unpack

from asynq_py.codec import JSON, Codec
from asynq_py.errors import ConfigError
from asynq_py.options import EnqueueOptions, Normalized, check_encodable, check_text, normalize

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NO_OPTIONS: Normalized = {}


@lru_cache(maxsize=1024)
def _check_type(type: str) -> str:
    """A program has few types of task, and makes many tasks of each."""
    return check_text("type", type)


class Task:
    """A task; immutable, may be enqueued any number of times and from any thread.

    Args:
        type: What to do: the name that handlers are registered for.
        payload: With what. Bytes-like objects travel untouched, None is no payload (whose
            uniqueness lock differs from that of an empty one, as in Go), anything else
            goes through ``codec`` at once.
        headers: Text to text, given to the handler beside the payload.
        codec: What makes bytes of a payload that is not bytes.
        **options: Defaults for every enqueueing, see :class:`EnqueueOptions`.

    Raises:
        ConfigError: A value can never work.
    """

    __slots__ = ("_headers", "_options", "_payload", "_type")

    def __init__(
        self,
        type: str,
        payload: object = b"",
        *,
        headers: Mapping[str, str] | None = None,
        codec: Codec = JSON,
        **options: Unpack[EnqueueOptions],
    ) -> None:
        self._type = _check_type(type) if type.__class__ is str else check_text("type", type)
        if payload is None or payload.__class__ is bytes:
            self._payload = payload
        elif isinstance(payload, (bytes, bytearray, memoryview)):
            self._payload = bytes(payload)
        else:
            self._payload = codec.encode(payload)
        self._headers = check_headers(headers) if headers else _NOTHING
        self._options = normalize(options) if options else _NO_OPTIONS

    @property
    def type(self) -> str:
        """What to do."""
        return self._type

    @property
    def payload(self) -> bytes | None:
        """With what, encoded; None for no payload."""
        return self._payload

    @property
    def headers(self) -> Mapping[str, str]:
        """Text beside the payload; read-only."""
        return self._headers

    @property
    def options(self) -> Normalized:
        """A copy of the default options as they are sent (see :data:`Normalized`)."""
        return self._options.copy()

    def with_payload(self, payload: object, codec: Codec = JSON) -> Task:
        """The same task with another payload, which is encoded as by the constructor."""
        other = Task(self._type, payload, codec=codec)
        other._headers = self._headers
        other._options = self._options
        return other

    @classmethod
    def received(cls, type: str, payload: bytes, headers: Mapping[str, str]) -> Task:
        """A task as it came from Redis; it is taken as it is."""
        task = cls.__new__(cls)
        task._type = type
        task._payload = payload
        task._headers = headers
        task._options = _NO_OPTIONS
        return task

    def __repr__(self) -> str:
        shown = self.payload if self.payload is None else self.payload[:40]
        more = "..." if self.payload is not None and len(self.payload) > 40 else ""
        options = "".join(f", {name}={value!r}" for name, value in self._options.items())
        return f"Task({self._type!r}, {shown!r}{more}{options})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Task):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((self._type, self._payload))

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self._type, self._payload, dict(self._headers), self._options)

    def _identity(self) -> tuple[object, ...]:
        return (self._type, self._payload, dict(self._headers), self._options)


def _restore(
    type: str, payload: bytes | None, headers: Mapping[str, str], options: Normalized
) -> Task:
    task = Task(type, payload, headers=headers)
    task._options = options
    return task


def check_headers(headers: object) -> Mapping[str, str]:
    """A read-only copy of headers that are text to text."""
    if not isinstance(headers, Mapping):
        raise ConfigError(f"headers must be a mapping, not {headers.__class__.__name__}")
    for name, value in headers.items():
        if not isinstance(name, str):
            raise ConfigError(f"headers: the name {name!r} must be a str")
        if not isinstance(value, str):
            raise ConfigError(
                f"headers: the value of {name!r} must be a str, not {value.__class__.__name__}"
            )
        check_encodable("headers: a name", name)
        check_encodable(f"headers: the value of {name!r}", value)
    return MappingProxyType(dict(headers))
