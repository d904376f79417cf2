"""What redis-py raises, in our words: kind, code, and whether anything was written."""

from __future__ import annotations

import pytest
from redis import exceptions

from asynq_py import RejectedError, UnavailableError
from asynq_py.connection.faults import failure, is_wrong_server, refusal, text_of

#: What Redis 6.2 puts before an error that a script did not catch.
UNCAUGHT = "ERR Error running script (call to f_a78b44): @user_script:1: @user_script: 1:"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.ResponseError("WRONGTYPE Operation against a key"), "WRONGTYPE"),
        (exceptions.ResponseError("ERR unknown command"), "ERR"),
        (exceptions.OutOfMemoryError("command not allowed", status_code="OOM"), "OOM"),
        (exceptions.ReadOnlyError("You can't write", status_code="READONLY"), "READONLY"),
        (exceptions.NoPermissionError("this user", status_code="NOPERM"), "NOPERM"),
        (exceptions.NoScriptError("No matching script", status_code="NOSCRIPT"), "NOSCRIPT"),
        (exceptions.ResponseError("@user_script: 31: -OOM not allowed"), "OOM"),
        (exceptions.ResponseError("@user_script:31: READONLY You"), "READONLY"),
        (exceptions.ResponseError(f"{UNCAUGHT} -OOM command not allowed"), "OOM"),
        (exceptions.ResponseError(f"{UNCAUGHT} Wrong number of args"), "ERR"),
    ],
)
def test_an_answered_error_is_a_refusal_that_wrote_nothing(
    error: exceptions.RedisError, code: str
) -> None:
    fault = refusal(text_of(error), "EVALSHA")

    assert isinstance(fault, RejectedError)
    assert (fault.code, fault.written) == (code, False)
    assert str(fault).startswith(f"EVALSHA: {code} ")


@pytest.mark.parametrize("code", ["LOADING", "MASTERDOWN", "BUSY", "TRYAGAIN", "CLUSTERDOWN"])
def test_a_server_that_cannot_serve_now_is_unavailable_and_wrote_nothing(code: str) -> None:
    fault = refusal(f"{code} come later", "PING")

    assert isinstance(fault, UnavailableError)
    assert fault.written is False


@pytest.mark.parametrize(("sent", "written"), [(False, False), (True, None)])
@pytest.mark.parametrize(
    "error", [exceptions.ConnectionError("gone"), exceptions.TimeoutError("slow"), OSError("x")]
)
def test_a_lost_connection_is_unavailable_and_says_what_is_known(
    error: Exception, sent: bool, written: bool | None
) -> None:
    fault = failure(error, "EVALSHA", sent=sent)

    assert isinstance(fault, UnavailableError)
    assert fault.written is written
    assert ("nothing was sent" in str(fault)) is not sent


def test_a_server_that_loads_its_data_did_nothing_even_if_asked() -> None:
    fault = failure(exceptions.BusyLoadingError("Redis is loading"), "PING", sent=True)

    assert isinstance(fault, UnavailableError)
    assert fault.written is False


def test_a_wrong_password_is_a_refusal() -> None:
    error = exceptions.AuthenticationError("invalid password", status_code="WRONGPASS")

    fault = failure(error, "PING", sent=False)

    assert isinstance(fault, RejectedError)
    assert fault.code == "WRONGPASS"


@pytest.mark.parametrize(
    ("reply", "wrong"),
    [
        (RejectedError(code="READONLY"), True),
        (RejectedError("EVALSHA: ERR READONLY behind a proxy", code="ERR"), True),
        (RejectedError("full", code="OOM"), False),
        (UnavailableError("LOADING"), True),
        (1, False),
    ],
)
def test_only_a_server_of_another_role_calls_for_new_connections(
    reply: object, wrong: bool
) -> None:
    assert is_wrong_server(reply) is wrong
