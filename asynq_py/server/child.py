"""Both ends of what travels between a server and the process that runs a handler.

Everything travels as bytes that were made here: what cannot be pickled, or not be read again,
is to fail its own task, and not the process or its pool.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any, NamedTuple, cast

from asynq_py.errors import ConfigError, HandlerError, RevokeTask, SkipRetry
from asynq_py.server.context import Context, Hands, Written
from asynq_py.server.handlers import Handler
from asynq_py.server.job import Job
from asynq_py.server.verdict import caused_by, text_of
from asynq_py.wire.message import TaskMessage, decode, encode

# -- in the server --


def pack(handler: Handler, job: Job, argument: object) -> bytes:
    """What a child is to do.

    Raises:
        ConfigError: The handler cannot be imported there, or its argument cannot be pickled.
    """
    message = TaskMessage()
    message.CopyFrom(job.message)
    message.ClearField("payload")  # it is in the argument
    about = (job.queue, job.task_id, encode(message), job.deadline_ns)
    return pickle.dumps((_pickled("handler", handler), _pickled("payload", argument), about))


def _pickled(what: str, thing: object) -> bytes:
    try:
        return pickle.dumps(thing)
    except Exception as error:
        raise ConfigError(f"the {what} cannot be sent to another process: {error}") from error


class Answer(NamedTuple):
    """How a handler ended in a child."""

    #: What it gave to ``write_result`` last.
    result: bytes | None
    error: BaseException | None


def unpack(data: bytes) -> Answer:
    """What a child answered."""
    result, errors, trace = pickle.loads(data)
    first: BaseException | None = None
    for portable in reversed(errors):
        error = _rebuilt(*portable)
        error.__cause__ = first
        first = error
    if first is not None:
        first.add_note(f"In its process:\n{trace}")
    return Answer(result, first)


def _rebuilt(data: bytes, kind: type[HandlerError], text: str) -> BaseException:
    with suppress(Exception):
        error = pickle.loads(data)
        if isinstance(error, BaseException):
            return error
    return kind(text)


def ended_by(code: int) -> str:
    """How a process ended, by its exit code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


# -- in the child --


def begin(level: int, formatter: logging.Formatter | None) -> None:
    """Prepares a new child; it logs as its server does.

    It leads a session of its own: what the terminal sends is for the server, and what it started
    can be killed with it. It goes by being killed, or when the server has no more to do; a
    SIGTERM to everybody, as service managers send it, must not fail its task.
    """
    if hasattr(os, "setsid"):
        os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Programs that a handler starts would inherit SIG_IGN.
        signal.signal(number, _pass)
    threading.Thread(target=_end_with_server, daemon=True).start()
    if formatter is not None:
        handler = logging.StreamHandler()
        handler.setFormatter(formatter)
        logging.basicConfig(level=level, handlers=[handler])


def _pass(number: int, frame: FrameType | None) -> None:
    """A signal that is for the server."""


def _end_with_server() -> None:
    server = multiprocessing.parent_process()
    assert server is not None
    server.join()
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def handle(data: bytes) -> bytes:
    """Runs a handler; its errors are part of the answer."""
    hands = _Hands()
    errors: list[tuple[bytes, type[HandlerError], str]] = []
    trace = ""
    try:
        function, argument, (queue, task_id, message, deadline_ns) = pickle.loads(data)
        handler = _loaded("handler", function)
        job = Job(queue, task_id, decode(message), 0.0, 0, deadline_ns)
        # A plain function asks for no other hands.
        handler(Context(job, cast(Hands, hands)), _loaded("payload", argument))
    except BaseException as error:  # a handler may raise anything
        errors = [_portable(each) for each in _chain(error)]
        trace = "".join(traceback.format_exception(error)).rstrip()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # None, closed, or nobody reads
            stream.flush()  # a child that is killed later would lose it
    return pickle.dumps((hands.result, errors, trace))


# What was pickled can be anything.
def _loaded(what: str, data: bytes) -> Any:  # noqa: ANN401
    try:
        return pickle.loads(data)
    except Exception as error:
        raise ConfigError(f"the {what} cannot be imported in its process: {error}") from error


class _Hands:
    """Keeps the result until the handler has returned."""

    def __init__(self) -> None:
        self.result: bytes | None = None

    def write_result(self, job: Job, result: bytes) -> Awaitable[None]:
        """See Context.write_result."""
        self.result = result
        return Written()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised ``from``: pickle leaves that out."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _portable(error: BaseException) -> tuple[bytes, type[HandlerError], str]:
    """An error as bytes, if it can be read again, and what stands for it if not."""
    kinds: tuple[type[HandlerError], ...] = (RevokeTask, SkipRetry)
    kind = next((each for each in kinds if caused_by(error, each)), HandlerError)
    text = text_of(error)
    with suppress(Exception):
        data = pickle.dumps(error)
        again = pickle.loads(data)
        if type(again) is type(error) and text_of(again) == text:
            return data, kind, text
    return b"", kind, text
