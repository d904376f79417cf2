"""Operations as generators: what is sent is decided here, how to wait is the driver's.

An operation yields an :class:`Exchange`, one round trip, and is sent the list of replies
to its commands, in order; a command that Redis refused has its error in the reply's
place. A lost connection is raised at the ``yield``. Operations take values, read no
clock, do no I/O, and so run unchanged under the blocking and the asyncio driver.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from asynq_py.errors import RejectedError, UnavailableError

T = TypeVar("T")
Arg: TypeAlias = str | bytes | int | float
Command: TypeAlias = tuple[Arg, ...]
Commands: TypeAlias = Sequence[Command]
#: What Redis answered one command: int, bytes, list, None, or the error it refused with.
Reply: TypeAlias = object


class Exchange(NamedTuple):
    """Commands that travel together, in one round trip."""

    commands: Commands
    #: Work to do between sending them and waiting for the replies, while Redis works.
    meanwhile: Callable[[], None] | None = None


Op: TypeAlias = Generator[Exchange, list[Reply], T]


def run(op: Op[T], send: Callable[[Exchange], list[Reply]]) -> T:
    """Drives an operation to its end; ``send`` blocks."""
    try:
        exchange = next(op)
        while True:
            try:
                replies = send(exchange)
            except Exception as error:
                exchange = op.throw(error)
            else:
                exchange = op.send(replies)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        op.close()


async def run_async(op: Op[T], send: Callable[[Exchange], Awaitable[list[Reply]]]) -> T:
    """As :func:`run`; ``send`` is awaited."""
    try:
        exchange = next(op)
        while True:
            try:
                replies = await send(exchange)
            except Exception as error:
                exchange = op.throw(error)
            else:
                exchange = op.send(replies)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        op.close()


def call(*command: Arg) -> Op[Reply]:
    """One command; its refusal is raised."""
    (reply,) = yield Exchange([command])
    return checked(reply)


def checked(reply: Reply) -> Reply:
    """The reply itself, unless it is an error: that is raised."""
    if isinstance(reply, (RejectedError, UnavailableError)):
        raise reply
    return reply
