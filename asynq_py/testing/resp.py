"""Just enough of Redis's protocol to ask a server a question. Standard library only."""

import socket
from typing import Any, BinaryIO

Address = str | tuple[str, int]
"""The path of a unix socket, or (host, port)."""


class ReplyError(Exception):
    """The server answered with an error; the text is its own."""


def ask(
    address: Address, *command: str | int | bytes, password: str = "", timeout: float = 2.0
) -> Any:  # noqa: ANN401
    """Sends one command over a connection of its own.

    Args:
        address: Where the server is.
        command: The command and its arguments.
        password: Sent first, by AUTH, unless empty.
        timeout: Seconds, for each read.

    Returns:
        `bytes`, `int`, `None` or a list of these.

    Raises:
        OSError: The server cannot be reached, or went away.
        ReplyError: The server refused.
    """
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(address)
        with connection.makefile("rb") as replies:
            if password:
                connection.sendall(_encode("AUTH", password))
                _decode(replies)
            connection.sendall(_encode(*command))
            return _decode(replies)


def _encode(*command: str | int | bytes) -> bytes:
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


def _decode(replies: BinaryIO) -> Any:  # noqa: ANN401
    line = replies.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("the server closed the connection")
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest
        case b"-":
            raise ReplyError(rest.decode(errors="replace"))
        case b":":
            return int(rest)
        case b"$":
            return None if rest == b"-1" else replies.read(int(rest) + 2)[:-2]
        case b"*":
            return None if rest == b"-1" else [_decode(replies) for _ in range(int(rest))]
    raise ReplyError(f"not a reply: {line!r}")
