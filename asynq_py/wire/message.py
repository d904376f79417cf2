"""A task as it stands in Redis: the protobuf message and the words for its states."""

from __future__ import annotations

from enum import StrEnum

from google.protobuf.message import DecodeError

from asynq_py.errors import WireError
from asynq_py.wire.asynq_pb2 import TaskMessage

__all__ = ["TaskMessage", "TaskState", "decode", "encode"]


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
