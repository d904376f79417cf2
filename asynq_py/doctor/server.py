"""What is wrong with the Redis server itself, whatever stands in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from asynq_py.broker.diagnosis import info
from asynq_py.broker.names import text
from asynq_py.broker.op import Op, Reply, call
from asynq_py.clock import NANOSECONDS, Clock
from asynq_py.doctor.finding import Finding, finding
from asynq_py.errors import RejectedError

#: Less between two clocks is not worth a word.
SKEW_NS = NANOSECONDS
#: From which part of maxmemory on memory is about full.
FULL = 0.9
OLDEST = (6, 2)


def check_server(clock: Clock) -> Op[list[Finding]]:
    """Looks at the server's settings, memory, role and clock."""
    found: list[Finding] = []
    for section, look in (("server", _version), ("replication", _role), ("memory", _memory)):
        try:
            found += look((yield from info(section)))
        except RejectedError as error:
            found.append(finding("not-asked", f"INFO {section}: {error}"))
    found += yield from _persistence()
    found += yield from _skew(clock)
    return found


def _version(said: Mapping[str, str]) -> Iterator[Finding]:
    version = said.get("redis_version", "")
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) < OLDEST:
        yield finding("old-redis", f"Redis is version {version}")


def _role(said: Mapping[str, str]) -> Iterator[Finding]:
    if said.get("role") in ("slave", "replica"):
        master = f"{said.get('master_host', '?')}:{said.get('master_port', '?')}"
        yield finding("read-only", f"it is a replica of {master}")


def _memory(said: Mapping[str, str]) -> Iterator[Finding]:
    policy = said.get("maxmemory_policy", "")
    most = _number(said.get("maxmemory"))
    used = _number(said.get("used_memory"))
    if policy and policy != "noeviction":
        limit = f"maxmemory is {most:,} bytes" if most else "maxmemory is not set yet"
        yield finding("eviction", f"maxmemory-policy is {policy}; {limit}")
    if most and used > FULL * most:
        yield finding("memory-full", f"{used:,} of {most:,} bytes are used ({used / most:.0%})")


def _persistence() -> Op[list[Finding]]:
    try:
        said = yield from info("persistence")
    except RejectedError as error:
        return [finding("not-asked", f"INFO persistence: {error}")]
    found: list[Finding] = []
    for name, what in (
        ("rdb_last_bgsave_status", "snapshot"),
        ("aof_last_write_status", "write to the append-only file"),
    ):
        if said.get(name, "ok") != "ok":
            found.append(finding("failed-save", f"the last {what} failed"))
    if said.get("aof_enabled") != "1":
        try:
            saves = _setting((yield from call("CONFIG", "GET", "save")))
        except RejectedError as error:
            return [*found, finding("not-asked", f"whether snapshots are on: {error}")]
        if not saves:
            found.append(finding("no-persistence", "appendonly is no, and save is empty"))
    return found


def _skew(clock: Clock) -> Op[list[Finding]]:
    before = clock.now_ns()
    try:
        reply = yield from call("TIME")
    except RejectedError as error:
        return [finding("not-asked", f"what time it is: {error}")]
    after = clock.now_ns()
    match reply:
        case [seconds, micros] | (seconds, micros):
            theirs = int(text(seconds)) * NANOSECONDS + int(text(micros)) * 1000
        case _:
            return []
    # Somewhere between sending and receiving it was their time.
    skew = theirs - after if theirs > after else min(0, theirs - before)
    if abs(skew) <= SKEW_NS:
        return []
    way = "ahead of" if skew > 0 else "behind"
    what = f"the clock of Redis is {abs(skew) / NANOSECONDS:.1f} s {way} the one here"
    return [finding("clock-skew", what)]


def _setting(reply: Reply) -> str:
    """The value that CONFIG GET answered."""
    if isinstance(reply, Mapping):  # redis-py has read it, for a cluster
        return text(next(iter(reply.values()), ""))
    return text(reply[1]) if isinstance(reply, list) and len(reply) > 1 else ""


def _number(value: str | None) -> int:
    return int(value) if value and value.isdigit() else 0
