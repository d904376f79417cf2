"""Finding damage in what stands in Redis, and mending it where it is still so.

Pages are read by plain commands, which only raise a suspicion, for what they tell belongs to
different moments. A script then looks at a suspect in one moment, wherever it could be; the
same script mends, if it comes to the same end once more. Names are bytes here: what is
damaged need not be text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from asynq_py.broker.names import prefix_of, text
from asynq_py.broker.op import Arg, Command, Exchange, Op, Reply, call, checked
from asynq_py.broker.scripts import (
    DIAGNOSE_GROUP,
    DIAGNOSE_LOCK,
    DIAGNOSE_TASKS,
    EXPIRE_HISTORY,
    SWEEP_LIST,
    Script,
    evaluate,
    is_unknown_script,
    whole,
)
from asynq_py.broker.steering import trim_archive
from asynq_py.errors import RejectedError, WireError

#: How many names one command reads, and how many one script looks at, at the most.
PAGE = 500
#: Whoever let a lease end so long ago is gone: Go's recoverer waits as long, seconds.
ABANDONED_S = 30
#: About how many elements of lists one script may walk along: some milliseconds of Redis.
_STEPS = 400_000

#: What diagnose_tasks.lua looks into, as its KEYS.
_OF_TASKS = (
    b"pending",
    b"active",
    b"lease",
    b"archived",
    b"groups",
    b"aggregation_sets",
    b"py:quarantine",
)


class Suspect(NamedTuple):
    """A task with which something may be wrong."""

    task_id: bytes
    #: The key of a group or an aggregation set that may hold it, or b"".
    hint: bytes = b""
    #: The code of what is to be repaired; "" to look only.
    repair: str = ""
    #: Whether it may be several times in one list.
    is_repeated: bool = False


class Diagnosis(NamedTuple):
    """What a script says of a task."""

    task_id: bytes
    #: As diagnose_tasks.lua names it; "" if nothing is wrong.
    code: str
    #: The word in its hash; "" if there is none.
    state: str
    #: What holds it: "pending", "g:name", ...
    places: tuple[str, ...]
    repaired: bool = False


class Page(NamedTuple):
    """A step of a walk along names."""

    #: Where the next step begins; 0 at the end.
    cursor: int
    names: list[Any]


def scan(cursor: int, pattern: bytes) -> Op[Page]:
    """A step along all keys of a database that a pattern fits; a key may come twice."""
    return _page((yield from call("SCAN", cursor, "MATCH", pattern, "COUNT", PAGE)))


def members(kind: str, key: bytes, cursor: int) -> Op[Page]:
    """A step along a "list" (from the left on), a "zset" or a "set".

    What is in it all the time is met; of a list, unless something is taken from its middle
    meanwhile.
    """
    if kind == "list":
        reply = yield from call("LRANGE", key, cursor, cursor + PAGE - 1)
        names = _names(reply)
        return Page(cursor + PAGE if len(names) == PAGE else 0, names)
    command = "ZSCAN" if kind == "zset" else "SSCAN"
    page = _page((yield from call(command, key, cursor, "COUNT", PAGE)))
    if kind == "zset" and page.names and not isinstance(page.names[0], tuple):
        return Page(page.cursor, page.names[::2])
    return Page(page.cursor, [item[0] if isinstance(item, tuple) else item for item in page.names])


class Hash(NamedTuple):
    """What the hash of a task says, without its message."""

    #: How many bytes the message has; 0 if there is none.
    size: int
    state: bytes | None
    group: bytes | None


def hashes(queue: bytes, ids: Sequence[bytes]) -> Op[list[Hash | None]]:
    """What the hashes of tasks say; None where a key is no hash."""
    prefix = prefix_of(queue) + b"t:"
    commands: list[Command] = []
    for task_id in ids:
        key = prefix + task_id
        commands += [("HSTRLEN", key, "msg"), ("HMGET", key, "state", "group")]
    replies = (yield Exchange(commands)) if commands else []
    found: list[Hash | None] = []
    for size, fields in zip(replies[::2], replies[1::2], strict=True):
        if is_wrong_type(size):
            found.append(None)
            continue
        match checked(size), checked(fields):
            case int(number), [state, group]:
                found.append(Hash(number, _optional(state), _optional(group)))
            case other:
                raise WireError(f"Redis answered {other!r} where a hash was due")
    return found


def diagnose(queue: bytes, suspects: Sequence[Suspect], now_s: int) -> Op[list[Diagnosis]]:
    """Looks at tasks in one moment each, and repairs where it is asked for and still due."""
    prefix = prefix_of(queue)
    keys: list[str | bytes] = [prefix + name for name in _OF_TASKS]
    found: list[Diagnosis] = []
    start = 0
    while start < len(suspects):
        sizes = yield Exchange([("LLEN", keys[0]), ("LLEN", keys[1]), ("ZCARD", keys[5])])
        pending, active, sets = (size if isinstance(size := checked(s), int) else 0 for s in sizes)
        # To look for an ID in a list is to walk along it.
        most = max(1, min(PAGE, _STEPS // (pending + active + 100 * sets + 1)))
        chunk = suspects[start : start + most]
        start += most
        args: list[Arg] = [prefix, now_s, now_s - ABANDONED_S]
        for suspect in chunk:
            task_id, hint, repair, is_repeated = suspect
            args += (task_id, hint, repair, "1" if is_repeated else "")
        reply = yield from evaluate(DIAGNOSE_TASKS, keys, args)
        if not isinstance(reply, list) or len(reply) != len(chunk):
            raise WireError(f"diagnose_tasks.lua answered {reply!r}")
        for suspect, (code, state, places, repaired) in zip(chunk, reply, strict=True):
            words = tuple(text(place) for place in places)
            found.append(Diagnosis(suspect.task_id, text(code), text(state), words, repaired == 1))
    return found


class Swept(NamedTuple):
    """What stands in a part of the list of pending tasks."""

    task_id: bytes
    #: Whether it has a message; one whose key is no hash counts as well.
    is_whole: bool
    state: bytes


def sweep_pending(queue: bytes, start: int, *, repair: bool) -> Op[list[Swept]]:
    """Looks at a page of pending tasks in one moment; takes out those without a message."""
    prefix = prefix_of(queue)
    args: list[Arg] = [start, PAGE, prefix + b"t:", "1" if repair else ""]
    reply = yield from evaluate(SWEEP_LIST, [prefix + b"pending"], args)
    if not isinstance(reply, list):
        raise WireError(f"sweep_list.lua answered {reply!r}")
    return [Swept(task_id, size > 0, state) for task_id, size, state in reply]


def sweep_all_pending(queue: bytes) -> Op[set[bytes]]:
    """Takes all out of the list of pending tasks that have no message; returns their IDs."""
    gone: set[bytes] = set()
    start = 0
    while True:
        page = yield from sweep_pending(queue, start, repair=True)
        swept = {task.task_id for task in page if not task.is_whole}
        gone |= swept
        start += sum(task.is_whole for task in page)
        if len(page) < PAGE:
            return gone


class GroupDiagnosis(NamedTuple):
    """What a script says of a group, or of a set that is being aggregated."""

    #: As diagnose_group.lua names it; "" if nothing is wrong.
    code: str
    #: How many tasks are in it.
    size: int
    repaired: bool


def diagnose_group(queue: bytes, name: bytes, group: bytes, repair: str) -> Op[GroupDiagnosis]:
    """Looks at a group; see diagnose_group.lua.

    Args:
        name: What follows ``asynq:{queue}:g:`` in its key.
        group: The name without the ID of an aggregation set; b"" if it has none.
        repair: The code of what is to be repaired; "" to look only.
    """
    prefix = prefix_of(queue)
    keys: list[str | bytes] = [
        prefix + b"g:" + name,
        prefix + b"groups",
        prefix + b"aggregation_sets",
    ]
    first: GroupDiagnosis | None = None
    while True:
        reply = yield from evaluate(DIAGNOSE_GROUP, keys, [name, group, prefix, repair, PAGE])
        match reply:
            case [bytes(code), int(size), int(more)]:
                done = bool(repair) and code.decode() == repair
                first = first or GroupDiagnosis(code.decode(), size, done)
            case _:
                raise WireError(f"diagnose_group.lua answered {reply!r}")
        if not more:
            return first


def diagnose_locks(
    queue: bytes, locks: Sequence[bytes], *, repair: bool
) -> Op[list[tuple[str | None, bytes]]]:
    """Why each lock is held in vain, and by which ID; "" if it is not, None if it is no lock."""
    prefix = prefix_of(queue)
    args: list[Arg] = [prefix + b"t:", "1" if repair else ""]
    replies = yield from _each(DIAGNOSE_LOCK, [([lock, prefix + b"lease"], args) for lock in locks])
    found: list[tuple[str | None, bytes]] = []
    for reply in replies:
        match reply:
            case [bytes(why), bytes(task_id)]:
                found.append((why.decode(), task_id))
            case _ if is_wrong_type(reply):
                found.append((None, b""))
            case _:
                checked(reply)
                raise WireError(f"diagnose_lock.lua answered {reply!r}")
    return found


def expire_history(key: bytes, life_s: int) -> Op[bool]:
    """Gives a history an end, if it has none."""
    return (yield from evaluate(EXPIRE_HISTORY, [key], [life_s])) == 1


def trim_overdue(queue: bytes, now_s: int) -> Op[int]:
    """Deletes archived tasks that are too old or too many; returns how many."""
    return (yield from trim_archive(text(queue), now_s))


def ask(commands: Iterable[Command]) -> Op[list[Reply]]:
    """Commands of which those that a key of a wrong type refused have that for a reply."""
    asked = list(commands)
    return [known(reply) for reply in (yield Exchange(asked))] if asked else []


def is_wrong_type(reply: Reply) -> bool:
    """Whether a command was refused because of the type of its key."""
    # Redis before 7 puts its own words before the error of a script.
    return isinstance(reply, RejectedError) and "WRONGTYPE" in str(reply)


def known(reply: Reply) -> Reply:
    """A reply; the refusal because of a key's type as it is, any other is raised."""
    return reply if is_wrong_type(reply) else checked(reply)


