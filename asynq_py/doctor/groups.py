"""Groups and aggregation sets: what their names mean, and what may be wrong with one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from asynq_py.broker.diagnosis import diagnose_group
from asynq_py.broker.names import text
from asynq_py.doctor.finding import Finding
from asynq_py.doctor.look import Known, Look
from asynq_py.errors import RejectedError

#: The name of an aggregation set: its group's, and a UUID.
_SET = re.compile(rb"(.+):[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.DOTALL)


def is_set(name: bytes) -> bool:
    """Whether it looks like the name of an aggregation set."""
    return _SET.fullmatch(name) is not None


def group_of(name: bytes) -> bytes:
    """The group's name in that of an aggregation set; b"" if it is none."""
    match = _SET.fullmatch(name)
    return match[1] if match else b""


def check_group(look: Look, queue: Known, name: bytes) -> Iterator[Finding]:
    """Says what is wrong with a group or an aggregation set."""
    key = queue.prefix + b"g:" + name
    try:
        found = look.run(diagnose_group(queue.name, name, group_of(name), ""))
    except RejectedError as error:
        yield from look.refused(queue, key, error)
        return
    if not found.code:
        return
    what = {
        "empty-group": f'group "{text(name)}" is listed and empty',
        "stranded-group": f'group "{text(name)}" has {found.size:,} tasks and is not listed',
        "stray-set": f'{found.size:,} tasks of group "{text(group_of(name))}" are in a set'
        " that is not listed",
    }[found.code]
    yield queue.finding(found.code, what, key)
