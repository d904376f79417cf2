"""One look at everything in a Redis that belongs to Asynq.

First what holds tasks is walked along, then all keys. Both only raise suspicions, because
tasks move meanwhile; at the end a script looks at each suspect in one moment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from asynq_py.broker.diagnosis import (
    PAGE,
    Diagnosis,
    Hash,
    Suspect,
    ask,
    diagnose,
    diagnose_group,
    diagnose_locks,
    hashes,
    is_wrong_type,
    members,
    prefix_of,
    raw,
    scan,
    sweep_pending,
    text,
)
from asynq_py.broker.op import Command, Op, call
from asynq_py.broker.steering import ARCHIVE_AGE_S
from asynq_py.clock import NANOSECONDS, Clock
from asynq_py.doctor.finding import Finding, finding
from asynq_py.doctor.presence import HISTORIES, check_presence, endless, shown_entries
from asynq_py.doctor.server import check_server
from asynq_py.errors import QueueNotFoundError, RejectedError, WireError
from asynq_py.wire.keys import QUEUES
from asynq_py.wire.message import decode

T = TypeVar("T")

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
#: The types of the other keys of a queue.
TYPES = {
    **{name: kind.encode() for name, kind in HOLDERS.items()},
    b"groups": b"set",
    b"aggregation_sets": b"zset",
    b"paused": b"string",
    b"processed": b"string",
    b"failed": b"string",
}
_LISTS = (b"pending", b"active")
_QUEUE = re.compile(rb"asynq:\{(.*?)\}:", re.DOTALL)
#: The name of an aggregation set: its group's, and a UUID.
_SET = re.compile(rb"(.+):[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.DOTALL)
#: How many bytes of messages are read at a time.
_MESSAGES = 4_000_000
#: From how many archived tasks on the archive is about full.
_FULL = 9_000
#: So many tasks that are too old become a danger; see "archive-overdue".
_OVERDUE = 5_000

#: Told what is being looked at, and how many keys and IDs have been looked at.
Progress = Callable[[str, int], None]


class Run(Protocol):
    """Drives an operation to its end."""

    def __call__(self, op: Op[T], /) -> T: ...


class _Queue:
    """What is known of a queue so far."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.prefix = prefix_of(name)
        #: The IDs in each list.
        self.listed: dict[bytes, set[bytes]] = {name: set() for name in _LISTS}
        #: The aggregation set that holds a task.
        self.held: dict[bytes, bytes] = {}
        #: Task ID to the key of a group or a set that may hold it, or b"".
        self.suspects: dict[bytes, bytes] = {}
        self.has_keys = False
        self.has_tasks = False
        self.is_paused = False

    def suspect(self, task_id: bytes, hint: bytes = b"") -> None:
        self.suspects[task_id] = hint or self.suspects.get(task_id, b"")


