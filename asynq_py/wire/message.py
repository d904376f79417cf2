"""A task as it stands in Redis: the protobuf message and the words for its states."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

from google.protobuf.message import DecodeError

from asynq_py.errors import WireError
from asynq_py.wire.asynq_pb2 import TaskMessage

__all__ = ["TaskMessage", "TaskState", "decode", "encode", "encode_new"]


class TaskState(StrEnum):
    """Where a task stands; the value is the word stored in the task's hash."""

    ACTIVE = "active"
    PENDING = "pending"
    SCHEDULED = "scheduled"
    RETRY = "retry"
    ARCHIVED = "archived"
    COMPLETED = "completed"
    AGGREGATING = "aggregating"


def encode(message: TaskMessage) -> bytes:
    """The bytes of a message; its headers have one order, however they were given.

    Go writes headers in random order, so only messages with one header at most can be
    compared by their bytes.
    """
    return message.SerializeToString(deterministic=True)


def decode(data: bytes) -> TaskMessage:
    """Reads a message; fields that we do not know are kept and written again.

    Raises:
        WireError: The bytes are no TaskMessage.
    """
    try:
        return TaskMessage.FromString(data)
    except DecodeError as error:
        raise WireError(f"no task message: {error}") from error


def encode_new(
    task_type: str,
    payload: bytes,
    task_id: str,
    queue: str,
    retry: int,
    timeout: int,
    *,
    deadline: int = 0,
    unique_key: str = "",
    retention: int = 0,
    group: str = "",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a new task's message, the same as :func:`encode` makes of it.

    In protobuf a message is the sum of its fields, and most fields of most tasks are those
    of the task before. So only payload and ID are encoded anew, which takes a third of the
    time; see :class:`TaskMessage` for the meaning and the units of the fields.
    """
    # With a lock's key, which few tasks share, the fields are not worth remembering.
    fields = _common_fields.__wrapped__ if unique_key else _common_fields
    before, after = fields(task_type, queue, retry, timeout, deadline, unique_key, retention, group)
    encoded_id = task_id.encode()
    parts = [before, _PAYLOAD_TAG, _length(payload), payload] if payload else [before]
    parts += (_ID_TAG, _length(encoded_id), encoded_id, after)
    if headers:
        parts.append(TaskMessage(headers=headers).SerializeToString(deterministic=True))
    return b"".join(parts)


#: Field number and wire type (2: bytes behind their length).
_PAYLOAD_TAG = bytes([2 << 3 | 2])
_ID_TAG = bytes([3 << 3 | 2])


@lru_cache(maxsize=1024)
def _common_fields(
    task_type: str,
    queue: str,
    retry: int,
    timeout: int,
    deadline: int,
    unique_key: str,
    retention: int,
    group: str,
) -> tuple[bytes, bytes]:
    """The fields before payload and ID, and those after them."""
    after = TaskMessage(
        queue=queue,
        retry=retry,
        timeout=timeout,
        deadline=deadline,
        unique_key=unique_key,
        retention=retention,
        group_key=group,
    )
    return TaskMessage(type=task_type).SerializeToString(), after.SerializeToString()


def _length(data: bytes) -> bytes:
    """How many bytes follow, as a varint."""
    number = len(data)
    if number < 0x80:
        return _ONE_BYTE[number]
    digits = bytearray()
    while number >= 0x80:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


_ONE_BYTE = [bytes([number]) for number in range(0x80)]
