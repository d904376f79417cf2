"""The Lua scripts: one file each in ``lua/``, one constant each here, and how to run them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from pkgutil import get_data
from typing import NamedTuple

from asynq_py.broker.op import Arg, Command, Exchange, Op, Reply, checked
from asynq_py.errors import RejectedError


class Script(NamedTuple):
    """A Lua file as Redis knows it."""

    name: str
    text: str
    sha: str

    def cached(self, keys: Sequence[str | bytes], args: Sequence[Arg]) -> Command:
        """The command that runs the script if the server has it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *args)


def _load(name: str) -> Script:
    data = get_data("asynq_py.broker", f"lua/{name}.lua")
    if data is None:
        raise FileNotFoundError(f"asynq_py/broker/lua/{name}.lua is not installed")
    return Script(name, data.decode(), sha1(data, usedforsecurity=False).hexdigest())


CAMPAIGN = _load("campaign")
DELETE_QUEUE = _load("delete_queue")
DIAGNOSE_GROUP = _load("diagnose_group")
DIAGNOSE_LOCK = _load("diagnose_lock")
DIAGNOSE_TASKS = _load("diagnose_tasks")
ENQUEUE = _load("enqueue")
EXPIRE_HISTORY = _load("expire_history")
FIRST_SEEN = _load("first_seen")
MEMORY_USAGE = _load("memory_usage")
MOVE_TASKS = _load("move_tasks")
QUARANTINE = _load("quarantine")
QUEUE_INFO = _load("queue_info")
READ_TASK = _load("read_task")
RECORD_ENQUEUE_EVENT = _load("record_enqueue_event")
RESIGN = _load("resign")
SWEEP_LIST = _load("sweep_list")
UPDATE_PAYLOAD = _load("update_payload")
WRITE_SCHEDULER_ENTRIES = _load("write_scheduler_entries")


def evaluate(script: Script, keys: Sequence[str | bytes], args: Sequence[Arg]) -> Op[Reply]:
    """Runs a script; one that the server has lost (restart, failover) is sent whole."""
    command = script.cached(keys, args)
    (reply,) = yield Exchange([command])
    if is_unknown_script(reply):
        (reply,) = yield Exchange([whole(script, command)])
    return checked(reply)


def is_unknown_script(reply: Reply) -> bool:
    """Whether Redis refused because it does not hold the script: nothing was done."""
    return isinstance(reply, RejectedError) and reply.code == "NOSCRIPT"


def whole(script: Script, command: Command) -> Command:
    """The same invocation with the script's text in place of its hash."""
    return ("EVAL", script.text, *command[2:])
