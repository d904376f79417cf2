"""The second step: to see to the keys of a queue that a scan has met, each by its kind."""

from __future__ import annotations

from collections.abc import Iterator

from asynq_py.broker.diagnosis import Hash, ask, diagnose_locks, hashes
from asynq_py.broker.names import text
from asynq_py.broker.op import Command
from asynq_py.doctor.finding import Finding
from asynq_py.doctor.groups import check_group
from asynq_py.doctor.holders import HOLDERS, walk_set
from asynq_py.doctor.look import Known, Look
from asynq_py.doctor.messages import check_messages
from asynq_py.errors import RejectedError

#: The types of keys that are there once in each queue, or once for each day.
TYPES = {
    **{name: kind.encode() for name, kind in HOLDERS.items()},
    b"py:quarantine": b"zset",
    b"groups": b"set",
    b"aggregation_sets": b"zset",
    b"paused": b"string",
    b"processed": b"string",
    b"failed": b"string",
}


def check_keys(look: Look, queue: Known, keys: list[bytes]) -> Iterator[Finding]:
    """Looks at keys of a queue; the walk along its holders is behind us."""
    yield from look.lenient(queue, "its keys", _by_kind(look, queue, keys))


def _by_kind(look: Look, queue: Known, keys: list[bytes]) -> Iterator[Finding]:
    queue.has_keys = True
    tasks, locks, others = [], [], []
    start = len(queue.prefix)
    for key in keys:
        if key.startswith(b"t:", start):
            tasks.append(key[start + 2 :])
        elif key.startswith(b"unique:", start):
            locks.append(key)
        elif key.startswith(b"g:", start):
            if look.is_new("group", key):
                yield from walk_set(look, queue, key)
                yield from check_group(look, queue, key[start + 2 :])
        else:
            others.append(key)
    yield from _others(look, queue, others)
    yield from _locks(look, queue, locks)
    yield from _tasks(look, queue, tasks)


def _others(look: Look, queue: Known, keys: list[bytes]) -> Iterator[Finding]:
    known = []
    for key in keys:
        name = key.removeprefix(queue.prefix)
        kind = TYPES.get(name) or TYPES.get(name.partition(b":")[0], b"")
        queue.is_paused = queue.is_paused or name == b"paused"
        if kind:
            known.append((key, kind))
    types = look.run(ask([("TYPE", key) for key, _ in known]))
    for (key, kind), there in zip(known, types, strict=True):
        if there not in (kind, b"none") and isinstance(there, bytes):
            what = f"it is a {text(there)}, not a {text(kind)}"
            yield from look.wrong_type(queue, key, what)


def _locks(look: Look, queue: Known, locks: list[bytes]) -> Iterator[Finding]:
    try:
        found = look.run(diagnose_locks(queue.name, locks, repair=False))
    except RejectedError as error:
        yield from look.refused(queue, queue.prefix + b"unique:*", error)
        return
    whys = {"gone": "is gone", "done": "is completed", "other": "does not know of it"}
    for key, (why, task_id) in zip(locks, found, strict=True):
        if why is None:
            yield from look.wrong_type(queue, key, "it is no string")
        elif why and look.is_new("stale-lock", key):
            what = f'its holder, task "{text(task_id)}", {whys[why]}'
            yield queue.finding("stale-lock", what, key)


def _tasks(look: Look, queue: Known, ids: list[bytes]) -> Iterator[Finding]:
    known = look.run(hashes(queue.name, ids))
    readable: list[tuple[bytes, Hash]] = []
    for task_id, told in zip(ids, known, strict=True):
        if told is None:
            key = queue.prefix + b"t:" + task_id
            yield from look.wrong_type(queue, key, "it is no hash")
        elif not told.size:
            queue.suspect(task_id)
        elif task_id not in queue.quarantined:
            readable.append((task_id, told))
    _look_for(look, queue, readable)
    yield from check_messages(look, queue, readable)


def _look_for(look: Look, queue: Known, tasks: list[tuple[bytes, Hash]]) -> None:
    """Suspects those that are not where their hash says."""
    asked: list[bytes] = []
    commands: list[Command] = []
    for task_id, told in tasks:
        state = told.state or b""
        if state in queue.listed:
            if task_id not in queue.listed[state]:
                queue.suspect(task_id)
            continue
        if state == b"aggregating" and told.group is not None:
            place = b"g:" + told.group
        elif state in HOLDERS:
            place = state
        else:
            queue.suspect(task_id)
            continue
        asked.append(task_id)
        commands.append(("ZSCORE", queue.prefix + place, task_id))
    for task_id, score in zip(asked, look.run(ask(commands)), strict=True):
        if score is None and task_id not in queue.held:
            queue.suspect(task_id)
