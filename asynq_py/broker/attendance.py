"""A worker server's presence: who it is and what it is at, for Go's tools and ours to see.

Source: asynq v0.26.0, rdb: WriteServerState, ClearServerState.
"""

from __future__ import annotations

from collections.abc import Sequence

from asynq_py.broker.op import Arg, Exchange, Op, checked
from asynq_py.broker.scripts import WRITE_SERVER_STATE, evaluate
from asynq_py.clock import NANOSECONDS
from asynq_py.wire.keys import SERVERS, WORKERS, server_key, workers_key

#: How long a server is believed to live after its last heartbeat, seconds.
PRESENCE_S = 10


def show_server(
    server_id: str, server: bytes, workers: Sequence[tuple[str, bytes]], now_ns: int
) -> Op[None]:
    """Shows a server for as long as PRESENCE_S.

    Args:
        server_id: ``host:pid:UUID``.
        server: The encoded ServerInfo.
        workers: Of each task at work its ID and the encoded WorkerInfo.
        now_ns: Unix nanoseconds.
    """
    own, at_work = server_key(server_id), workers_key(server_id)
    until_s = now_ns // NANOSECONDS + PRESENCE_S
    for reply in (
        yield Exchange([("ZADD", SERVERS, until_s, own), ("ZADD", WORKERS, until_s, at_work)])
    ):
        checked(reply)
    args: list[Arg] = [PRESENCE_S, server]
    for task_id, info in workers:
        args += (task_id, info)
    yield from evaluate(WRITE_SERVER_STATE, [own, at_work], args)


def hide_server(server_id: str) -> Op[None]:
    """Shows it no more."""
    own, at_work = server_key(server_id), workers_key(server_id)
    replies = yield Exchange(
        [("ZREM", SERVERS, own), ("ZREM", WORKERS, at_work), ("DEL", own), ("DEL", at_work)]
    )
    for reply in replies:
        checked(reply)
