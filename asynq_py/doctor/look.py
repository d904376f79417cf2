"""What all steps of one look share: how they ask, what has been told, how far they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, TypeVar

from asynq_py.broker.diagnosis import is_wrong_type, members
from asynq_py.broker.names import prefix_of, text
from asynq_py.broker.op import Op
from asynq_py.clock import NANOSECONDS, Clock
from asynq_py.doctor.finding import Finding, finding
from asynq_py.errors import RejectedError

T = TypeVar("T")

#: Told what is being looked at, and how many keys and IDs have been looked at.
Progress = Callable[[str, int], None]


class Run(Protocol):
    """Drives an operation to its end."""

    def __call__(self, op: Op[T], /) -> T: ...


class Node(NamedTuple):
    """A server whose settings and keys are looked at."""

    #: Its address in a cluster, else "".
    name: str
    run: Run


class Known:
    """What is known of a queue so far."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.prefix = prefix_of(name)
        #: The IDs in each list.
        self.listed: dict[bytes, set[bytes]] = {b"pending": set(), b"active": set()}
        #: The aggregation set that holds a task.
        self.held: dict[bytes, bytes] = {}
        #: Task ID to the key of a group or a set that may hold it, or b"".
        self.suspects: dict[bytes, bytes] = {}
        #: Suspects that may be several times in one list.
        self.repeated: set[bytes] = set()
        self.quarantined: set[bytes] = set()
        self.has_keys = False
        self.has_tasks = False
        self.is_paused = False

    def suspect(self, task_id: bytes, hint: bytes = b"") -> None:
        self.suspects[task_id] = hint or self.suspects.get(task_id, b"")

    def suspect_copies(self, task_id: bytes) -> None:
        self.suspect(task_id)
        self.repeated.add(task_id)

    def finding(
        self, code: str, what: str, key: bytes | str = "", places: tuple[str, ...] = ()
    ) -> Finding:
        """Something that is wrong in this queue."""
        return finding(code, what, queue=text(self.name), key=text(key), places=places)


class Look:
    """One look at everything.

    Args:
        run: Drives operations.
        clock: Tells the time.
        progress: Told how far it is.
    """

    def __init__(self, run: Run, clock: Clock, progress: Progress | None) -> None:
        self.run = run
        self.clock = clock
        self._progress = progress
        self._looked_at = 0
        #: What has been told: a scan may meet a key twice.
        self._told: set[tuple[str, bytes]] = set()

    @property
    def now_s(self) -> int:
        """Unix seconds."""
        return self.clock.now_ns() // NANOSECONDS

    def is_new(self, code: str, key: bytes) -> bool:
        """Whether this is told for the first time."""
        if (code, key) in self._told:
            return False
        self._told.add((code, key))
        return True

    def was_told(self, code: str, key: bytes) -> bool:
        return (code, key) in self._told

    def advance(self, what: str, number: int) -> None:
        """Tells that more has been looked at."""
        self._looked_at += number
        if self._progress is not None:
            self._progress(what, self._looked_at)

    def pages(self, queue: Known, kind: str, key: bytes) -> Iterator[list[bytes] | Finding]:
        """The names in a key, in pages; of a key that cannot be read, why."""
        cursor = 0
        while True:
            try:
                page = self.run(members(kind, key, cursor))
            except RejectedError as error:
                yield from self.refused(queue, key, error)
                return
            self.advance(f'queue "{text(queue.name)}"', len(page.names))
            yield page.names
            cursor = page.cursor
            if cursor == 0:
                return

    def lenient(self, queue: Known, what: str, found: Iterator[Finding]) -> Iterator[Finding]:
        """What is found until Redis refuses something, which is told once."""
        try:
            yield from found
        except RejectedError as error:
            if self.is_new("not-asked", queue.prefix + what.encode()):
                yield queue.finding("not-asked", f"{what}: {error}")

    def refused(self, queue: Known, key: bytes, error: RejectedError) -> Iterator[Finding]:
        """Why a key could not be read."""
        if is_wrong_type(error):
            yield from self.wrong_type(queue, key, "its type is wrong")
        elif self.is_new("not-asked", key):
            yield queue.finding("not-asked", str(error), key)

    def wrong_type(self, queue: Known, key: bytes, what: str) -> Iterator[Finding]:
        if self.is_new("wrong-type", key):
            yield queue.finding("wrong-type", what, key)
