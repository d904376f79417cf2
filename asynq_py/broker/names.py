"""Names as bytes: what stands in a damaged Redis need not be text."""

from __future__ import annotations


def prefix_of(queue: bytes) -> bytes:
    """What all keys of a queue begin with; see ``queue_prefix``."""
    return b"asynq:{" + queue + b"}:"


def text(name: object) -> str:
    """A name for people; what is no UTF-8 is kept, and :func:`raw` gives it back."""
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)


def raw(name: str) -> bytes:
    """The bytes of a name; see :func:`text`."""
    return name.encode("utf-8", "surrogateescape")
