"""Every Redis key of Asynq, one function each. No other module spells a key.

All keys of one queue share the hash tag ``{queue}``, hence one slot of a Redis Cluster.

Source: asynq v0.26.0, internal/base.
"""

from __future__ import annotations

from hashlib import md5

#: Set of the names of all queues.
QUEUES = "asynq:queues"
#: Sorted set of the keys of live servers; score: when they expire, Unix seconds.
SERVERS = "asynq:servers"
#: Sorted set of the keys of live servers' workers; score as above.
WORKERS = "asynq:workers"
#: Sorted set of the keys of live schedulers; score as above.
SCHEDULERS = "asynq:schedulers"
#: Pub/sub channel; a message is the ID of a task to cancel.
CANCEL = "asynq:cancel"
#: Hash of the entries that do not run: control name to when they were paused, Unix seconds.
#: This key and the next are asynq_py's own; Go knows nothing of them.
PAUSED = "asynq:py:paused"
#: Stream of what running schedulers are asked to do: action, entry, group.
CONTROL = "asynq:py:control"


def queue_prefix(queue: str) -> str:
    """What all keys of a queue begin with."""
    return f"asynq:{{{queue}}}:"


def task_prefix(queue: str) -> str:
    """What the keys of a queue's tasks begin with; the task ID follows."""
    return f"asynq:{{{queue}}}:t:"


def task_key(queue: str, task_id: str) -> str:
    """Hash of one task: msg, state, pending_since, unique_key, group, result."""
    return f"asynq:{{{queue}}}:t:{task_id}"


def pending_key(queue: str) -> str:
    """List of task IDs, newest on the left; taken from the right."""
    return f"asynq:{{{queue}}}:pending"


def scheduled_key(queue: str) -> str:
    """Sorted set of task IDs; score: when to run, Unix seconds."""
    return f"asynq:{{{queue}}}:scheduled"


def active_key(queue: str) -> str:
    """List of the IDs of tasks at work, newest on the left."""
    return f"asynq:{{{queue}}}:active"


def lease_key(queue: str) -> str:
    """Sorted set of the IDs of tasks at work; score: when the lease ends, Unix seconds."""
    return f"asynq:{{{queue}}}:lease"


def retry_key(queue: str) -> str:
    """Sorted set of task IDs; score: when to try again, Unix seconds."""
    return f"asynq:{{{queue}}}:retry"


def archived_key(queue: str) -> str:
    """Sorted set of task IDs; score: when the task was archived, Unix seconds."""
    return f"asynq:{{{queue}}}:archived"


def completed_key(queue: str) -> str:
    """Sorted set of task IDs; score: when the task is to be forgotten, Unix seconds."""
    return f"asynq:{{{queue}}}:completed"


def paused_key(queue: str) -> str:
    """String that is there while the queue is paused; since when, Unix seconds."""
    return f"asynq:{{{queue}}}:paused"


def processed_key(queue: str, day: str = "") -> str:
    """Counter of tasks that were processed, ever or on a day (UTC, "2026-11-25")."""
    return f"asynq:{{{queue}}}:processed" + (f":{day}" if day else "")


def failed_key(queue: str, day: str = "") -> str:
    """Counter of tasks that failed, ever or on a day (UTC, "2026-11-25")."""
    return f"asynq:{{{queue}}}:failed" + (f":{day}" if day else "")


def group_prefix(queue: str) -> str:
    """What the keys of a queue's groups begin with; the group's name follows."""
    return f"asynq:{{{queue}}}:g:"


def aggregation_sets_key(queue: str) -> str:
    """Sorted set of the keys of sets that are being aggregated; score: until when."""
    return f"asynq:{{{queue}}}:aggregation_sets"


def groups_key(queue: str) -> str:
    """Set of the names of groups that have tasks waiting."""
    return f"asynq:{{{queue}}}:groups"


def group_key(queue: str, group: str) -> str:
    """Sorted set of task IDs waiting in a group; score: when added, Unix seconds."""
    return f"asynq:{{{queue}}}:g:{group}"


def unique_key(queue: str, task_type: str, payload: bytes | None) -> str:
    """The uniqueness lock of a task: a string whose value is the ID of its holder.

    No payload (None) and an empty one (b"") have different locks, as in Go.
    """
    digest = "" if payload is None else md5(payload, usedforsecurity=False).hexdigest()
    return f"asynq:{{{queue}}}:unique:{task_type}:{digest}"


def scheduler_key(scheduler_id: str) -> str:
    """List of a scheduler's entries, pushed on the left."""
    return f"asynq:schedulers:{{{scheduler_id}}}"


def scheduler_history_key(entry_id: str) -> str:
    """Sorted set of an entry's enqueue events; score: when, Unix seconds."""
    return f"asynq:scheduler_history:{entry_id}"


# What follows is ours: Go knows nothing of it and never touches it.


def ledger_key(queue: str) -> str:
    """Hash of the last tick of each entry that enqueues here: "tick runs task-ID"."""
    return f"asynq:{{{queue}}}:py:ticks"


def terms_key(queue: str) -> str:
    """Hash of the highest term of each group of schedulers that enqueued here."""
    return f"asynq:{{{queue}}}:py:terms"


def quarantine_key(queue: str) -> str:
    """Sorted set of the IDs of tasks that workers cannot use; score: since when, Unix seconds."""
    return f"asynq:{{{queue}}}:py:quarantine"


def leader_key(group: str) -> str:
    """Hash of who leads a group of schedulers: holder, term, until."""
    return f"asynq:py:leader:{group}"
