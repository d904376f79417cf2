"""The doctor: looks at all that Asynq has in a Redis, and mends what is damaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from asynq_py.broker.names import text
from asynq_py.broker.op import call
from asynq_py.clock import SYSTEM_CLOCK, Clock
from asynq_py.doctor.examination import Examination
from asynq_py.doctor.finding import Finding
from asynq_py.doctor.look import Node, Progress
from asynq_py.doctor.mending import mend_all
from asynq_py.errors import NOT_LET_IN, RejectedError

if TYPE_CHECKING:
    from asynq_py.connection.sync import RedisArgument


class Doctor:
    """Finds damage in a Redis, explains it, and mends it while others work there.

    Looking changes nothing. A repair looks again, in the same moment in which it mends, and
    does nothing if there is nothing to mend any more.

    Args:
        redis: A URL, a RedisConfig, or a ready ``redis.Redis`` (which is not closed here).
        clock: Tells the time; the machine's own by default.

    Raises:
        ConfigError: It is not clear where Redis is. Nothing is connected yet.
    """

    def __init__(self, redis: RedisArgument, *, clock: Clock = SYSTEM_CLOCK) -> None:
        from asynq_py.connection.sync import Connection

        self._redis = redis
        self._clock = clock
        self._connection = Connection(redis)

    def examine(
        self,
        queues: Iterable[str] | None = None,
        *,
        deep: bool = True,
        progress: Progress | None = None,
    ) -> Iterator[Finding]:
        """Looks, and gives what it finds as it goes.

        It reads in pages, so that Redis serves others in between. It holds the IDs of pending
        and active tasks in memory, about 100 bytes each.

        Args:
            queues: Only these, and the server; all, and what processes left behind, by default.
            deep: Whether to look at every key. Otherwise at what is quickly done: the server,
                active tasks, names of groups, the size of archives.
            progress: Told what is being looked at, and how many keys and IDs have been.

        Raises:
            QueueNotFoundError: A queue that was named does not exist.
            BrokerError: Redis failed, or does not let us in. What Redis refuses alone is a
                finding.
        """
        self._check_let_in()
        with ExitStack() as opened:
            nodes = self._nodes(opened)
            look = Examination(self._connection.run, nodes, self._clock, progress)
            yield from look.everything(queues, deep=deep)

    def _check_let_in(self) -> None:
        """Where everything is refused, nothing was seen: that is not healthy."""
        try:
            self._connection.run(call("PING"))
        except RejectedError as error:
            if error.code in NOT_LET_IN:
                raise

    def fix(self, finding: Finding) -> bool:
        """Mends one finding; see :meth:`fix_all`."""
        return self.fix_all([finding])[0]

    def fix_all(self, findings: Sequence[Finding]) -> list[bool]:
        """Mends what is still as it was found.

        Where many pending tasks have no hash, all such are taken out of the list.

        Returns:
            For each whether it was mended: False if there is no repair, or it was not so any
            more.

        Raises:
            BrokerError: Redis failed. Some may have been mended.
        """
        return mend_all(self._connection.run, self._clock, findings)

    def close(self) -> None:
        """Closes the connections opened here. The doctor cannot be used any more."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _nodes(self, opened: ExitStack) -> list[Node]:
        """The servers that hold the keys; none if they cannot be reached one by one."""
        from asynq_py.connection.config import RedisConfig
        from asynq_py.connection.sync import Connection

        config = RedisConfig.from_url(self._redis) if isinstance(self._redis, str) else self._redis
        if not isinstance(config, RedisConfig):
            is_cluster = type(config).__name__ == "RedisCluster"
            return [] if is_cluster else [Node("", self._connection.run)]
        if config.kind != "cluster":
            return [Node("", self._connection.run)]
        masters: set[tuple[str, int]] = set()
        for entry in _list(self._connection.run(call("CLUSTER", "SLOTS"))):
            host, port, *_ = entry[2]
            masters.add((text(host), int(str(port))))
        nodes: list[Node] = []
        for host, port in sorted(masters):
            connection = Connection(replace(config, kind="standalone", addresses=((host, port),)))
            opened.callback(connection.close)
            nodes.append(Node(f"{host}:{port}", connection.run))
        return nodes


def _list(reply: object) -> list[list[list[object]]]:
    return reply if isinstance(reply, list) else []
