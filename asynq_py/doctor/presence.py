"""What processes left behind that are no more: servers, workers, schedulers."""

from __future__ import annotations

from asynq_py.broker.diagnosis import is_wrong_type
from asynq_py.broker.op import Exchange, Op, call, checked
from asynq_py.broker.presence import list_schedulers, read_scheduler_entries
from asynq_py.clock import NANOSECONDS
from asynq_py.doctor.finding import Finding, finding
from asynq_py.errors import RejectedError
from asynq_py.wire.keys import SCHEDULERS, SERVERS, WORKERS

#: What expired so long ago, in seconds, is stale: a beating process expires in the future.
STALE_S = 3600
#: How long a history without an end is kept, seconds.
HISTORY_S = 30 * 24 * 3600
HISTORIES = b"asynq:scheduler_history:"


def check_presence(now_ns: int) -> Op[list[Finding]]:
    """Looks for those who are listed and long gone."""
    cutoff = now_ns // NANOSECONDS - STALE_S
    keys = (SERVERS, WORKERS, SCHEDULERS)
    replies = yield Exchange([("ZCOUNT", key, "-inf", cutoff) for key in keys])
    found = []
    for key, reply in zip(keys, replies, strict=True):
        if isinstance(reply, RejectedError):
            code = "wrong-type" if is_wrong_type(reply) else "not-asked"
            found.append(finding(code, str(reply), key=key))
        elif reply:
            who = key.rpartition(":")[2]
            what = f"{reply} of the {who} listed expired more than an hour ago"
            found.append(finding("stale-presence", what, key=key))
    return found


def remove_stale(key: str, now_ns: int) -> Op[bool]:
    """Takes those out that are long gone."""
    cutoff = now_ns // NANOSECONDS - STALE_S
    return (yield from call("ZREMRANGEBYSCORE", key, "-inf", cutoff)) != 0


def endless(keys: list[bytes]) -> Op[list[bytes]]:
    """Those of some histories that have no end."""
    replies = yield Exchange([("TTL", key) for key in keys])
    return [key for key, reply in zip(keys, replies, strict=True) if checked(reply) == -1]


def shown_entries(now_ns: int) -> Op[set[str]]:
    """The IDs of the entries that schedulers show now."""
    keys = yield from list_schedulers(now_ns)
    published = yield from read_scheduler_entries(keys)
    return {entry.id for entry in published.entries}
