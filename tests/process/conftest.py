"""Fixtures of the commands' tests."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from asynq_py import Inspector
from asynq_py.cli.app import run
from asynq_py.testing.redis_server import RedisServer
from tests.support.commands import Command, Ran


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command in this process, where no variable says where Redis is."""
    for name in list(os.environ):
        if name.startswith(("ASYNQ_REDIS_", "ASYNQ_CONFIG")):
            monkeypatch.delenv(name)

    def command_(*arguments: str) -> Ran:
        code = run(arguments)
        return Ran(code, capsys.readouterr())

    return command_


@pytest.fixture
def asynq(command: Command, server: RedisServer) -> Command:
    """Runs commands on the shared, emptied server."""
    return lambda *arguments: command(*arguments, "--redis", server.url)


@pytest.fixture
def inspector(server: RedisServer) -> Iterator[Inspector]:
    with Inspector(server.url) as inspector:
        yield inspector


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    """Sets what comes from standard input, which is no terminal."""

    def stdin_(data: bytes) -> None:
        wrapped = SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False)
        monkeypatch.setattr("sys.stdin", wrapped)

    return stdin_
