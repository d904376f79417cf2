"""Mending: for each kind of finding what to do, if it is still so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from asynq_py.broker.diagnosis import (
    PAGE,
    Suspect,
    diagnose,
    diagnose_group,
    diagnose_locks,
    expire_history,
    is_wrong_type,
    sweep_all_pending,
    trim_overdue,
)
from asynq_py.broker.names import prefix_of, raw
from asynq_py.broker.op import Exchange, Op, call, checked
from asynq_py.clock import NANOSECONDS, Clock
from asynq_py.doctor.finding import Finding
from asynq_py.doctor.groups import group_of
from asynq_py.doctor.holders import HOLDERS
from asynq_py.doctor.look import Run
from asynq_py.doctor.messages import quarantine_useless, restore
from asynq_py.doctor.presence import HISTORIES, HISTORY_S, remove_stale, shown_entries
from asynq_py.errors import RejectedError
from asynq_py.wire.keys import QUEUES

T = TypeVar("T")

#: What diagnose_tasks.lua repairs.
_OF_TASKS = frozenset(
    (
        "phantom-active",
        "ghost",
        "orphan",
        "lost-task",
        "twice",
        "repeated",
        "no-lease",
        "stale-lease",
        "wrong-state",
    )
)
_OF_GROUPS = frozenset(("stranded-group", "empty-group", "stray-set"))
_USELESS = frozenset(("undecodable", "wrong-message"))
#: From so many ghosts on the list of pending tasks is swept as a whole.
_MANY = 20


def mend_all(run: Run, clock: Clock, findings: Sequence[Finding]) -> list[bool]:
    """Mends what is still as it was found; for each whether it was."""
    mended = [False] * len(findings)
    tasks: dict[str, list[int]] = {}
    others: list[int] = []
    for number, finding in enumerate(findings):
        if finding.code in _OF_TASKS:
            tasks.setdefault(finding.queue, []).append(number)
        elif finding.repair is not None:
            others.append(number)
    for queue, numbers in tasks.items():
        ghosts = [number for number in numbers if _is_pending_ghost(findings[number])]
        if len(ghosts) >= _MANY:
            gone = _unless_refused(run, sweep_all_pending(raw(queue))) or ()
            for number in ghosts:
                mended[number] = _suspect(findings[number]).task_id in gone
            swept = set(ghosts)
            numbers = [number for number in numbers if number not in swept]
        for start in range(0, len(numbers), PAGE):
            page = numbers[start : start + PAGE]
            suspects = [_suspect(findings[number]) for number in page]
            op = diagnose(raw(queue), suspects, clock.now_ns() // NANOSECONDS)
            found = _unless_refused(run, op) or ()
            for number, diagnosis in zip(page, found, strict=False):
                mended[number] = diagnosis.repaired
    # Last what needs its group to be found in it.
    others.sort(key=lambda number: findings[number].code in _USELESS)
    for number in others:
        mended[number] = bool(_unless_refused(run, _mend(findings[number], clock.now_ns())))
    return mended


def _unless_refused(run: Run, op: Op[T]) -> T | None:
    """What an operation gives; None where a key of a wrong type is in its way."""
    try:
        return run(op)
    except RejectedError as error:
        if not is_wrong_type(error):
            raise
        return None


def _is_pending_ghost(finding: Finding) -> bool:
    return finding.code == "ghost" and finding.places == ("pending",)


def _suspect(finding: Finding) -> Suspect:
    """The task that a finding is about, to be repaired."""
    prefix = prefix_of(raw(finding.queue))
    hint = next((place for place in finding.places if place.startswith("g:")), "")
    task_id = raw(finding.key).removeprefix(prefix + b"t:")
    key = prefix + raw(hint) if hint else b""
    return Suspect(task_id, key, finding.code, is_repeated=finding.code == "repeated")


def _mend(finding: Finding, now_ns: int) -> Op[bool]:
    """Mends a finding that diagnose_tasks.lua does not come to by itself."""
    queue, key = raw(finding.queue), raw(finding.key)
    if finding.code in _OF_GROUPS:
        name = key.removeprefix(prefix_of(queue) + b"g:")
        return (yield from diagnose_group(queue, name, group_of(name), finding.code)).repaired
    task_id = key.removeprefix(prefix_of(queue) + b"t:")
    match finding.code:
        case "undecodable" | "wrong-message":
            return (yield from quarantine_useless(queue, task_id, now_ns // NANOSECONDS))
        case "restorable":
            return (yield from restore(queue, task_id, now_ns // NANOSECONDS))
        case "stale-lock":
            ((why, _),) = yield from diagnose_locks(queue, [key], repair=True)
            return bool(why)
        case "archive-overdue":
            return (yield from trim_overdue(queue, now_ns // NANOSECONDS)) > 0
        case "unlisted-queue":
            return (yield from _list_queue(queue))
        case "stale-presence":
            return (yield from remove_stale(finding.key, now_ns))
        case "endless-history":
            entry_id = finding.key.removeprefix(HISTORIES.decode())
            if entry_id in (yield from shown_entries(now_ns)):
                return False
            return (yield from expire_history(key, HISTORY_S))
    return False


def _list_queue(queue: bytes) -> Op[bool]:
    """Lists a queue if it still has keys; listing it twice changes nothing."""
    prefix = prefix_of(queue)
    names = (*HOLDERS, b"groups", b"aggregation_sets")
    replies = yield Exchange([("EXISTS", prefix + name) for name in names])
    if not any(checked(reply) for reply in replies):
        return False
    return (yield from call("SADD", QUEUES, queue)) == 1
