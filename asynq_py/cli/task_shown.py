"""How tasks look: the columns of Go's tools, one task in full, and JSON."""

from __future__ import annotations

from datetime import datetime, timedelta

from asynq_py.cli.output import (
    bytes_json,
    bytes_text,
    cell,
    heading,
    moment_json,
    moment_text,
    printable,
    since,
    until,
)
from asynq_py.clock import NANOSECONDS, unix_ns
from asynq_py.info import TaskInfo
from asynq_py.wire.gotext import duration
from asynq_py.wire.keys import task_key
from asynq_py.wire.message import TaskState

_COMMON = ("ID", "Type", "Payload")
#: The columns of the tasks of a state.
TABLES = {
    TaskState.ACTIVE: _COMMON,
    TaskState.PENDING: _COMMON,
    TaskState.SCHEDULED: (*_COMMON, "Process In"),
    TaskState.RETRY: (
        *_COMMON,
        "Next Retry",
        "Last Error",
        "Last Failed",
        "Retried",
        "Max Retry",
    ),
    TaskState.ARCHIVED: (*_COMMON, "Last Failed", "Last Error"),
    TaskState.COMPLETED: (*_COMMON, "CompletedAt", "Result"),
    TaskState.AGGREGATING: (*_COMMON, "Group"),
}


def row(task: TaskInfo, now_ns: int) -> list[str]:
    """The cells of a task."""
    columns = TABLES[task.state]
    if task.damage:
        cells = {"ID": task.id, "Type": "damaged", "Payload": task.damage}
    else:
        cells = {
            "ID": task.id,
            "Type": task.type,
            "Payload": cell(bytes_text(task.payload)),
            "Process In": _until(task.next_process_at, now_ns),
            "Next Retry": _until(task.next_process_at, now_ns),
            "Last Error": cell(task.last_error),
            "Last Failed": moment_text(task.last_failed_at),
            "Retried": str(task.retried),
            "Max Retry": str(task.max_retry),
            "CompletedAt": moment_text(task.completed_at),
            "Result": cell(bytes_text(task.result or b"")),
            "Group": task.group,
        }
    return [cells.get(column, "") for column in columns]


def describe(task: TaskInfo, now_ns: int) -> str:
    """All about one task: what Go's tools show of it, and what else there is."""
    lines: dict[str, str] = {"Queue": task.queue, "ID": task.id}
    if task.damage:
        lines |= {"Damage": task.damage, "Key": task_key(task.queue, task.id)}
        return heading("Task Info") + _block(lines)
    lines["Type"] = task.type
    lines["State"] = task.state.value + (" (its worker is gone)" if task.is_orphaned else "")
    lines["Retried"] = f"{task.retried}/{task.max_retry}"
    lines["Payload"] = bytes_text(task.payload)
    more = {
        "Headers": ", ".join(f"{name}={value}" for name, value in sorted(task.headers.items())),
        "Group": task.group,
        "Timeout": _span(task.timeout),
        "Deadline": moment_text(task.deadline),
        "Retention": _span(task.retention),
        "Completed at": moment_text(task.completed_at),
        "Result": "" if task.result is None else bytes_text(task.result),
    }
    lines |= {name: value for name, value in more.items() if value}
    shown = heading("Task Info") + _block(lines)
    shown += f"\nNext process time: {_next(task.next_process_at, now_ns)}\n"
    if task.last_error:
        failure = {
            "Failed at": _ago(task.last_failed_at, now_ns),
            "Error message": task.last_error,
        }
        shown += "\n" + heading("Last Failure") + _block(failure)
    return shown


def task_json(task: TaskInfo) -> dict[str, object]:
    """A task for programs; every field is there, whatever the state."""
    return {
        "id": task.id,
        "queue": task.queue,
        "type": task.type,
        **bytes_json("payload", task.payload),
        "headers": dict(sorted(task.headers.items())),
        "state": task.state.value,
        "max_retry": task.max_retry,
        "retried": task.retried,
        "last_error": task.last_error,
        "last_failed_at": moment_json(task.last_failed_at),
        "timeout": _seconds(task.timeout),
        "deadline": moment_json(task.deadline),
        "group": task.group,
        "next_process_at": moment_json(task.next_process_at),
        "is_orphaned": task.is_orphaned,
        "retention": _seconds(task.retention),
        "completed_at": moment_json(task.completed_at),
        **({"result": None} if task.result is None else bytes_json("result", task.result)),
        "damage": task.damage,
    }


def _block(lines: dict[str, str]) -> str:
    width = max(map(len, lines)) + 1
    return "".join(
        f"{name + ':':<{width}} {printable(value)}".rstrip() + "\n" for name, value in lines.items()
    )


def _until(at: datetime | None, now_ns: int) -> str:
    return "" if at is None else until(unix_ns(at), now_ns)


def _ago(at: datetime | None, now_ns: int) -> str:
    return "" if at is None else f"{moment_text(at)} ({since(unix_ns(at), now_ns)})"


def _next(at: datetime | None, now_ns: int) -> str:
    if at is None:
        return "n/a"
    left = until(unix_ns(at), now_ns)
    return left if left == "now" else f"{moment_text(at)} ({left})"


def _span(span: timedelta | None) -> str:
    return "" if span is None else duration(int(span.total_seconds()) * NANOSECONDS)


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else int(span.total_seconds())
