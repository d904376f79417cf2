"""Messages: whether a worker could use those that are stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from asynq_py.broker.diagnosis import Hash, ask
from asynq_py.broker.names import text
from asynq_py.doctor.finding import Finding
from asynq_py.doctor.look import Known, Look
from asynq_py.errors import WireError
from asynq_py.wire.message import decode

#: How many bytes of messages are read at a time.
_MOST = 4_000_000


def check_messages(
    look: Look, queue: Known, tasks: Sequence[tuple[bytes, Hash]]
) -> Iterator[Finding]:
    """Reads the messages of tasks, some at a time."""
    batch: list[bytes] = []
    size = 0
    for task_id, told in tasks:
        batch.append(task_id)
        size += told.size
        if size >= _MOST:
            yield from _check(look, queue, batch)
            batch, size = [], 0
    yield from _check(look, queue, batch)


def fault_of(queue: bytes, task_id: bytes, data: bytes) -> tuple[str, str]:
    """Why the message of a task is of no use: the code of a finding and words, or "" and ""."""
    try:
        message = decode(data)
    except WireError as error:
        return "undecodable", str(error)
    if (message.id, message.queue) == (text(task_id), text(queue)):
        return "", ""
    what = f'its message is that of task "{message.id}" of queue "{message.queue}"'
    return "wrong-message", what


def _check(look: Look, queue: Known, ids: list[bytes]) -> Iterator[Finding]:
    prefix = queue.prefix + b"t:"
    replies = look.run(ask([("HGET", prefix + task_id, "msg") for task_id in ids]))
    for task_id, data in zip(ids, replies, strict=True):
        if not isinstance(data, bytes):
            continue
        code, what = fault_of(queue.name, task_id, data)
        if code and look.is_new(code, prefix + task_id):
            yield queue.finding(code, what, prefix + task_id)
