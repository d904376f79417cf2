"""Client and AsyncClient have one surface."""

from __future__ import annotations

import inspect

from asynq_py import AsyncClient, Client


def surface(cls: type) -> dict[str, inspect.Signature]:
    """The public methods of a class and how they are called."""
    return {
        name: inspect.signature(method)
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


def test_clients_have_one_surface() -> None:
    assert surface(Client) == surface(AsyncClient)
    assert surface(Client).keys() >= {"enqueue", "enqueue_many", "close", "ping"}


def test_clients_are_made_alike() -> None:
    ours = inspect.signature(Client).parameters
    theirs = inspect.signature(AsyncClient).parameters

    assert ours.keys() == theirs.keys()
    for name, parameter in ours.items():
        other = theirs[name]
        assert (parameter.kind, parameter.default) == (other.kind, other.default), name
        # What a ready client may be is the one thing that differs.
        assert str(other.annotation).removeprefix("Async") == str(parameter.annotation), name


def test_every_method_of_the_one_is_awaited_and_none_of_the_other() -> None:
    for name in surface(Client):
        assert not inspect.iscoroutinefunction(getattr(Client, name)), name
        assert inspect.iscoroutinefunction(getattr(AsyncClient, name)), name


def test_both_are_context_managers_of_their_world() -> None:
    assert hasattr(Client, "__enter__")
    assert not hasattr(Client, "__aenter__")
    assert hasattr(AsyncClient, "__aenter__")
    assert not hasattr(AsyncClient, "__enter__")
