"""What there is for both worlds has one surface in them."""

from __future__ import annotations

import inspect

import pytest

from asynq_py import AsyncClient, AsyncInspector, Client, Inspector

PAIRS = [(Client, AsyncClient), (Inspector, AsyncInspector)]
MEMBERS: dict[type, set[str]] = {
    Client: {"enqueue", "enqueue_many", "close", "ping"},
    Inspector: {
        "archive_all",
        "archive_task",
        "cancel_task",
        "close",
        "cluster_info",
        "cluster_nodes",
        "delete_all",
        "delete_queue",
        "delete_task",
        "get_task",
        "groups",
        "history",
        "iter_tasks",
        "list_tasks",
        "pause_queue",
        "queue_info",
        "queue_keyslot",
        "queue_sizes",
        "queues",
        "redis_info",
        "run_all",
        "run_task",
        "scheduler_entries",
        "scheduler_history",
        "servers",
        "unpause_queue",
        "update_payload",
    },
}

pairs = pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda cls: cls.__name__)


def surface(cls: type) -> dict[str, inspect.Signature]:
    """The public methods of a class and how they are called."""
    return {
        name: inspect.signature(method)
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


def in_one_world(signature: inspect.Signature) -> inspect.Signature:
    """The signature with what is iterated over, as the blocking world says it."""
    answer = signature.return_annotation
    return signature.replace(return_annotation=str(answer).replace("AsyncIterator", "Iterator"))


@pairs
def test_both_have_one_surface(ours: type, theirs: type) -> None:
    mine = {name: in_one_world(signature) for name, signature in surface(ours).items()}
    other = {name: in_one_world(signature) for name, signature in surface(theirs).items()}

    assert mine == other
    assert mine.keys() >= MEMBERS[ours]


@pairs
def test_both_are_made_alike(ours: type, theirs: type) -> None:
    mine = inspect.signature(ours).parameters
    other = inspect.signature(theirs).parameters

    assert mine.keys() == other.keys()
    for name, parameter in mine.items():
        also = other[name]
        assert (parameter.kind, parameter.default) == (also.kind, also.default), name
        # What a ready client may be is the one thing that differs.
        assert str(also.annotation).removeprefix("Async") == str(parameter.annotation), name


@pairs
def test_every_method_of_the_one_is_awaited_and_none_of_the_other(ours: type, theirs: type) -> None:
    for name, signature in surface(theirs).items():
        assert not inspect.iscoroutinefunction(getattr(ours, name)), name
        iterates = str(signature.return_annotation).startswith("AsyncIterator")
        assert inspect.iscoroutinefunction(getattr(theirs, name)) != iterates, name


@pairs
def test_both_are_context_managers_of_their_world(ours: type, theirs: type) -> None:
    assert hasattr(ours, "__enter__")
    assert not hasattr(ours, "__aenter__")
    assert hasattr(theirs, "__aenter__")
    assert not hasattr(theirs, "__enter__")