def info(section: str) -> Op[dict[str, str]]:
    """What INFO says of a section."""
    reply = yield from call("INFO", section)
    if isinstance(reply, Mapping):  # redis-py has read it, for a cluster
        return {str(name): str(value) for name, value in reply.items()}
    if not isinstance(reply, bytes):
        raise WireError(f"Redis answered INFO with {reply!r}")
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def _each(
    script: Script, calls: Sequence[tuple[Sequence[str | bytes], Sequence[Arg]]]
) -> Op[list[Reply]]:
    """Runs a script many times in few round trips; refusals are among the replies."""
    commands = [script.cached(keys, args) for keys, args in calls]
    if not commands:
        return []
    replies = yield Exchange(commands)
    lost = [number for number, reply in enumerate(replies) if is_unknown_script(reply)]
    if lost:
        again = yield Exchange([whole(script, commands[number]) for number in lost])
        for number, reply in zip(lost, again, strict=True):
            replies[number] = reply
    return replies


def _page(reply: Reply) -> Page:
    match reply:
        case [bytes() | int() as cursor, [*names]] | (bytes() | int() as cursor, [*names]):
            return Page(int(cursor), names)
    raise WireError(f"Redis answered {reply!r} where a page was due")


def _names(reply: Reply) -> list[bytes]:
    if not isinstance(reply, list):
        raise WireError(f"Redis answered {reply!r} where a list was due")
    return reply


def _optional(reply: Reply) -> bytes | None:
    return reply if isinstance(reply, bytes) else None
