"""What a shell offers for an argument. Where something is wrong, it offers nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import typer

from asynq_py.errors import AsynqError
from asynq_py.inspector.sync import Inspector
from asynq_py.wire.message import TaskState

#: Seconds that a user waits for Redis.
PATIENCE = 1.0


def states(incomplete: str) -> list[str]:
    """The states of tasks."""
    return [state.value for state in TaskState if state.startswith(incomplete)]


def queues(ctx: typer.Context, incomplete: str) -> list[str]:
    """The queues in the Redis that the command so far leads to."""
    return _asked(ctx, incomplete, lambda inspector: inspector.queues())


def groups(ctx: typer.Context, incomplete: str) -> list[str]:
    """The groups of the queue that the command names."""
    # Arguments stay unread while an option lacks its value.
    queue = next(filter(None, (ctx.params.get("q"), ctx.params.get("queue"), *ctx.args)), "")
    return _asked(
        ctx, incomplete, lambda inspector: [group.group for group in inspector.groups(queue)]
    )


def _asked(
    context: typer.Context, incomplete: str, ask: Callable[[Inspector], list[str]]
) -> list[str]:
    from asynq_py.cli.where import redis_config

    try:
        where = replace(redis_config(context), connect_timeout=PATIENCE, timeout=PATIENCE)
        with Inspector(where) as inspector:
            return [name for name in ask(inspector) if name.startswith(incomplete)]
    except AsynqError:
        return []
