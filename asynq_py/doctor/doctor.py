"""The doctor: looks at all that Asynq has in a Redis, and mends what is damaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from asynq_py.broker.diagnosis import (
    PAGE,
    Suspect,
    diagnose,
    diagnose_group,
    diagnose_locks,
    expire_history,
    prefix_of,
    raw,
    sweep_all_pending,
    trim_overdue,
)
from asynq_py.broker.op import Exchange, Op, call, checked
from asynq_py.clock import NANOSECONDS, SYSTEM_CLOCK, Clock
from asynq_py.doctor.examination import HOLDERS, Examination, Progress, Run, group_of
from asynq_py.doctor.finding import Finding
from asynq_py.doctor.presence import HISTORIES, HISTORY_S, remove_stale, shown_entries
from asynq_py.errors import NOT_LET_IN, RejectedError
from asynq_py.wire.keys import QUEUES

if TYPE_CHECKING:
    from asynq_py.connection.sync import RedisArgument

#: What diagnose_tasks.lua repairs.
_OF_TASKS = frozenset(
    (
        "phantom-active",
        "ghost",
        "orphan",
        "lost-task",
        "twice",
        "no-lease",
        "stale-lease",
        "wrong-state",
    )
)
#: From so many ghosts on the list of pending tasks is swept as a whole.
_MANY = 20
_OF_GROUPS = frozenset(("stranded-group", "empty-group", "stray-set"))


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
            scanners = self._scanners(opened) if deep else [self._connection.run]
            look = Examination(self._connection.run, scanners, self._clock, progress)
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
        mended = [False] * len(findings)
        tasks: dict[str, list[int]] = {}
        for number, finding in enumerate(findings):
            if finding.code in _OF_TASKS:
                tasks.setdefault(finding.queue, []).append(number)
            elif finding.repair is not None:
                mended[number] = self._connection.run(self._repair(finding))
        for queue, numbers in tasks.items():
            ghosts = [number for number in numbers if _is_pending_ghost(findings[number])]
            if len(ghosts) >= _MANY:
                gone = self._connection.run(sweep_all_pending(raw(queue)))
                for number in ghosts:
                    mended[number] = _suspect(findings[number]).task_id in gone
                swept = set(ghosts)
                numbers = [number for number in numbers if number not in swept]
            for start in range(0, len(numbers), PAGE):
                page = numbers[start : start + PAGE]
                suspects = [_suspect(findings[number]) for number in page]
                now_s = self._clock.now_ns() // NANOSECONDS
                found = self._connection.run(diagnose(raw(queue), suspects, now_s))
                for number, diagnosis in zip(page, found, strict=True):
                    mended[number] = diagnosis.repaired
        return mended

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

    def _repair(self, finding: Finding) -> Op[bool]:
        """Mends a finding that is not about a task."""
        queue, key = raw(finding.queue), raw(finding.key)
        now_ns = self._clock.now_ns()
        if finding.code in _OF_GROUPS:
            name = key.removeprefix(prefix_of(queue) + b"g:")
            return (yield from diagnose_group(queue, name, group_of(name), finding.code)).repaired
        match finding.code:
            case "stale-lock":
                ((why, _),) = yield from diagnose_locks(queue, [key], repair=True)
                return bool(why)
            case "archive-overdue":
                return (yield from trim_overdue(queue, now_ns // NANOSECONDS)) > 0
            case "unlisted-queue":
                return (yield from _list_queue(queue))
            case "stale-presence":
                return (yield from remove_stale(finding.key, now_ns))
            case "endless-history":
                entry_id = finding.key.removeprefix(HISTORIES.decode())
                if entry_id in (yield from shown_entries(now_ns)):
                    return False
                return (yield from expire_history(key, HISTORY_S))
        return False

    def _scanners(self, opened: ExitStack) -> list[Run]:
        """One for each node whose keys are to be scanned; none if they cannot be reached."""
        from dataclasses import replace

        from asynq_py.connection.config import RedisConfig
        from asynq_py.connection.sync import Connection

        config = RedisConfig.from_url(self._redis) if isinstance(self._redis, str) else self._redis
        if not isinstance(config, RedisConfig):
            is_cluster = type(config).__name__ == "RedisCluster"
            return [] if is_cluster else [self._connection.run]
        if config.kind != "cluster":
            return [self._connection.run]
        masters: set[tuple[str, int]] = set()
        for entry in _list(self._connection.run(call("CLUSTER", "SLOTS"))):
            host, port, *_ = entry[2]
            masters.add((host.decode() if isinstance(host, bytes) else str(host), int(str(port))))
        scanners: list[Run] = []
        for address in sorted(masters):
            node = Connection(replace(config, kind="standalone", addresses=(address,)))
            opened.callback(node.close)
            scanners.append(node.run)
        return scanners


def _is_pending_ghost(finding: Finding) -> bool:
    return finding.code == "ghost" and finding.places == ("pending",)


def _suspect(finding: Finding) -> Suspect:
    """The task that a finding is about, to be repaired."""
    prefix = prefix_of(raw(finding.queue))
    hint = next((place for place in finding.places if place.startswith("g:")), "")
    task_id = raw(finding.key).removeprefix(prefix + b"t:")
    return Suspect(task_id, prefix + raw(hint) if hint else b"", finding.code)


def _list_queue(queue: bytes) -> Op[bool]:
    """Lists a queue if it still has keys; listing it twice changes nothing."""
    prefix = prefix_of(queue)
    names = (*HOLDERS, b"groups", b"aggregation_sets")
    replies = yield Exchange([("EXISTS", prefix + name) for name in names])
    if not any(checked(reply) for reply in replies):
        return False
    return (yield from call("SADD", QUEUES, queue)) == 1


def _list(reply: object) -> list[list[list[object]]]:
    return reply if isinstance(reply, list) else []
