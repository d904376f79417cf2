"""What the doctor finds: one thing that is wrong, in words, and the kinds there are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Severity(StrEnum):
    """How bad it is."""

    #: Worth knowing; nothing needs to be done.
    INFO = "info"
    #: It takes room or shows wrong numbers, or will become an error.
    WARNING = "warning"
    #: Tasks are lost, stuck or refused, or may be.
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    #: Its kind; see docs/doctor.md.
    code: str
    severity: Severity
    #: Where it is; "" if it is about no queue.
    queue: str
    #: The key in Redis that it is about; "" if there is none. Of tasks the hash, be it there
    #: or not. Bytes that are no UTF-8 are surrogates.
    key: str
    #: What is wrong here.
    what: str
    #: How it comes to be, and what it does.
    why: str
    #: What a repair does; None if there is none.
    repair: str | None
    #: What holds the task it is about: "pending", "g:name", ...
    places: tuple[str, ...] = ()


class Kind(NamedTuple):
    """What all findings of a code have in common."""

    severity: Severity
    why: str
    repair: str | None = None


_INFO, _WARNING, _ERROR = Severity.INFO, Severity.WARNING, Severity.ERROR
_QUARANTINE = (
    "the task is put into quarantine as it is, where workers pass it over; one with a lease that"
    " runs, only when that is over"
)

KINDS: dict[str, Kind] = {
    # -- tasks --
    "phantom-active": Kind(
        _ERROR,
        "The task's hash was evicted or deleted, and a worker took its ID all the same. The ID"
        " stays active for ever, the recoverer passes it over, and no task can have it again.",
        "the ID is taken out of active and lease, and what is left of the hash deleted",
    ),
    "phantom-leased": Kind(
        _INFO,
        "The task's hash was evicted or deleted, but a worker may have the task in its memory"
        " and bring it back with a retry. If not, the lease ends soon: look again in a minute.",
    ),
    "ghost": Kind(
        _WARNING,
        "The task's hash was evicted or deleted, its ID was not. A worker that takes it makes"
        " it active for ever and believes the queue to be empty; inspectors show an empty task.",
        "the ID is taken out of what holds it, and what is left of the hash deleted",
    ),
    "orphan": Kind(
        _WARNING,
        "Nothing holds the task any more. Archiving from an inspector drops the oldest IDs from"
        " a full archive and leaves their hashes behind, and a result that is written after the"
        " task is done makes a new hash. It takes room for ever, and no task can have its ID.",
        "the hash is deleted, and the uniqueness lock with it if the task holds it",
    ),
    "lost-task": Kind(
        _ERROR,
        "The task is not finished, and nothing holds it, so no worker will ever take it: what"
        " held it was evicted or deleted, or its lease got lost, upon which ending the task"
        " stops halfway. Whether it has run is not known.",
        "the task is archived, to be looked at, run or deleted; its uniqueness lock is freed",
    ),
    "twice": Kind(
        _ERROR,
        "One ID in several places runs several times, and whoever ends it first takes the hash"
        " from the others. Asynq moves tasks in one step: somebody wrote keys by hand.",
        "it stays where its hash says; left alone if the hash names none of the places, or a"
        " worker is at another",
    ),
    "repeated": Kind(
        _ERROR,
        "One ID several times in one list: of a pending task each is run, and whoever ends it"
        " first takes the hash from the others. Asynq refuses an ID that is taken: somebody"
        " wrote keys by hand, or copied them into a Redis that had them.",
        "the one that is next to be taken stays, the others are taken out",
    ),
    "no-lease": Kind(
        _ERROR,
        "An active task without a lease is never recovered if its worker is gone, and when its"
        " worker ends it, that stops halfway: extending leases does not bring back a lost one.",
        "it gets a lease that has just ended: its worker renews it, or else the recoverer takes"
        " the task",
    ),
    "stale-lease": Kind(
        _WARNING,
        "A lease of a task that is not active: when the lease ends, the recoverer tries to retry"
        " a task that is not there, every minute.",
        "the lease is deleted",
    ),
    "wrong-state": Kind(
        _WARNING,
        "The task's hash says another state or group than the one it is in, so that inspectors"
        " look for it where it is not and fail. Archiving into an archive with some thousand"
        " overdue tasks stops halfway like this.",
        "the hash is made to say where the task is",
    ),
    "undecodable": Kind(
        _ERROR,
        "The message of the task cannot be read. A worker that takes it fails and leaves it"
        " active, where it keeps the recoverer from all other tasks of the queue.",
        _QUARANTINE,
    ),
    "wrong-message": Kind(
        _ERROR,
        "The message is that of another task or queue, so that a worker cannot end the task: it"
        " would look for the other one.",
        _QUARANTINE,
    ),
    "quarantined": Kind(
        _INFO,
        "The message of the task is of no use to workers, so the task was put aside: they and"
        " inspectors pass it over. HGETALL of its key shows it, DEL deletes it; HSET of a right"
        " msg lets --fix restore it.",
    ),
    "restorable": Kind(
        _WARNING,
        "The message of a task that was put aside can be used: it has been mended, or who put"
        " it aside did not know its form yet.",
        "the task is archived, to be looked at, run or deleted",
    ),
    # -- locks --
    "stale-lock": Kind(
        _ERROR,
        "The task that holds the uniqueness lock is gone or completed, or never had this lock:"
        " enqueueing a unique task under an ID that is taken leaves its lock behind. Until it"
        " expires, its like are refused as duplicates.",
        "the lock is deleted",
    ),
    # -- groups --
    "stranded-group": Kind(
        _ERROR,
        "The group has tasks but is not listed among the groups, so that no server looks at it"
        " until another task is added: after an aggregation that was given up, or a retry of a"
        " task of the group, Asynq does not list it again.",
        "the group is listed",
    ),
    "empty-group": Kind(
        _WARNING,
        "The group is listed but has no tasks; servers look at it for ever.",
        "the group is listed no more",
    ),
    "stray-set": Kind(
        _ERROR,
        "Tasks were taken from their group to be aggregated, but the set is not listed among"
        " those being aggregated, so that nobody takes it up again.",
        "the tasks go back to their group, which is listed",
    ),
    # -- queues --
    "archive-overdue": Kind(
        _ERROR,
        "Thousands of archived tasks are older than 90 days. A Go worker that archives a task"
        " wants to delete all at once, and with more than about 8,000 its script fails halfway,"
        " again and again, and leaves each task in the wrong state.",
        "they are deleted as Asynq would, some at a time",
    ),
    "archive-full": Kind(
        _INFO,
        "Asynq keeps 9,999 archived tasks: the next ones push out the oldest.",
    ),
    "unlisted-queue": Kind(
        _ERROR,
        "The queue has tasks but is not in asynq:queues, so that no inspector sees it. It was"
        " removed while a client that had announced it went on enqueueing, which it does once.",
        "the queue is listed",
    ),
    "paused-nothing": Kind(
        _WARNING,
        "A queue that does not exist is paused, and will be from its first task on. A removed"
        " queue leaves its mark behind, and pausing does not ask whether the queue exists.",
    ),
    "wrong-type": Kind(
        _ERROR,
        "The key is of another type than Asynq's, so that every command on it fails.",
    ),
    "unclear-key": Kind(
        _INFO,
        'The name of a queue, an ID or the name of a group has "}:" in it, so that keys can be'
        " read in several ways. Those of these queues that can were not looked at.",
    ),
    # -- presence --
    "stale-presence": Kind(
        _INFO,
        "Processes that ended without saying so (SIGKILL, a crash) stay listed until somebody"
        " lists them with Go's tools.",
        "what expired more than an hour ago is taken out",
    ),
    "endless-history": Kind(
        _INFO,
        "Go's scheduler gives histories no end and a new ID to each entry at each start, so that"
        " one is left behind for each entry whenever it does not stop cleanly.",
        "it expires in 30 days, unless a scheduler shows its entry again by then",
    ),
    # -- the server --
    "eviction": Kind(
        _ERROR,
        "When memory is full, Redis deletes keys of its choice: tasks vanish, and their IDs stay"
        " behind. Set maxmemory-policy to noeviction.",
    ),
    "old-redis": Kind(
        _ERROR, "Asynq's scripts need Redis 6.2: archiving a task fails with anything older."
    ),
    "no-persistence": Kind(
        _WARNING,
        "Neither the append-only file nor snapshots are on: a restart of Redis loses all tasks.",
    ),
    "failed-save": Kind(_ERROR, "The last try of Redis to save its data to disk failed."),
    "clock-skew": Kind(
        _WARNING,
        "Leases, schedules and statistics go by the clocks of the machines that Asynq runs on."
        " With more than 30 s between two of them, tasks are recovered while they still run.",
    ),
    "read-only": Kind(
        _ERROR, "This server is a replica, which refuses to write: connect to its master."
    ),
    "memory-full": Kind(
        _WARNING, "When memory is full, Redis refuses to enqueue, or deletes keys of its choice."
    ),
    "not-asked": Kind(
        _INFO,
        "Redis did not let the doctor look (by an ACL, or a managed Redis), so this is not known.",
    ),
}


def finding(
    code: str, what: str, *, queue: str = "", key: str = "", places: tuple[str, ...] = ()
) -> Finding:
    """A finding of a kind."""
    severity, why, repair = KINDS[code]
    return Finding(code, severity, queue, key, what, why, repair, places)
