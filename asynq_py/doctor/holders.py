"""The first step: to walk along what holds the tasks of a queue, and note what is there."""

from __future__ import annotations

from collections.abc import Iterator

from asynq_py.broker.diagnosis import PAGE, Diagnosis, ask, hashes, sweep_pending
from asynq_py.broker.names import text
from asynq_py.broker.steering import ARCHIVE_AGE_S
from asynq_py.doctor.finding import Finding
from asynq_py.doctor.groups import check_group, is_set
from asynq_py.doctor.look import Known, Look
from asynq_py.doctor.messages import check_quarantined
from asynq_py.doctor.suspects import of_task
from asynq_py.errors import RejectedError

#: What holds tasks, and as what.
HOLDERS = {
    b"active": "list",
    b"lease": "zset",
    b"pending": "list",
    b"scheduled": "zset",
    b"retry": "zset",
    b"archived": "zset",
    b"completed": "zset",
}
#: From how many archived tasks on the archive is about full.
_FULL = 9_000
#: So many tasks that are too old become a danger; see "archive-overdue".
_OVERDUE = 5_000


def walk(look: Look, queue: Known, *, deep: bool) -> Iterator[Finding]:
    """Walks along all that holds tasks; along the waiting ones only if it is deep."""
    yield from look.lenient(queue, "what holds its tasks", _holders(look, queue, deep=deep))


def walk_set(look: Look, queue: Known, key: bytes) -> Iterator[Finding]:
    """Walks along a group or an aggregation set."""
    name = key.removeprefix(queue.prefix + b"g:")
    is_aggregated = is_set(name)
    for page in look.pages(queue, "zset", key):
        if isinstance(page, Finding):
            yield page
            continue
        queue.has_tasks = queue.has_tasks or bool(page)
        _note(queue, page, key)
        if is_aggregated:
            queue.held |= dict.fromkeys(page, key)
        for task_id, known in zip(page, look.run(hashes(queue.name, page)), strict=True):
            if known is None:
                continue
            is_right = known.state == b"aggregating" and (is_aggregated or known.group == name)
            if not known.size or not is_right:
                queue.suspect(task_id, key)


def _holders(look: Look, queue: Known, *, deep: bool) -> Iterator[Finding]:
    if deep:
        yield from _quarantine(look, queue)
    for holder, kind in HOLDERS.items():
        if holder == b"pending" and deep:
            yield from _pending(look, queue)
        elif deep or holder in (b"active", b"lease"):
            yield from _holder(look, queue, holder, kind)
    yield from _group_names(look, queue)
    yield from _sets(look, queue)
    yield from _archive(look, queue)


def _quarantine(look: Look, queue: Known) -> Iterator[Finding]:
    """Notes which tasks are in quarantine, and looks whether they have to be."""
    for page in look.pages(queue, "zset", queue.prefix + b"py:quarantine"):
        if isinstance(page, Finding):
            yield page
            continue
        queue.quarantined.update(page)
        known = look.run(hashes(queue.name, page))
        tasks = [(task_id, told) for task_id, told in zip(page, known, strict=True) if told]
        for task_id, told in tasks:
            if not told.size:
                queue.suspect(task_id)
        yield from check_quarantined(look, queue, [task for task in tasks if task[1].size])


def _note(queue: Known, page: list[bytes], hint: bytes = b"") -> None:
    """Suspects those that something holds although they are in quarantine."""
    if queue.quarantined:
        for task_id in queue.quarantined.intersection(page):
            queue.suspect(task_id, hint)


def _holder(look: Look, queue: Known, holder: bytes, kind: str) -> Iterator[Finding]:
    key = queue.prefix + holder
    state = b"active" if holder == b"lease" else holder
    for page in look.pages(queue, kind, key):
        if isinstance(page, Finding):
            yield page
            continue
        if holder in queue.listed:
            _note_listed(queue, holder, page)
        _note(queue, page)
        queue.has_tasks = queue.has_tasks or bool(page)
        for task_id, known in zip(page, look.run(hashes(queue.name, page)), strict=True):
            if known is not None and (not known.size or known.state != state):
                queue.suspect(task_id)
            if holder == b"lease" and task_id not in queue.listed[b"active"]:
                queue.suspect(task_id)
    if holder == b"lease":
        _unleased(look, queue, key)


