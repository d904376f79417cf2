"""Runs a coroutine in this thread, and plain functions for it while its loop stands still."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Outside:
    """What is called through it finds no running loop, and so may run one itself, or talk to a
    database that a test has opened in its thread."""

    def __init__(self) -> None:
        self._asked: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Has a function called, from the coroutine that is run."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        surroundings = contextvars.copy_context()
        self._asked.append((partial(surroundings.run, function, *arguments), future))
        loop.stop()
        return await future

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs the coroutine to its end."""
        results: list[T] = []
        errors: list[BaseException] = []

        async def work() -> None:
            # A loop lets some errors through at once, and tells of them again later.
            try:
                results.append(await coroutine)
            except BaseException as error:
                errors.append(error)

        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            task = loop.create_task(work())
            task.add_done_callback(lambda _: loop.stop())
            while not task.done():
                loop.run_forever()
                while self._asked:
                    self._answer(*self._asked.pop())
        if errors:
            raise errors.pop()
        return results.pop()

    @staticmethod
    def _answer(call: Callable[[], object], future: asyncio.Future[Any]) -> None:
        if future.done():  # it was cancelled
            return
        try:
            future.set_result(call())
        except StopIteration as raised:  # a future refuses it
            error = RuntimeError("StopIteration")
            error.__cause__ = raised
            future.set_exception(error)
        except BaseException as raised:
            future.set_exception(raised)
