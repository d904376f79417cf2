"""One look at everything in a Redis that belongs to Asynq.

First what holds tasks is walked along (holders), then all keys are scanned (keys). Both only
raise suspicions, because tasks move meanwhile; at the end a script looks at each suspect in
one moment (suspects).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from asynq_py.broker.diagnosis import scan
from asynq_py.broker.names import prefix_of, raw, text
from asynq_py.broker.op import Op, call
from asynq_py.clock import Clock
from asynq_py.doctor.finding import Finding, finding
from asynq_py.doctor.holders import walk
from asynq_py.doctor.keys import check_keys
from asynq_py.doctor.look import Known, Look, Node, Progress, Run
from asynq_py.doctor.owner import owners
from asynq_py.doctor.presence import HISTORIES, check_presence, endless, shown_entries
from asynq_py.doctor.server import check_server
from asynq_py.doctor.suspects import judge
from asynq_py.errors import QueueNotFoundError, RejectedError
from asynq_py.wire.keys import QUEUES


class Examination:
    """One look; not to be used twice.

    Args:
        run: Drives operations.
        nodes: The servers that hold the keys; none if they cannot be reached one by one.
        clock: Tells the time.
        progress: Told how far it is.
    """

    def __init__(
        self, run: Run, nodes: Sequence[Node], clock: Clock, progress: Progress | None
    ) -> None:
        self._look = Look(run, clock, progress)
        self._nodes = nodes
        self._queues: dict[bytes, Known] = {}
        #: The names of queues that are listed.
        self._listed: set[bytes] = set()
        #: The entries that schedulers show; None before they are asked for.
        self._shown: set[str] | None = None

    def everything(self, queues: Iterable[str] | None, *, deep: bool) -> Iterator[Finding]:
        """Looks at the server, then at the queues.

        Raises:
            QueueNotFoundError: A queue that was named does not exist.
        """
        look = self._look
        yield from self._servers()
        names = None if queues is None else [raw(queue) for queue in queues]
        if names is None:
            yield from look.run(check_presence(look.clock.now_ns()))
        try:
            self._listed.update(look.run(_listed()))
        except RejectedError as error:
            if names is None:
                yield finding("not-asked", f"which queues there are: {error}", key=QUEUES)
        for name in sorted(self._listed) if names is None else names:
            yield from self._open(name, deep=deep)
        if deep:
            yield from self._all_keys(names)
        for queue in self._queues.values():
            yield from judge(look, queue)
            found = self._registry(queue, is_named=queues is not None)
            yield from look.lenient(queue, "whether it is listed", found)

    def _servers(self) -> Iterator[Finding]:
        for node in self._nodes or [Node("", self._look.run)]:
            for found in node.run(check_server(self._look.clock)):
                yield _on(node, found)

    def _open(self, name: bytes, *, deep: bool) -> Iterator[Finding]:
        self._queues[name] = Known(name)
        yield from walk(self._look, self._queues[name], deep=deep)

    def _all_keys(self, names: list[bytes] | None) -> Iterator[Finding]:
        """Scans the database; of some queues only, or of all that there are."""
        pattern = b"asynq:*"
        if names is not None:
            only = names[0] if len(names) == 1 else None
            pattern = b"asynq:{*" if only is None else _glob(prefix_of(only)) + b"*"
        if not self._nodes:
            what = "the keys of a cluster, and all its servers but one, by a ready client"
            yield finding("not-asked", f"{what}: give its URL")
        for node in self._nodes:
            cursor = 0
            while True:
                try:
                    page = node.run(scan(cursor, pattern))
                except RejectedError as error:
                    yield _on(node, finding("not-asked", f"which keys there are: {error}"))
                    break
                self._look.advance("keys", len(page.names))
                yield from self._keys(page.names, names)
                cursor = page.cursor
                if cursor == 0:
                    break

    def _keys(self, keys: list[bytes], names: list[bytes] | None) -> Iterator[Finding]:
        by_queue: dict[bytes, list[bytes]] = {}
        histories = []
        known = self._listed.union(names or ())
        for key in keys:
            whose = owners(key, known)
            if len(whose) == 1:
                by_queue.setdefault(whose[0], []).append(key)
            elif whose:
                yield from self._unclear(key, whose, names)
            elif key.startswith(HISTORIES) and names is None:
                histories.append(key)
        if histories:
            yield from self._histories(histories)
        for name, own in by_queue.items():
            if names is not None and name not in names:
                continue
            if name not in self._queues:
                yield from self._open(name, deep=True)
            yield from check_keys(self._look, self._queues[name], own)

    def _unclear(
        self, key: bytes, whose: list[bytes], names: list[bytes] | None
    ) -> Iterator[Finding]:
        """Tells once of some queues that their keys cannot be told apart."""
        if names is not None and not set(names).intersection(whose):
            return
        if self._look.is_new("unclear-key", b"\0".join(whose)):
            what = " or ".join(f'"{text(name)}"' for name in whose)
            yield finding("unclear-key", f"it belongs to queue {what}", key=text(key))

    def _histories(self, keys: list[bytes]) -> Iterator[Finding]:
        look = self._look
        try:
            without_end = look.run(endless(keys))
            if without_end and self._shown is None:
                self._shown = look.run(shown_entries(look.clock.now_ns()))
        except RejectedError as error:
            if look.is_new("not-asked", HISTORIES):
                yield finding("not-asked", f"what schedulers left behind: {error}")
            return
        for key in without_end:
            entry_id = text(key.removeprefix(HISTORIES))
            if entry_id not in (self._shown or ()) and look.is_new("endless-history", key):
                what = f'entry "{entry_id}" is shown by no scheduler'
                yield finding("endless-history", what, key=text(key))

    def _registry(self, queue: Known, *, is_named: bool) -> Iterator[Finding]:
        """Says whether a queue is listed that should be."""
        if not queue.has_tasks and not queue.is_paused and not is_named:
            return
        if self._look.run(call("SISMEMBER", QUEUES, queue.name)) == 1:
            return
        if queue.has_tasks:
            yield queue.finding("unlisted-queue", "it has tasks and is not listed", QUEUES)
        elif is_named and not queue.has_keys:
            name = text(queue.name)
            raise QueueNotFoundError(f'there is no queue "{name}"', queue=name)
        elif queue.is_paused:
            what = "it is paused and does not exist"
            yield queue.finding("paused-nothing", what, queue.prefix + b"paused")


def _on(node: Node, found: Finding) -> Finding:
    """A finding that says on which of several servers it is so."""
    return replace(found, what=f"{node.name}: {found.what}") if node.name else found


def _listed() -> Op[list[bytes]]:
    """The names of all queues."""
    reply = yield from call("SMEMBERS", QUEUES)
    return list(reply) if isinstance(reply, (list, set, frozenset)) else []


def _glob(name: bytes) -> bytes:
    """A pattern that fits just this."""
    return re.sub(rb"([\\*?\[\]])", rb"\\\1", name)
