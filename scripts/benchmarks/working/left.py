"""How many tasks are not done yet, by what each library has in Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

from redis import Redis
from redis.exceptions import ResponseError

#: Tells how many tasks are stored and not acknowledged.
Left: TypeAlias = Callable[[Redis], int]


def counted(*commands: tuple[str, str]) -> Left:
    """The sum of what some commands find, in one round trip."""

    def left(redis: Redis) -> int:
        pipeline = redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        return sum(cast("list[int]", pipeline.execute()))

    return left


def unread_or_unacknowledged(stream: str) -> Left:
    """What a stream that keeps everything has for its only group."""

    def left(redis: Redis) -> int:
        try:
            groups = redis.xinfo_groups(stream)
        except ResponseError:  # there is no stream
            return 0
        if not groups:
            return redis.xlen(stream)
        return int(groups[0]["lag"] or 0) + int(groups[0]["pending"])

    return left
