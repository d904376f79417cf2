"""The few words of Redis's protocol."""

import io

import pytest

from asynq_py.testing.resp import ReplyError, _decode, _encode


def test_a_command_is_an_array_of_byte_strings() -> None:
    assert _encode("SET", "ü", 1, b"\x00") == (
        b"*4\r\n$3\r\nSET\r\n$2\r\n\xc3\xbc\r\n$1\r\n1\r\n$1\r\n\x00\r\n"
    )


def test_replies_of_every_kind() -> None:
    raw = b"*5\r\n+OK\r\n:-7\r\n$4\r\na\r\nb\r\n$-1\r\n*-1\r\n"
    assert _decode(io.BytesIO(raw)) == [b"OK", -7, b"a\r\nb", None, None]


def test_an_error_is_raised_with_its_text() -> None:
    with pytest.raises(ReplyError, match=r"^LOADING wait$"):
        _decode(io.BytesIO(b"-LOADING wait\r\n"))


@pytest.mark.parametrize("raw", [b"", b"+OK"])
def test_a_cut_reply_is_a_lost_connection(raw: bytes) -> None:
    with pytest.raises(ConnectionResetError):
        _decode(io.BytesIO(raw))
