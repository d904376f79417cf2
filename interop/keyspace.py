"""Two databases compared: what Go left behind and what Python left behind.

Moments are what they were: each side has its own "now". So times may differ by
`TOLERANCE_S`, and everything else must be equal, key by key and byte by byte.

Both may begin with the same: `twin` copies database 0 to them.
"""

from __future__ import annotations

import base64
from typing import Any

import redis

from asynq_py.wire.message import decode, encode

SOURCE, GO, PYTHON = 0, 1, 2
#: The most that the two sides' clocks may be apart in one comparison, seconds.
TOLERANCE_S = 3

Dump = dict[str, dict[str, Any]]

#: Copies everything to other databases; in one call, since there may be much.
_COPY = """
for _, db in ipairs(ARGV) do
  redis.call("SELECT", db)
  if KEYS[1] == "empty" then redis.call("FLUSHDB", "SYNC") end
  redis.call("SELECT", 0)
  for _, key in ipairs(redis.call("KEYS", "*")) do redis.call("COPY", key, key, "DB", db) end
end
"""


def twin(raw: redis.Redis, *, empty: bool = True) -> None:
    """Copies everything to the databases of Go and of Python, in one moment.

    Args:
        raw: A client of database 0.
        empty: Whether what they hold is deleted first.
    """
    raw.eval(_COPY, 1, "empty" if empty else "", str(GO), str(PYTHON))


def without_presence(dump: Dump) -> Dump:
    """Without what servers show of themselves: who they are always differs."""
    shown = ("asynq:servers", "asynq:workers")
    return {key: entry for key, entry in dump.items() if not key.startswith(shown)}


def differences(go: Dump, python: Dump) -> list[str]:
    """Says what differs, in words; an empty list for equal databases."""
    found = [f"only Go has {key}" for key in sorted(go.keys() - python.keys())]
    found += [f"only Python has {key}" for key in sorted(python.keys() - go.keys())]
    for key in sorted(go.keys() & python.keys()):
        found += [f"{key}: {what}" for what in _entry_differences(go[key], python[key])]
    return found


def _entry_differences(go: dict[str, Any], python: dict[str, Any]) -> list[str]:
    if go["type"] != python["type"]:
        return [f"Go has a {go['type']}, Python a {python['type']}"]
    found = []
    if (go["ttl_ms"] < 0) != (python["ttl_ms"] < 0) or not _near(
        go["ttl_ms"] / 1000, python["ttl_ms"] / 1000
    ):
        found.append(f"TTL {go['ttl_ms']} ms in Go, {python['ttl_ms']} ms in Python")
    match go["type"]:
        case "hash":
            found += _hash_differences(go["value"], python["value"])
        case "zset":
            found += _zset_differences(go["value"], python["value"])
        case _ if go["value"] != python["value"]:
            found.append(f"{_text(go['value'])} in Go, {_text(python['value'])} in Python")
    return found


def _hash_differences(go: dict[str, str], python: dict[str, str]) -> list[str]:
    if go.keys() != python.keys():
        return [f"fields {sorted(go)} in Go, {sorted(python)} in Python"]
    found = []
    for field in sorted(go):
        ours, theirs = base64.b64decode(python[field]), base64.b64decode(go[field])
        if field == "pending_since":
            same = len(ours) == len(theirs) and _near(int(ours) / 1e9, int(theirs) / 1e9)
        elif field == "msg":
            same = _same_message(theirs, ours)
        else:
            same = ours == theirs
        if not same:
            found.append(f"{field} {theirs!r} in Go, {ours!r} in Python")
    return found


def _same_message(theirs: bytes, ours: bytes) -> bool:
    go, python = decode(theirs), decode(ours)
    for moment in ("last_failed_at", "completed_at"):
        if not _near(getattr(go, moment), getattr(python, moment)):
            return False
        # One that is 0 is not written.
        if bool(getattr(go, moment)) != bool(getattr(python, moment)):
            return False
        setattr(python, moment, getattr(go, moment))
    if len(go.headers) > 1:
        # Go writes two headers in any order.
        return go == python and len(theirs) == len(encode(python))
    # That it was written so is what counts; the moments are as long as each other.
    return len(theirs) == len(ours) and encode(python) == theirs


def _zset_differences(go: list[list[Any]], python: list[list[Any]]) -> list[str]:
    theirs, ours = dict(map(tuple, go)), dict(map(tuple, python))
    if theirs.keys() != ours.keys():
        return [f"members {_text(list(theirs))} in Go, {_text(list(ours))} in Python"]
    return [
        f"score of {_text(member)}: {theirs[member]} in Go, {ours[member]} in Python"
        for member in theirs
        if not _near(theirs[member], ours[member])
    ]


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE_S


def _text(value: object) -> str:
    if isinstance(value, str):
        return repr(base64.b64decode(value))
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    return repr(value)
