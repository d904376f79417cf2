"""What a handler is told beside its task, and what it can say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from asynq_py.clock import from_unix_ns
from asynq_py.errors import ConfigError

if TYPE_CHECKING:
    from asynq_py.server.job import Job

T = TypeVar("T")


class Hands(Protocol):
    """What does for a handler what it cannot do itself."""

    def write_result(self, job: Job, result: bytes) -> Awaitable[None]:
        """Keeps the result; called from the event loop or from a thread."""
        ...

    async def in_thread(self, job: Job, function: Callable[..., T], *arguments: object) -> T:
        """Calls a function in a thread."""
        ...

    async def in_process(self, job: Job, function: Callable[..., object], argument: object) -> None:
        """Calls a handler in another process."""
        ...


class Context:
    """The first argument of a handler. All of it may be used from any thread."""

    __slots__ = ("_hands", "_job")

    def __init__(self, job: Job, hands: Hands) -> None:
        self._job = job
        self._hands = hands

    @property
    def task_id(self) -> str:
        """The task's ID, unique in its queue."""
        return self._job.task_id

    @property
    def queue(self) -> str:
        """The queue it was taken from."""
        return self._job.queue

    @property
    def retry_count(self) -> int:
        """How often the task was tried again so far: 0 the first time."""
        return self._job.message.retried

    @property
    def max_retry(self) -> int:
        """How often it is tried again at most."""
        return self._job.message.retry

    @property
    def deadline(self) -> datetime:
        """When the handler is asked to stop; aware, UTC."""
        return from_unix_ns(self._job.deadline_ns)

    @property
    def headers(self) -> Mapping[str, str]:
        """Text that came with the task."""
        return dict(self._job.message.headers)

    @property
    def cancelled(self) -> bool:
        """Whether the handler should stop: its deadline passed, somebody cancelled the task, its
        lease ended, or the server shuts down. A coroutine gets a CancelledError besides; a
        plain function has to look here now and then."""
        return self._job.why is not None

    def write_result(self, result: bytes) -> Awaitable[None]:
        """Keeps a result with the task, for inspectors to see while the task lasts: tasks without
        a retention are deleted when they are done.

        ``await`` it in a coroutine; in a plain function it is written when this returns. In
        another process the last one is kept, and written when the handler has ended.

        Raises:
            ConfigError: It is not bytes.
            LeaseLostError: The task is not ours any more, or the handler was asked to stop.
            BrokerError: Redis failed.
        """
        if not isinstance(result, (bytes, bytearray, memoryview)):
            raise ConfigError(f"a result must be bytes, not {type(result).__name__}")
        return self._hands.write_result(self._job, bytes(result))

    def __repr__(self) -> str:
        return f"Context(queue={self.queue!r}, task_id={self.task_id!r})"


class Writing:
    """What is on its way: whoever awaits it is told how it went, and nobody else.

    Args:
        work: Ends when it is written.
        untold: What nobody has awaited so far, with ``work`` among it.
    """

    def __init__(self, work: Awaitable[None], untold: list[Awaitable[None]]) -> None:
        self._work = work
        self._untold = untold

    def __await__(self) -> Generator[Any, None, None]:
        if self._work in self._untold:
            self._untold.remove(self._work)
        return self._work.__await__()


class Written:
    """What was waited for already; may be awaited."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield
