"""The tree of errors: who is whose, what was written, what is said."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

from asynq_py import errors

CLASSES = [
    item
    for name, item in inspect.getmembers(errors, inspect.isclass)
    if issubclass(item, errors.AsynqError) and not name.startswith("_")
]

# Class, its bases that matter, what its instances say about writing.
TREE: list[tuple[type[errors.AsynqError], tuple[type, ...], bool | None]] = [
    (errors.AsynqError, (Exception,), False),
    (errors.ConfigError, (errors.AsynqError, ValueError), False),
    (errors.ScheduleSyntaxError, (errors.ConfigError,), False),
    (errors.WireError, (errors.AsynqError, ValueError), False),
    (errors.BrokerError, (errors.AsynqError,), None),
    (errors.UnavailableError, (errors.BrokerError,), None),
    (errors.RejectedError, (errors.BrokerError,), False),
    (errors.ConflictError, (errors.AsynqError,), False),
    (errors.DuplicateTaskError, (errors.ConflictError,), False),
    (errors.TaskIDConflictError, (errors.ConflictError,), False),
    (errors.TickTakenError, (errors.ConflictError,), False),
    (errors.OverlapError, (errors.ConflictError,), False),
    (errors.RunsExhaustedError, (errors.ConflictError,), False),
    (errors.QueueNotEmptyError, (errors.ConflictError,), False),
    (errors.QueueStateError, (errors.ConflictError,), False),
    (errors.TaskStateError, (errors.ConflictError,), False),
    (errors.NotFoundError, (errors.AsynqError, LookupError), False),
    (errors.QueueNotFoundError, (errors.NotFoundError,), False),
    (errors.TaskNotFoundError, (errors.NotFoundError,), False),
    (errors.SchedulerRunningError, (errors.AsynqError, RuntimeError), False),
    (errors.SchedulerStoppedError, (errors.AsynqError, RuntimeError), False),
    (errors.ShutdownTimeoutError, (errors.AsynqError,), None),
    (errors.LeaseLostError, (errors.AsynqError,), False),
    (errors.ServerStateError, (errors.AsynqError, RuntimeError), False),
    (errors.HandlerError, (errors.AsynqError,), False),
    (errors.SkipRetry, (errors.HandlerError,), False),
    (errors.PayloadError, (errors.SkipRetry,), False),
    (errors.RevokeTask, (errors.HandlerError,), False),
    (errors.TaskTimeoutError, (errors.HandlerError, TimeoutError), False),
    (errors.TaskCancelledError, (errors.HandlerError,), False),
    (errors.HandlerNotFoundError, (errors.HandlerError, LookupError), False),
    (errors.ProcessDiedError, (errors.HandlerError,), False),
]


def test_the_tree_below_is_whole() -> None:
    assert {row[0] for row in TREE} == set(CLASSES)


@pytest.mark.parametrize(("cls", "bases", "written"), TREE, ids=lambda item: str(item))
def test_an_error_stands_in_its_place_and_says_what_was_written(
    cls: type[errors.AsynqError], bases: tuple[type, ...], written: bool | None
) -> None:
    assert issubclass(cls, bases[0])
    assert all(issubclass(cls, base) for base in bases)
    assert cls().written is written


@pytest.mark.parametrize("cls", CLASSES)
def test_asynqs_words_or_the_docstrings_first_line_are_the_default_message(
    cls: type[errors.AsynqError],
) -> None:
    assert cls.__doc__
    first = cls.__doc__.split("\n")[0]
    assert first.endswith(".")
    assert str(cls()) == (cls.words or first)
    assert str(cls("said")) == "said"


def test_no_error_shadows_a_builtin() -> None:
    import builtins

    assert not [cls for cls in CLASSES if hasattr(builtins, cls.__name__)]


def test_the_drawing_at_the_top_of_the_module_names_every_error() -> None:
    drawing = errors.__doc__ or ""

    assert [cls.__name__ for cls in CLASSES if cls.__name__ not in drawing] == []


@pytest.mark.parametrize(
    ("error", "attributes"),
    [
        (
            errors.ScheduleSyntaxError("bad", spec="a b", field="hour", position=2),
            {"spec": "a b", "field": "hour", "position": 2},
        ),
        (errors.UnavailableError("gone", written=False), {"written": False}),
        (errors.RejectedError("full", code="OOM"), {"code": "OOM", "written": False}),
        (errors.RejectedError("?", code="X", written=None), {"code": "X", "written": None}),
        (
            errors.DuplicateTaskError("held", queue="q", task_id="i"),
            {"queue": "q", "task_id": "i", "written": False},
        ),
    ],
    ids=lambda item: type(item).__name__,
)
@pytest.mark.parametrize(
    "transform", [lambda e: e, lambda e: pickle.loads(pickle.dumps(e)), copy.copy]
)
def test_an_error_carries_what_it_is_about_also_as_a_copy(
    error: errors.AsynqError,
    attributes: dict[str, Any],
    transform: Any,  # noqa: ANN401
) -> None:
    copied = transform(error)

    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert {name: getattr(copied, name) for name in attributes} == attributes
