"""Makes the tasks of ticks that are due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import cast

from asynq_py.broker.enqueue import Draft, Tick
from asynq_py.client.prepare import new_task_ids, prepare
from asynq_py.clock import from_unix_s
from asynq_py.errors import ConfigError
from asynq_py.scheduler.config import SchedulerConfig
from asynq_py.scheduler.entry import Slot
from asynq_py.scheduler.hooks import Call, Hooks, bound
from asynq_py.scheduler.policy import Overlap
from asynq_py.scheduler.timetable import Due
from asynq_py.task import Task
from asynq_py.wire.message import TaskState

#: Headers that say which tick a task is: of which entry, and for which moment.
ENTRY_HEADER = "asynq-entry"
SCHEDULED_FOR_HEADER = "asynq-scheduled-for"


class Maker:
    """Calls what comes before an enqueueing, and makes the task; once for each tick."""

    def __init__(self, config: SchedulerConfig, hooks: Hooks) -> None:
        self._config = config
        self._hooks = hooks

    def make(self, ticks: Sequence[Due], now_ns: int) -> list[tuple[Due, ConfigError]]:
        """Gives each tick its task, unless it has one; returns those that can have none."""
        new = [due for due in ticks if due.draft is None]
        before = self._config.pre_enqueue
        calls: list[Call] = []
        made: dict[int, object] = {}
        for due in new:
            if due.is_noted_only:
                continue
            definition = due.slot.definition
            if before is not None:
                calls.append(("pre_enqueue", bound(before, definition.task, definition.options)))
            if definition.payload is not None:
                calls.append(("payload", partial(_make_task, due, made)))
        self._hooks.call_first(calls)
        failed: list[tuple[Due, ConfigError]] = []
        for due, task_id in zip(new, new_task_ids(len(new)), strict=True):
            try:
                due.draft = self._draft(due, task_id, made, now_ns)
            except ConfigError as error:
                failed.append((due, error))
        return failed

    def _draft(self, due: Due, task_id: str, made: Mapping[int, object], now_ns: int) -> Draft:
        slot, definition = due.slot, due.slot.definition
        name = f"{slot.field or slot.id}:".removeprefix(":")
        if due.is_noted_only:
            tick = Tick(slot.field or "", due.tick_s)
            return Draft(slot.queue, "", b"", TaskState.PENDING, tick=tick)
        task: object = definition.task
        if definition.payload is not None:
            task = made.get(id(due), ConfigError("the payload was not made in time"))
            if isinstance(task, Exception):
                raise task if isinstance(task, ConfigError) else ConfigError(f"payload: {task!r}")
        if due.number:
            task_id = f"{name}now:{due.number}"
        elif slot.field is not None:
            task_id = f"{name}{due.tick_s}"
        draft = prepare(
            cast(Task, task),
            definition.options,
            now_ns=now_ns,
            max_payload_size=self._config.max_payload_size,
            headers=evidence(slot, due.tick_s) if slot.has_evidence else None,
            task_id=task_id,
        )
        if slot.field is None:
            return draft
        if due.number:
            return draft._replace(tick=Tick(f"{slot.field}!", due.number))
        tick = Tick(
            slot.field,
            due.tick_s,
            definition.overlap is Overlap.SKIP,
            definition.max_runs or 0,
        )
        return draft._replace(tick=tick)


def evidence(slot: Slot, tick_s: int) -> dict[str, str]:
    """What a task says of its tick."""
    return {ENTRY_HEADER: slot.id, SCHEDULED_FOR_HEADER: _moment(tick_s)}


@lru_cache(maxsize=16)
def _moment(tick_s: int) -> str:
    """RFC 3339, UTC, milliseconds; many entries tick at one moment."""
    return from_unix_s(tick_s).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _make_task(due: Due, made: dict[int, object]) -> None:
    """Makes the task of a tick whose payload follows from it."""
    definition = due.slot.definition
    assert definition.payload is not None
    moment = from_unix_s(due.tick_s).astimezone(due.slot.zone)
    try:
        made[id(due)] = definition.task.with_payload(definition.payload(moment), definition.codec)
    except Exception as error:
        made[id(due)] = error
