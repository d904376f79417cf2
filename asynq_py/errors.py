"""The errors of asynq_py. The tree answers a producer's question: was it written?

AsynqError                                   written
+ ConfigError            also ValueError     no       a value that can never work
  - ScheduleSyntaxError                      no       a schedule that cannot be read
+ WireError              also ValueError     no       bytes that do not mean what they should
+ BrokerError                                unknown  Redis failed
  - UnavailableError                         unknown  no connection, or it was lost
  - RejectedError                            no       Redis refused (OOM, READONLY, NOPERM, ...)
+ ConflictError                              no
  - DuplicateTaskError                       no       another task holds the uniqueness lock
  - TaskIDConflictError                      no       the ID is taken
  - TickTakenError                           no       the ledger has the tick already
  - OverlapError                             no       the entry's last task is not done
  - RunsExhaustedError                       no       the entry has run max_runs times
  - QueueNotEmptyError                       no
  - QueueStateError                          no       the queue is paused already, or is not
  - TaskStateError                           no       the task's state does not allow it
+ NotFoundError          also LookupError    no
  - QueueNotFoundError                       no
  - TaskNotFoundError                        no
+ SchedulerRunningError  also RuntimeError   no       a sealed scheduler was asked to change
+ SchedulerStoppedError  also RuntimeError   no       a stopped scheduler was asked to start
+ ShutdownTimeoutError                       unknown  stopping took too long; ticks were lost
+ LeaseLostError                             no       the task, or the leadership, is not ours
+ ServerStateError       also RuntimeError   no       a server was asked to start twice
+ HandlerError                               no       how a handler failed, or what it asks for
  - SkipRetry                                no       raised by a handler: never try it again
    - PayloadError                           no       the payload is not what the handler takes
  - RevokeTask                               no       raised by a handler: forget the task
  - TaskTimeoutError     also TimeoutError   no       it took longer than allowed
  - TaskCancelledError                       no       somebody cancelled it
  - HandlerNotFoundError also LookupError    no       no handler is registered for the type
  - ProcessDiedError                         no       the process that ran it died

``written`` on an instance is more precise than its class: an UnavailableError
raised before the first byte was sent says ``False``.
"""

from __future__ import annotations

from typing import ClassVar


class AsynqError(Exception):
    """Something in asynq_py went wrong."""

    #: Whether Redis was changed: False (surely not) or None (not known).
    written: bool | None = False
    #: The message by default where Asynq has one for it; else it is the docstring's first line.
    words: ClassVar[str] = ""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.words or (type(self).__doc__ or "").split("\n", 1)[0])


class ConfigError(AsynqError, ValueError):
    """A value can never work. Nothing was sent."""


class ScheduleSyntaxError(ConfigError):
    """A schedule cannot be read.

    Attributes:
        spec: The whole text.
        field: What part is wrong: "minute", "day of week", "time zone", ... or "".
        position: Index in ``spec`` of the first wrong character.
    """

    def __init__(
        self, message: str | None = None, *, spec: str = "", field: str = "", position: int = 0
    ) -> None:
        super().__init__(message)
        self.spec = spec
        self.field = field
        self.position = position


class WireError(AsynqError, ValueError):
    """Bytes from Redis do not mean what they should."""


class BrokerError(AsynqError):
    """Redis failed; whether it acted is not known."""

    written: bool | None = None

    def __init__(self, message: str | None = None, *, written: bool | None = None) -> None:
        super().__init__(message)
        self.written = written


class UnavailableError(BrokerError):
    """There is no connection to Redis, or it was lost."""


#: The codes of a RejectedError that refuse whoever asks, whatever was asked.
NOT_LET_IN = frozenset({"NOAUTH", "WRONGPASS"})


class RejectedError(BrokerError):
    """Redis answered with an error and changed nothing.

    Attributes:
        code: The first word of Redis' answer: "OOM", "READONLY", "NOPERM", ...
    """

    def __init__(
        self, message: str | None = None, *, code: str = "", written: bool | None = False
    ) -> None:
        super().__init__(message, written=written)
        self.code = code


class _TaskError(AsynqError):
    """Carries what the error is about."""

    def __init__(self, message: str | None = None, *, queue: str = "", task_id: str = "") -> None:
        super().__init__(message)
        self.queue = queue
        self.task_id = task_id


class ConflictError(_TaskError):
    """No task was written: something that exists stands against it."""


class DuplicateTaskError(ConflictError):
    """Another task holds the uniqueness lock."""


class TaskIDConflictError(ConflictError):
    """The task ID is taken."""


class TickTakenError(ConflictError):
    """The ledger has this tick, or a later one.

    Attributes:
        same_id: Whether it has this tick, and with this task ID.
    """

    same_id: bool = False


class OverlapError(ConflictError):
    """The entry's last task is not done."""


class RunsExhaustedError(ConflictError):
    """The entry has run as often as it may."""


class QueueNotEmptyError(ConflictError):
    """The queue is not empty."""


class QueueStateError(ConflictError):
    """The queue is paused already, or is not paused."""


class TaskStateError(ConflictError):
    """The state of the task does not allow it."""


class NotFoundError(_TaskError, LookupError):
    """What was asked for does not exist."""


class QueueNotFoundError(NotFoundError):
    """The queue does not exist."""


class TaskNotFoundError(NotFoundError):
    """The task does not exist."""


class SchedulerRunningError(AsynqError, RuntimeError):
    """The scheduler runs: its entries are sealed until it is stopped."""


class SchedulerStoppedError(AsynqError, RuntimeError):
    """The scheduler was stopped and cannot be started again."""


class ShutdownTimeoutError(AsynqError):
    """Stopping took longer than allowed; the message names what was lost."""

    written: bool | None = None


class LeaseLostError(AsynqError):
    """The task, or the leadership, is no longer ours."""


class ServerStateError(AsynqError, RuntimeError):
    """The server runs already, or was shut down."""


class HandlerError(AsynqError):
    """A handler failed, or asks for something."""


class SkipRetry(HandlerError):
    """Raised by a handler: the task is archived, however many retries it has left."""

    words = "skip retry for the task"


class PayloadError(SkipRetry):
    """The payload is not what the handler takes; no retry would help."""

    words = ""


class RevokeTask(HandlerError):
    """Raised by a handler: the task is deleted, neither retried nor archived."""

    words = "revoke task"


class TaskTimeoutError(HandlerError, TimeoutError):
    """The handler took longer than it may, or the task's deadline passed."""

    words = "context deadline exceeded"


class TaskCancelledError(HandlerError):
    """Somebody cancelled the task."""

    words = "context canceled"


class HandlerNotFoundError(HandlerError, LookupError):
    """No handler is registered for the type of the task."""


class ProcessDiedError(HandlerError):
    """The process in which the handler ran died."""
