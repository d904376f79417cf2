"""The ServeMux: which handler a task goes to.

Source: asynq v0.26.0, servemux.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeAlias, overload

from asynq_py.codec import JSON, Codec
from asynq_py.errors import ConfigError, HandlerNotFoundError
from asynq_py.options import check_text
from asynq_py.server.context import Context
from asynq_py.server.handlers import Call, H, Handler, as_call, is_async
from asynq_py.task import Task
from asynq_py.wire.gotext import quote

#: Wraps what is called, around what comes after it.
Middleware: TypeAlias = Callable[[Call], Call]

#: How many types of tasks are remembered with their handlers.
_REMEMBERED = 10_000


class ServeMux:
    """Handlers by the beginning of the type: of those that fit, the longest counts.

    ``email:`` is for ``email:welcome`` and ``email:bill``, and ``email:bill`` for
    ``email:bill`` and ``email:bills``: any beginning fits. Register before a server starts.
    """

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._functions: dict[str, Handler] = {}
        self._middleware: list[Middleware] = []
        self._known: dict[str, tuple[str, Call]] = {}

    @overload
    def handle(
        self, pattern: str, *, process: bool = False, codec: Codec = JSON
    ) -> Callable[[H], H]: ...

    @overload
    def handle(
        self, pattern: str, handler: H, *, process: bool = False, codec: Codec = JSON
    ) -> H: ...

    def handle(
        self,
        pattern: str,
        handler: H | None = None,
        *,
        process: bool = False,
        codec: Codec = JSON,
    ) -> H | Callable[[H], H]:
        """Registers a handler; without one it is a decorator.

        Args:
            pattern: What the types of its tasks begin with.
            handler: Takes the context and the task (or, where its second parameter is annotated
                with a dataclass or a pydantic model, the payload). ``async def`` runs on the
                event loop, a plain function in a thread. Or another ServeMux.
            process: Whether it runs in another process: for plain functions that compute. They
                must be importable there. The context is a copy: ``cancelled`` stays False, since
                the process is killed when the handler should stop, together with what it has
                started; results are written when the handler has returned or raised.
            codec: What reads the payload.

        Raises:
            ConfigError: The pattern is blank or taken, or it is no handler.
        """
        check_text("pattern", pattern)
        if pattern in self._calls:
            raise ConfigError(f"there is a handler for {pattern!r} already")
        if handler is None:
            return lambda function: self.handle(pattern, function, process=process, codec=codec)
        if isinstance(handler, ServeMux):
            call: Call = handler._serve
        else:
            call = as_call(handler, process=process, codec=codec)
        self._calls[pattern] = call
        self._functions[pattern] = handler
        self._known.clear()
        return handler

    def use(self, *middleware: Middleware) -> None:
        """Adds middleware; the first one is the outermost.

        Each is called with what comes next, and returns what is called instead: a coroutine
        function that takes the context and the task.

        Raises:
            ConfigError: It is not callable.
        """
        for each in middleware:
            if not callable(each):
                raise ConfigError(f"middleware must be callable, not {type(each).__name__}")
        self._middleware += middleware
        self._known.clear()

    @property
    def patterns(self) -> list[str]:
        """What handlers are registered for."""
        return sorted(self._calls)

    def pattern_for(self, task_type: str) -> str:
        """The pattern that counts for a type; "" for none."""
        return self.resolve(task_type)[0]

    def resolve(self, task_type: str) -> tuple[str, Call]:
        """The pattern that counts for a type, and what to call; middleware around it."""
        known = self._known.get(task_type)
        if known is None:
            known = self._resolve(task_type)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[task_type] = known
        return known

    def _resolve(self, task_type: str) -> tuple[str, Call]:
        pattern = max(filter(task_type.startswith, self._calls), key=len, default="")
        call = self._calls[pattern] if pattern else _not_found
        for each in reversed(self._middleware):
            call = each(call)
            if not is_async(call):
                raise ConfigError(f"middleware must return a coroutine function, not {call!r}")
        return pattern, call

    async def _serve(self, context: Context, task: Task) -> object:
        _, call = self.resolve(task.type)
        return await call(context, task)


def resolver(handler: ServeMux | Handler) -> Callable[[str], tuple[str, Call]]:
    """Gives for the type of a task its pattern and what to call: by a mux, or one handler for all.

    Raises:
        ConfigError: It is no handler.
    """
    if isinstance(handler, ServeMux):
        return handler.resolve
    only = ("", as_call(handler))
    return lambda task_type: only


async def _not_found(context: Context, task: Task) -> NoReturn:
    raise HandlerNotFoundError(f"handler not found for task {quote(task.type)}")
