"""Operations as generators: what is sent is decided here, how to wait is the driver's.

An operation yields an :class:`Exchange`, one round trip, and is sent the list of replies
to its commands, in order; a command that Redis refused has its error in the reply's
place. Or it yields a :class:`Stream`, whose replies go where it says, and is sent an empty
list. A lost connection is raised at the ``yield``. Operations take values, read no clock,
do no I/O, and so run unchanged under the blocking and the asyncio drivers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from asynq_py.errors import RejectedError, UnavailableError

T = TypeVar("T")
Arg: TypeAlias = str | bytes | int | float
Command: TypeAlias = tuple[Arg, ...]
Commands: TypeAlias = Sequence[Command]
#: What Redis answered one command: int, bytes, list, None, or the error it refused with.
Reply: TypeAlias = object

#: The most batches of a stream that wait for their replies at a time.
WINDOW = 4


class Exchange(NamedTuple):
    """Commands that travel together, in one round trip."""

    commands: Commands

    @property
    def name(self) -> str:
        """What they are called in messages: "SADD, EVALSHA"."""
        words = [str(command[0]) for command in self.commands[:3]]
        return ", ".join(words) + (", ..." if len(self.commands) > 3 else "")


class Stream(NamedTuple):
    """Batches of commands that are sent as they are made, while Redis works on those before."""

    #: What they are called in messages.
    name: str
    batches: Iterator[Commands]
    #: Called with the replies to each batch, in their order.
    answered: Callable[[list[Reply]], None]


Request: TypeAlias = Exchange | Stream
Op: TypeAlias = Generator[Request, list[Reply], T]


def run(op: Op[T], send: Callable[[Request], list[Reply]]) -> T:
    """Drives an operation to its end; ``send`` blocks."""
    try:
        request = next(op)
        while True:
            try:
                replies = send(request)
            except Exception as error:
                request = op.throw(error)
            else:
                request = op.send(replies)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        op.close()


async def run_async(op: Op[T], send: Callable[[Request], Awaitable[list[Reply]]]) -> T:
    """As :func:`run`; ``send`` is awaited."""
    try:
        request = next(op)
        while True:
            try:
                replies = await send(request)
            except Exception as error:
                request = op.throw(error)
            else:
                request = op.send(replies)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        op.close()


#: Told the replies, or what went wrong.
Answered: TypeAlias = Callable[[list[Reply], Exception | None], None]


def start(
    op: Op[T],
    send: Callable[[Request, Answered], None],
    done: Callable[[T | None, Exception | None], None],
) -> None:
    """As :func:`run`, by callbacks: ``send`` returns at once, ``done`` is told the end.

    What the operation asks for first has been handed to ``send`` when this returns.
    """

    def advance(step: Callable[[], Request]) -> None:
        try:
            request = step()
        except StopIteration as end:
            done(end.value, None)
        except Exception as error:
            done(None, error)
        else:
            send(request, answered)

    def answered(replies: list[Reply], error: Exception | None) -> None:
        advance(lambda: op.send(replies) if error is None else op.throw(error))

    advance(lambda: next(op))


def call(*command: Arg) -> Op[Reply]:
    """One command; its refusal is raised."""
    (reply,) = yield Exchange([command])
    return checked(reply)


def checked(reply: Reply) -> Reply:
    """The reply itself, unless it is an error: that is raised."""
    if isinstance(reply, (RejectedError, UnavailableError)):
        raise reply
    return reply
