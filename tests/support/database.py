"""What stands in a Redis database, in a form that can be compared."""

from __future__ import annotations

from typing import Any, TypeAlias

import redis

Dump: TypeAlias = "dict[str, dict[str, Any]]"


def dump(database: redis.Redis) -> Dump:
    """Every key with its type, its value and its life, rounded to ten seconds."""
    return {key.decode(): _value(database, key) for key in sorted(database.scan_iter())}


def content(database: redis.Redis) -> dict[str, Any]:
    """Every key with its value alone."""
    return {key: item["value"] for key, item in dump(database).items()}


def task_hash(database: redis.Redis, queue: str, task_id: str) -> dict[str, bytes]:
    """The fields of a stored task."""
    fields = database.hgetall(f"asynq:{{{queue}}}:t:{task_id}")
    return {name.decode(): value for name, value in fields.items()}


def pending(database: redis.Redis, queue: str = "default") -> list[str]:
    """The IDs of pending tasks, the next to be taken first."""
    return [task_id.decode() for task_id in database.lrange(f"asynq:{{{queue}}}:pending", 0, -1)][
        ::-1
    ]


def times_called(database: redis.Redis, command: str) -> int:
    """How often the server has run a command since CONFIG RESETSTAT."""
    stats = database.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


def _value(database: redis.Redis, key: bytes) -> dict[str, Any]:
    kind = database.type(key).decode()
    value: Any
    match kind:
        case "string":
            value = database.get(key)
        case "list":
            value = database.lrange(key, 0, -1)
        case "set":
            value = database.smembers(key)
        case "hash":
            value = database.hgetall(key)
        case "zset":
            value = database.zrange(key, 0, -1, withscores=True)
        case _:
            raise AssertionError(f"{key!r} is a {kind}")
    ttl_ms = database.pttl(key)
    return {"type": kind, "value": value, "ttl": -1 if ttl_ms < 0 else round(ttl_ms / 10_000) * 10}
