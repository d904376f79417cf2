"""Servers of tests: what their handlers were told, and shorter leases than Asynq's."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from asynq_py import Context, Task
from asynq_py.broker import leases, take
from asynq_py.server import chores, heart, parts, processor, turns

PATIENCE_S = 30.0


class Seen:
    """What was told, in its order; ``Seen()`` is a hook, and ``seen.handler`` handles tasks."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._changed = threading.Condition()

    def __call__(self, *items: Any) -> None:  # noqa: ANN401
        with self._changed:
            self._items.append(items[0] if len(items) == 1 else items)
            self._changed.notify_all()

    async def handler(self, context: Context, task: Task) -> None:
        """Handles a task by telling its ID."""
        self(context.task_id)

    @property
    def items(self) -> list[Any]:
        """All so far."""
        with self._changed:
            return list(self._items)

    def wait(self, count: int = 1) -> list[Any]:
        """Waits until so much was told; gives all of it."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self._items) >= count, PATIENCE_S)
            assert enough, f"{len(self._items)} of {count}: {self._items}"
            return list(self._items)


class Messages(logging.Handler):
    """Waits for what is logged; ``logger`` is for a ServerConfig."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()
        self.logger = logging.Logger("test")
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.seen(record.getMessage())

    @property
    def texts(self) -> list[str]:
        """All so far."""
        return self.seen.items

    def wait(self, text: str) -> str:
        """Waits for a message that has this text in it."""
        count = 1
        while True:
            found = [each for each in self.seen.wait(count) if text in each]
            if found:
                return str(found[0])
            count = len(self.seen.items) + 1


def until(done: Callable[[], object]) -> None:
    """Waits for what nobody tells: a value in Redis, or a counter."""
    end = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < end, "it does not become so"
        time.sleep(0.005)


def quicker(
    monkeypatch: pytest.MonkeyPatch,
    *,
    lease_s: int = take.LEASE_S,
    beat_s: float = heart.EVERY_S,
    recover_s: float = chores.RECOVER_EVERY_S,
    overdue_s: int = chores.OVERDUE_S,
    lenient_s: float = processor.LENIENCY_S,
) -> None:
    """Servers that start from now on renew their leases and recover others' more often."""
    for module in (take, leases, heart, turns):
        monkeypatch.setattr(module, "LEASE_S", lease_s)
    monkeypatch.setattr(parts, "HEART_EVERY_S", beat_s)
    monkeypatch.setattr(parts, "RECOVER_EVERY_S", recover_s)
    monkeypatch.setattr(chores, "OVERDUE_S", overdue_s)
    monkeypatch.setattr(processor, "LENIENCY_S", lenient_s)
