"""Messages: whether workers can use those that are stored; the quarantine of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from asynq_py.broker.diagnosis import Hash, Suspect, ask, diagnose
from asynq_py.broker.names import prefix_of, text
from asynq_py.broker.op import Op, call
from asynq_py.broker.quarantine import quarantine
from asynq_py.doctor.finding import Finding
from asynq_py.doctor.look import Known, Look
from asynq_py.errors import WireError
from asynq_py.wire.message import decode

#: How many bytes of messages are read at a time.
_MOST = 4_000_000


def check_messages(
    look: Look, queue: Known, tasks: Sequence[tuple[bytes, Hash]]
) -> Iterator[Finding]:
    """Says which tasks have messages that are of no use."""
    for task_id, data in _messages(look, queue, tasks):
        key = queue.prefix + b"t:" + task_id
        code, what = fault_of(queue.name, task_id, data)
        if code and look.is_new(code, key):
            yield queue.finding(code, what, key)


def check_quarantined(
    look: Look, queue: Known, tasks: Sequence[tuple[bytes, Hash]]
) -> Iterator[Finding]:
    """Says of tasks in quarantine why they are there, or that they need not be any more."""
    for task_id, data in _messages(look, queue, tasks):
        key = queue.prefix + b"t:" + task_id
        code, what = fault_of(queue.name, task_id, data)
        if look.is_new("quarantined", key):
            what = what or "its message can be read"
            yield queue.finding("quarantined" if code else "restorable", what, key)


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


def quarantine_useless(queue: bytes, task_id: bytes, now_s: int) -> Op[bool]:
    """Puts a task into quarantine if its message is of no use."""
    data = yield from call("HGET", prefix_of(queue) + b"t:" + task_id, "msg")
    if not isinstance(data, bytes) or not fault_of(queue, task_id, data)[0]:
        return False
    return (yield from quarantine(text(queue), task_id, data, now_s))


def restore(queue: bytes, task_id: bytes, now_s: int) -> Op[bool]:
    """Archives a task that is in quarantine if its message can be used."""
    data = yield from call("HGET", prefix_of(queue) + b"t:" + task_id, "msg")
    if not isinstance(data, bytes) or fault_of(queue, task_id, data)[0]:
        return False
    suspect = Suspect(task_id, repair="quarantined")
    return (yield from diagnose(queue, [suspect], now_s))[0].repaired


def _messages(
    look: Look, queue: Known, tasks: Sequence[tuple[bytes, Hash]]
) -> Iterator[tuple[bytes, bytes]]:
    """The IDs and messages of tasks; read some at a time."""
    prefix = queue.prefix + b"t:"
    start = 0
    while start < len(tasks):
        end, size = start, 0
        while end < len(tasks) and size < _MOST:
            size += tasks[end][1].size
            end += 1
        ids = [task_id for task_id, _ in tasks[start:end]]
        start = end
        replies = look.run(ask([("HGET", prefix + task_id, "msg") for task_id in ids]))
        for task_id, data in zip(ids, replies, strict=True):
            if isinstance(data, bytes):
                yield task_id, data
