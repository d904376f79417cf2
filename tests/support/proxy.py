"""A TCP proxy before Redis that breaks connections at a chosen moment."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self


class Proxy:
    """Forwards to a server until told to cut.

    ``cut("request", b"EVALSHA")`` breaks the next connection on which such a request comes,
    before Redis sees it; ``cut("reply", b"EVALSHA")`` lets Redis act and breaks the
    connection in place of the reply, or after so many bytes of it. Each works once. While it is
    down, every connection is broken when a request comes, and Redis sees none.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._cut: tuple[Literal["request", "reply"], bytes] | None = None
        self._bytes = 0
        #: Called with what a client sends, before Redis gets it.
        self.on_request: Callable[[bytes], None] = lambda data: None
        #: Whether Redis is out of reach.
        self.is_down = False
        #: Called whenever a client connects.
        self.on_connect: Callable[[], None] = lambda: None
        #: Set once a connection has been cut.
        self.has_cut = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def cut(self, where: Literal["request", "reply"], word: bytes, after: int = 0) -> None:
        """Breaks the next connection that carries ``word``, after so many bytes of the reply."""
        self.has_cut.clear()
        with self._lock:
            self._cut = (where, word)
            self._bytes = after

    def forget_cut(self) -> None:
        """Breaks no connection after all."""
        with self._lock:
            self._cut = None

    def close(self) -> None:
        """Breaks all connections and takes no more."""
        _shut(self._listener)
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            _shut(each)
        for thread in self._threads:
            thread.join(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.on_connect()
            try:
                far = socket.create_connection(self._target)
            except OSError:
                _shut(near)
                continue
            for end in (near, far):
                # What is passed on in pieces must not wait for acknowledgements.
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            discard = threading.Event()
            threads = [
                threading.Thread(target=self._requests, args=(near, far, discard), daemon=True),
                threading.Thread(target=self._replies, args=(near, far, discard), daemon=True),
            ]
            with self._lock:
                self._sockets += [near, far]
                self._threads += threads
            for thread in threads:
                thread.start()

    def _requests(self, near: socket.socket, far: socket.socket, discard: threading.Event) -> None:
        while data := _receive(near):
            with self._lock:
                cut = self._cut
                if cut and cut[1] in data:
                    self._cut = None
                else:
                    cut = None
            self.on_request(data)
            if self.is_down:
                break
            if cut and cut[0] == "request":
                self.has_cut.set()
                break
            if cut:
                discard.set()
            if not _send(far, data):
                break
        _shut(near)
        _shut(far)

    def _replies(self, near: socket.socket, far: socket.socket, discard: threading.Event) -> None:
        while data := _receive(far):
            if discard.is_set():
                _send(near, data[: self._bytes])
                self.has_cut.set()
                break
            if not _send(near, data):
                break
        _shut(near)
        _shut(far)


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""


def _send(end: socket.socket, data: bytes) -> bool:
    try:
        end.sendall(data)
    except OSError:
        return False
    return True


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