def _note_listed(queue: Known, holder: bytes, page: list[bytes]) -> None:
    """Notes what is in a list, and suspects what has been there before."""
    listed = queue.listed[holder]
    for task_id in page:
        if task_id in listed:
            queue.suspect_copies(task_id)
        listed.add(task_id)


def _moved(before: list[bytes], page: list[bytes]) -> int:
    """How many of a page were on the one before, until others were added on the left."""
    if not page or page[0] not in before:
        return 0
    number = len(before) - before.index(page[0])
    return number if before[-number:] == page[:number] else 0


def _unleased(look: Look, queue: Known, lease: bytes) -> None:
    """Suspects active tasks that have no lease."""
    active = sorted(queue.listed[b"active"])
    for start in range(0, len(active), PAGE):
        page = active[start : start + PAGE]
        scores = look.run(ask([("ZSCORE", lease, task_id) for task_id in page]))
        for task_id, score in zip(page, scores, strict=True):
            if score is None:
                queue.suspect(task_id)


def _pending(look: Look, queue: Known) -> Iterator[Finding]:
    """As :func:`_holder`; here an ID without a hash is certain at once, and often many."""
    start = 0
    before: list[bytes] = []
    met_again: list[bytes] = []
    while True:
        try:
            page = look.run(sweep_pending(queue.name, start, repair=False))
        except RejectedError as error:
            yield from look.refused(queue, queue.prefix + b"pending", error)
            return
        look.advance(f'queue "{text(queue.name)}"', len(page))
        ids = [task.task_id for task in page]
        moved = _moved(before, ids)
        met_again += ids[:moved]
        _note_listed(queue, b"pending", ids[moved:])
        _note(queue, ids)
        before = ids
        queue.has_tasks = queue.has_tasks or bool(page)
        for task_id, is_whole, state in page:
            if not is_whole and look.is_new("ghost", queue.prefix + b"t:" + task_id):
                yield of_task(queue, Diagnosis(task_id, "ghost", text(state), ("pending",)))
            elif is_whole and state != b"pending":
                queue.suspect(task_id)
        start += PAGE
        if len(page) < PAGE:
            break
    # To look for each in a long list takes long, so not while many tasks come in. A few may
    # be copies that happen to be the last of one page and the first of the next.
    if len(met_again) <= PAGE:
        for task_id in met_again:
            queue.suspect_copies(task_id)


def _group_names(look: Look, queue: Known) -> Iterator[Finding]:
    """Looks for names of groups that are listed and have no tasks."""
    for page in look.pages(queue, "set", queue.prefix + b"groups"):
        if isinstance(page, Finding):
            yield page
            continue
        sets = look.run(ask([("EXISTS", queue.prefix + b"g:" + name) for name in page]))
        for name, exists in zip(page, sets, strict=True):
            if exists == 0:
                yield from check_group(look, queue, name)


def _sets(look: Look, queue: Known) -> Iterator[Finding]:
    """Notes which tasks are being aggregated."""
    for page in look.pages(queue, "zset", queue.prefix + b"aggregation_sets"):
        if isinstance(page, Finding):
            yield page
            continue
        for key in page:
            if key.startswith(queue.prefix):
                yield from walk_set(look, queue, key)


def _archive(look: Look, queue: Known) -> Iterator[Finding]:
    key = queue.prefix + b"archived"
    cutoff = look.now_s - ARCHIVE_AGE_S
    size, old = look.run(ask([("ZCARD", key), ("ZCOUNT", key, "-inf", cutoff)]))
    if isinstance(old, int) and old > _OVERDUE:
        yield queue.finding("archive-overdue", f"{old:,} archived tasks are too old", key)
    elif isinstance(size, int) and size >= _FULL:
        yield queue.finding("archive-full", f"{size:,} tasks are archived", key)
