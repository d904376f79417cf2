"""The public surface, literally: a change of it is a change of this file."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

import asynq_py

SURFACE = [
    "JSON",
    "JSON_SORTED",
    "MSGPACK",
    "RAW",
    "AsyncClient",
    "AsyncInspector",
    "AsynqError",
    "BrokerError",
    "Client",
    "ClusterNode",
    "Codec",
    "ConfigError",
    "ConflictError",
    "Context",
    "DailyStats",
    "DuplicateTaskError",
    "EnqueueEvent",
    "EnqueueOptions",
    "EnqueueResult",
    "Entry",
    "FileProvider",
    "GroupInfo",
    "HandlerError",
    "HandlerNotFoundError",
    "Inspector",
    "LeaderElection",
    "Leadership",
    "LeaseLostError",
    "Misfire",
    "NotFoundError",
    "Overlap",
    "OverlapError",
    "PayloadError",
    "PeriodicTask",
    "PeriodicTaskManager",
    "ProcessDiedError",
    "QueueInfo",
    "QueueNotEmptyError",
    "QueueNotFoundError",
    "QueueSizes",
    "QueueStateError",
    "RedisConfig",
    "RejectedError",
    "RevokeTask",
    "Run",
    "RunOutcome",
    "RunsExhaustedError",
    "Schedule",
    "ScheduleSyntaxError",
    "Scheduler",
    "SchedulerConfig",
    "SchedulerEntryInfo",
    "SchedulerRunningError",
    "SchedulerStoppedError",
    "ServeMux",
    "Server",
    "ServerConfig",
    "ServerInfo",
    "ServerStateError",
    "ShutdownTimeoutError",
    "SkipRetry",
    "Task",
    "TaskCancelledError",
    "TaskIDConflictError",
    "TaskInfo",
    "TaskNotFoundError",
    "TaskState",
    "TaskStateError",
    "TaskTimeoutError",
    "TickTakenError",
    "UnavailableError",
    "WireError",
    "WorkerInfo",
    "default_retry_delay",
    "delay_by_error",
    "exponential_delay",
    "fixed_delay",
    "parse_schedule",
]

CLASSES = [name for name in SURFACE if inspect.isclass(getattr(asynq_py, name))]


def public_members(cls: type[Any]) -> dict[str, Any]:
    """Methods and properties that a class of ours defines for its users."""
    return {
        name: member
        for owner in cls.__mro__
        if owner.__module__.startswith("asynq_py")
        for name, member in vars(owner).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, property | classmethod))
    }


def test_the_surface_is_this_and_nothing_else() -> None:
    assert asynq_py.__all__ == SURFACE


def test_the_surface_is_sorted_constants_first() -> None:
    assert (
        sorted(SURFACE, key=lambda name: (not name.isupper(), name[0].islower(), name)) == SURFACE
    )


def test_everything_imported_is_exported() -> None:
    tree = ast.parse(Path(asynq_py.__file__).read_text())
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert imported == set(SURFACE)


def test_a_star_import_gives_the_surface() -> None:
    namespace: dict[str, object] = {}

    exec("from asynq_py import *", namespace)  # it is what is tested

    assert namespace.keys() - {"__builtins__"} == set(SURFACE)


@pytest.mark.parametrize("name", [*CLASSES, "parse_schedule"])
def test_everything_public_has_a_docstring(name: str) -> None:
    thing = getattr(asynq_py, name)

    assert not inspect.isclass(thing) or "__doc__" in vars(thing)
    assert (thing.__doc__ or "").strip()
    # A dataclass without a docstring gets its signature as one.
    assert not thing.__doc__.startswith(f"{name}(")


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_method_has_a_docstring(name: str) -> None:
    bare = [
        member_name
        for member_name, member in public_members(getattr(asynq_py, name)).items()
        if not inspect.getdoc(member)
    ]

    assert bare == []


@pytest.mark.parametrize("name", CLASSES)
def test_every_public_function_is_fully_annotated(name: str) -> None:
    bare = []
    for member_name, member in public_members(getattr(asynq_py, name)).items():
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", function)
        signature = inspect.signature(function)
        parameters = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
        if signature.return_annotation is inspect.Signature.empty or any(
            p.annotation is inspect.Parameter.empty for p in parameters
        ):
            bare.append(member_name)

    assert bare == []


def test_the_version_is_that_of_the_distribution() -> None:
    pyproject = Path(asynq_py.__file__).parents[1] / "pyproject.toml"

    assert f'version = "{asynq_py.__version__}"' in pyproject.read_text()