class Examination:
    """One look; not to be used twice.

    Args:
        run: Drives operations.
        scanners: The same for each node of a cluster whose keys are to be scanned.
        clock: Tells the time.
        progress: Told how far it is.
    """

    def __init__(
        self, run: Run, scanners: Sequence[Run], clock: Clock, progress: Progress | None
    ) -> None:
        self._run = run
        self._scanners = scanners
        self._clock = clock
        self._progress = progress
        self._looked_at = 0
        self._queues: dict[bytes, _Queue] = {}
        #: What has been told: a scan may meet a key twice.
        self._told: set[tuple[str, bytes]] = set()
        self._shown: set[str] | None = None

    def everything(self, queues: Iterable[str] | None, *, deep: bool) -> Iterator[Finding]:
        """Looks at the server, then at the queues.

        Raises:
            QueueNotFoundError: A queue that was named does not exist.
        """
        yield from self._run(check_server(self._clock))
        names: list[bytes] = []
        if queues is None:
            yield from self._run(check_presence(self._clock.now_ns()))
            try:
                names = self._run(_listed())
            except RejectedError as error:
                yield finding("not-asked", f"which queues there are: {error}", key=QUEUES)
        else:
            names = [raw(queue) for queue in queues]
        for name in names:
            yield from self._open(name, deep=deep)
        if deep:
            yield from self._all_keys(None if queues is None else names)
        for queue in self._queues.values():
            yield from self._suspects(queue)
            found = self._registry(queue, is_named=queues is not None)
            yield from self._lenient(queue, "whether it is listed", found)

    # -- what holds tasks --

    def _open(self, name: bytes, *, deep: bool) -> Iterator[Finding]:
        """Walks along what holds the tasks of a queue; the waiting ones only if it is deep."""
        queue = self._queues[name] = _Queue(name)
        yield from self._lenient(queue, "what holds its tasks", self._holders(queue, deep=deep))

    def _holders(self, queue: _Queue, *, deep: bool) -> Iterator[Finding]:
        for holder, kind in HOLDERS.items():
            if holder == b"pending" and deep:
                yield from self._pending(queue)
            elif deep or holder in (b"active", b"lease"):
                yield from self._holder(queue, holder, kind)
        yield from self._group_names(queue)
        yield from self._sets(queue)
        yield from self._archive(queue)

    def _holder(self, queue: _Queue, holder: bytes, kind: str) -> Iterator[Finding]:
        key = queue.prefix + holder
        state = b"active" if holder == b"lease" else holder
        for page in self._pages(queue, kind, key):
            if isinstance(page, Finding):
                yield page
                continue
            if holder in queue.listed:
                queue.listed[holder].update(page)
            queue.has_tasks = queue.has_tasks or bool(page)
            for task_id, known in zip(page, self._run(hashes(queue.name, page)), strict=True):
                if known is not None and (not known.size or known.state != state):
                    queue.suspect(task_id)
                if holder == b"lease" and task_id not in queue.listed[b"active"]:
                    queue.suspect(task_id)
        if holder == b"lease" and (active := sorted(queue.listed[b"active"])):
            yield from self._unleased(queue, key, active)

    def _pending(self, queue: _Queue) -> Iterator[Finding]:
        """As :meth:`_holder`; here an ID without a hash is certain at once, and often many."""
        start = 0
        while True:
            try:
                page = self._run(sweep_pending(queue.name, start, repair=False))
            except RejectedError as error:
                yield from self._refused(queue, queue.prefix + b"pending", error)
                return
            self._tell(f'queue "{text(queue.name)}"', len(page))
            queue.listed[b"pending"].update(task.task_id for task in page)
            queue.has_tasks = queue.has_tasks or bool(page)
            for task_id, is_whole, state in page:
                if not is_whole and self._is_new("ghost", queue.prefix + b"t:" + task_id):
                    yield _of_task(queue, Diagnosis(task_id, "ghost", text(state), ("pending",)))
                elif is_whole and state != b"pending":
                    queue.suspect(task_id)
            start += PAGE
            if len(page) < PAGE:
                return

    def _unleased(self, queue: _Queue, lease: bytes, active: list[bytes]) -> Iterator[Finding]:
        for start in range(0, len(active), PAGE):
            page = active[start : start + PAGE]
            scores = self._run(ask([("ZSCORE", lease, task_id) for task_id in page]))
            for task_id, score in zip(page, scores, strict=True):
                if score is None:
                    queue.suspect(task_id)
        yield from ()

    def _pages(self, queue: _Queue, kind: str, key: bytes) -> Iterator[list[bytes] | Finding]:
        """The names in a key, in pages; of a key that cannot be read, why."""
        cursor = 0
        while True:
            try:
                page = self._run(members(kind, key, cursor))
            except RejectedError as error:
                yield from self._refused(queue, key, error)
                return
            self._tell(f'queue "{text(queue.name)}"', len(page.names))
            yield page.names
            cursor = page.cursor
            if cursor == 0:
                return

    def _group_names(self, queue: _Queue) -> Iterator[Finding]:
        """Looks for names of groups that are listed and have no tasks."""
        for page in self._pages(queue, "set", queue.prefix + b"groups"):
            if isinstance(page, Finding):
                yield page
                continue
            sets = self._run(ask([("EXISTS", queue.prefix + b"g:" + name) for name in page]))
            for name, exists in zip(page, sets, strict=True):
                if exists == 0:
                    yield from self._group(queue, name)

    def _sets(self, queue: _Queue) -> Iterator[Finding]:
        """Notes which tasks are being aggregated."""
        for page in self._pages(queue, "zset", queue.prefix + b"aggregation_sets"):
            if isinstance(page, Finding):
                yield page
                continue
            for key in page:
                if key.startswith(queue.prefix):
                    yield from self._held(queue, key)

    def _held(self, queue: _Queue, key: bytes) -> Iterator[Finding]:
        """Walks along a group or an aggregation set."""
        name = key.removeprefix(queue.prefix + b"g:")
        is_set = _SET.fullmatch(name) is not None
        for page in self._pages(queue, "zset", key):
            if isinstance(page, Finding):
                yield page
                continue
            queue.has_tasks = queue.has_tasks or bool(page)
            if is_set:
                queue.held |= dict.fromkeys(page, key)
            for task_id, known in zip(page, self._run(hashes(queue.name, page)), strict=True):
                if known is None:
                    continue
                is_right = known.state == b"aggregating" and (is_set or known.group == name)
                if not known.size or not is_right:
                    queue.suspect(task_id, key)

    def _archive(self, queue: _Queue) -> Iterator[Finding]:
        key = queue.prefix + b"archived"
        cutoff = self._clock.now_ns() // NANOSECONDS - ARCHIVE_AGE_S
        size, old = self._run(ask([("ZCARD", key), ("ZCOUNT", key, "-inf", cutoff)]))
        if isinstance(old, int) and old > _OVERDUE:
            what = f"{old:,} archived tasks are too old"
            yield finding("archive-overdue", what, queue=text(queue.name), key=text(key))
        elif isinstance(size, int) and size >= _FULL:
            what = f"{size:,} tasks are archived"
            yield finding("archive-full", what, queue=text(queue.name), key=text(key))

    # -- all keys --

    def _all_keys(self, names: list[bytes] | None) -> Iterator[Finding]:
        """Scans the database; of some queues only, or of all that there are."""
        pattern = b"asynq:*"
        if names is not None:
            only = names[0] if len(names) == 1 else None
            pattern = b"asynq:{*" if only is None else _glob(prefix_of(only)) + b"*"
        if not self._scanners:
            yield finding("not-asked", "the keys of a cluster, by a ready client: give its URL")
        for scanner in self._scanners:
            cursor = 0
            while True:
                try:
                    page = scanner(scan(cursor, pattern))
                except RejectedError as error:
                    yield finding("not-asked", f"which keys there are: {error}")
                    break
                self._tell("keys", len(page.names))
                yield from self._keys(page.names, names)
                cursor = page.cursor
                if cursor == 0:
                    break

    def _keys(self, keys: list[bytes], names: list[bytes] | None) -> Iterator[Finding]:
        by_queue: dict[bytes, list[bytes]] = {}
        histories = []
        for key in keys:
            if match := _QUEUE.match(key):
                by_queue.setdefault(match[1], []).append(key)
            elif key.startswith(HISTORIES) and names is None:
                histories.append(key)
        if histories:
            yield from self._histories(histories)
        for name, own in by_queue.items():
            if names is not None and name not in names:
                continue
            if name not in self._queues:
                yield from self._open(name, deep=True)
            queue = self._queues[name]
            yield from self._lenient(queue, "its keys", self._own_keys(queue, own))

    def _own_keys(self, queue: _Queue, keys: list[bytes]) -> Iterator[Finding]:
        queue.has_keys = True
        tasks, locks, others = [], [], []
        start = len(queue.prefix)
        for key in keys:
            if key.startswith(b"t:", start):
                tasks.append(key[start + 2 :])
            elif key.startswith(b"unique:", start):
                locks.append(key)
            elif key.startswith(b"g:", start):
                if self._is_new("group", key):
                    yield from self._held(queue, key)
                    yield from self._group(queue, key[start + 2 :])
            else:
                others.append(key)
        yield from self._others(queue, others)
        yield from self._locks(queue, locks)
        yield from self._tasks(queue, tasks)

    def _others(self, queue: _Queue, keys: list[bytes]) -> Iterator[Finding]:
        known = []
        for key in keys:
            name = key.removeprefix(queue.prefix)
            kind = TYPES.get(name) or TYPES.get(name.partition(b":")[0], b"")
            queue.is_paused = queue.is_paused or name == b"paused"
            if kind:
                known.append((key, kind))
        types = self._run(ask([("TYPE", key) for key, _ in known]))
        for (key, kind), there in zip(known, types, strict=True):
            if there not in (kind, b"none") and isinstance(there, bytes):
                yield from self._wrong_type(
                    queue, key, f"it is a {text(there)}, not a {text(kind)}"
                )

    def _locks(self, queue: _Queue, locks: list[bytes]) -> Iterator[Finding]:
        try:
            found = self._run(diagnose_locks(queue.name, locks, repair=False))
        except RejectedError as error:
            yield from self._refused(queue, queue.prefix + b"unique:*", error)
            return
        whys = {"gone": "is gone", "done": "is completed", "other": "does not know of it"}
        for key, (why, task_id) in zip(locks, found, strict=True):
            if why is None:
                yield from self._wrong_type(queue, key, "it is no string")
            elif why and self._is_new("stale-lock", key):
                what = f'its holder, task "{text(task_id)}", {whys[why]}'
                yield finding("stale-lock", what, queue=text(queue.name), key=text(key))

    def _tasks(self, queue: _Queue, ids: list[bytes]) -> Iterator[Finding]:
        known = self._run(hashes(queue.name, ids))
        readable: list[tuple[bytes, Hash]] = []
        for task_id, told in zip(ids, known, strict=True):
            if told is None:
                yield from self._wrong_type(queue, queue.prefix + b"t:" + task_id, "it is no hash")
            elif not told.size:
                queue.suspect(task_id)
            else:
                readable.append((task_id, told))
        self._look_for(queue, readable)
        batch: list[bytes] = []
        size = 0
        for task_id, told in readable:
            batch.append(task_id)
            size += told.size
            if size >= _MESSAGES:
                yield from self._messages(queue, batch)
                batch, size = [], 0
        yield from self._messages(queue, batch)

    def _look_for(self, queue: _Queue, tasks: list[tuple[bytes, Hash]]) -> None:
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
        for task_id, score in zip(asked, self._run(ask(commands)), strict=True):
            if score is None and task_id not in queue.held:
                queue.suspect(task_id)

    def _messages(self, queue: _Queue, ids: list[bytes]) -> Iterator[Finding]:
        prefix = queue.prefix + b"t:"
        replies = self._run(ask([("HGET", prefix + task_id, "msg") for task_id in ids]))
        for task_id, data in zip(ids, replies, strict=True):
            if not isinstance(data, bytes):
                continue
            key = text(prefix + task_id)
            try:
                message = decode(data)
            except WireError as error:
                if self._is_new("undecodable", prefix + task_id):
                    yield finding("undecodable", str(error), queue=text(queue.name), key=key)
                continue
            is_own = (message.id, message.queue) == (text(task_id), text(queue.name))
            if not is_own and self._is_new("wrong-message", prefix + task_id):
                what = f'its message is that of task "{message.id}" of queue "{message.queue}"'
                yield finding("wrong-message", what, queue=text(queue.name), key=key)

    # -- the end --

    def _group(self, queue: _Queue, name: bytes) -> Iterator[Finding]:
        key = queue.prefix + b"g:" + name
        try:
            found = self._run(diagnose_group(queue.name, name, group_of(name), ""))
        except RejectedError as error:
            yield from self._refused(queue, key, error)
            return
        if not found.code:
            return
        what = {
            "empty-group": f'group "{text(name)}" is listed and empty',
            "stranded-group": f'group "{text(name)}" has {found.size:,} tasks and is not listed',
            "stray-set": f'{found.size:,} tasks of group "{text(group_of(name))}" are in a set'
            " that is not listed",
        }[found.code]
        yield finding(found.code, what, queue=text(queue.name), key=text(key))

    def _suspects(self, queue: _Queue) -> Iterator[Finding]:
        """Looks at all suspects of a queue, each in one moment."""
        ids = [
            task_id
            for task_id in queue.suspects
            if ("ghost", queue.prefix + b"t:" + task_id) not in self._told
        ]
        for start in range(0, len(ids), PAGE):
            page = [
                Suspect(task_id, queue.suspects[task_id] or queue.held.get(task_id, b""))
                for task_id in ids[start : start + PAGE]
            ]
            now_s = self._clock.now_ns() // NANOSECONDS
            try:
                found = self._run(diagnose(queue.name, page, now_s))
            except RejectedError as error:
                what = f"tasks of which something may be wrong: {error}"
                yield finding("not-asked", what, queue=text(queue.name))
                return
            self._tell("suspects", len(page))
            for diagnosis in found:
                if diagnosis.code:
                    yield _of_task(queue, diagnosis)

    def _registry(self, queue: _Queue, *, is_named: bool) -> Iterator[Finding]:
        if not queue.has_tasks and not queue.is_paused and not is_named:
            return
        if self._run(call("SISMEMBER", QUEUES, queue.name)) == 1:
            return
        if queue.has_tasks:
            what = "it has tasks and is not listed"
            yield finding("unlisted-queue", what, queue=text(queue.name), key=QUEUES)
        elif is_named and not queue.has_keys:
            name = text(queue.name)
            raise QueueNotFoundError(f'there is no queue "{name}"', queue=name)
        elif queue.is_paused:
            key = text(queue.prefix + b"paused")
            what = "it is paused and does not exist"
            yield finding("paused-nothing", what, queue=text(queue.name), key=key)

    # -- other --

    def _lenient(self, queue: _Queue, what: str, found: Iterator[Finding]) -> Iterator[Finding]:
        """What is found until Redis refuses something, which is told once."""
        try:
            yield from found
        except RejectedError as error:
            if self._is_new("not-asked", queue.prefix + what.encode()):
                yield finding("not-asked", f"{what}: {error}", queue=text(queue.name))

    def _histories(self, keys: list[bytes]) -> Iterator[Finding]:
        try:
            without_end = self._run(endless(keys))
            if without_end and self._shown is None:
                self._shown = self._run(shown_entries(self._clock.now_ns()))
        except RejectedError as error:
            if self._is_new("not-asked", HISTORIES):
                yield finding("not-asked", f"what schedulers left behind: {error}")
            return
        for key in without_end:
            entry_id = text(key.removeprefix(HISTORIES))
            if entry_id not in (self._shown or ()) and self._is_new("endless-history", key):
                what = f'entry "{entry_id}" is shown by no scheduler'
                yield finding("endless-history", what, key=text(key))

    def _refused(self, queue: _Queue, key: bytes, error: RejectedError) -> Iterator[Finding]:
        if is_wrong_type(error):
            yield from self._wrong_type(queue, key, "its type is wrong")
        elif self._is_new("not-asked", key):
            yield finding("not-asked", str(error), queue=text(queue.name), key=text(key))

    def _wrong_type(self, queue: _Queue, key: bytes, what: str) -> Iterator[Finding]:
        if self._is_new("wrong-type", key):
            yield finding("wrong-type", what, queue=text(queue.name), key=text(key))

    def _is_new(self, code: str, key: bytes) -> bool:
        if (code, key) in self._told:
            return False
        self._told.add((code, key))
        return True

    def _tell(self, what: str, number: int) -> None:
        self._looked_at += number
        if self._progress is not None:
            self._progress(what, self._looked_at)


def _listed() -> Op[list[bytes]]:
    """The names of all queues."""
    reply = yield from call("SMEMBERS", QUEUES)
    return sorted(reply) if isinstance(reply, (list, set, frozenset)) else []


def group_of(name: bytes) -> bytes:
    """The group's name in that of an aggregation set; b"" if it is none."""
    match = _SET.fullmatch(name)
    return match[1] if match else b""


def _of_task(queue: _Queue, diagnosis: Diagnosis) -> Finding:
    held = " and ".join(diagnosis.places) or "nothing"
    state = f'its hash says "{diagnosis.state}"' if diagnosis.state else "its hash says no state"
    return finding(
        diagnosis.code,
        f'task "{text(diagnosis.task_id)}" is held by {held}; {state}',
        queue=text(queue.name),
        key=text(queue.prefix + b"t:" + diagnosis.task_id),
        places=diagnosis.places,
    )


def _glob(name: bytes) -> bytes:
    """A pattern that fits just this."""
    return re.sub(rb"([\\*?\[\]])", rb"\\\1", name)
