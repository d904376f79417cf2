"""The log of a program's stdout."""

import threading
from collections.abc import Iterator
from queue import Queue

import pytest

from asynq_py.testing.events import EventLog, ProgramEnded, WaitTimeout, parse_event


class Stream:
    """A stream of bytes that a test feeds."""

    def __init__(self) -> None:
        self._chunks: Queue[bytes | None] = Queue()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks.get, None)

    def say(self, chunk: bytes) -> None:
        self._chunks.put(chunk)

    def end(self) -> None:
        self._chunks.put(None)


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def log(stream: Stream) -> Iterator[EventLog]:
    log = EventLog(stream, lambda: "the program")
    yield log
    stream.end()
    log.join(5)


def test_lines_are_whole_however_the_stream_is_cut(stream: Stream, log: EventLog) -> None:
    for chunk in (b'{"event"', b':"a"}\n\xc3', b"\xbc\r\n{", b'"event":"b"}\n'):
        stream.say(chunk)
    log.wait_for_event("b", timeout=5)
    assert log.lines == ['{"event":"a"}', "ü", '{"event":"b"}']
    assert log.events == [{"event": "a"}, {"event": "b"}]


def test_a_last_line_without_an_end_counts(stream: Stream, log: EventLog) -> None:
    stream.say(b"cut short")
    stream.end()
    assert log.wait_for_line("short", timeout=5) == "cut short"


def test_a_wait_ends_when_the_event_comes(stream: Stream, log: EventLog) -> None:
    found: list[object] = []
    waiter = threading.Thread(target=lambda: found.append(log.wait_for_event("a", timeout=5)))
    waiter.start()
    stream.say(b'{"event":"a","n":1}\n')
    waiter.join()
    assert found == [{"event": "a", "n": 1}]


def test_a_wait_in_vain_tells_the_last_lines(stream: Stream, log: EventLog) -> None:
    stream.say(b"hello\n")
    log.wait_for_line("hello", timeout=5)
    with pytest.raises(WaitTimeout, match=r"(?s)no event 'a' in 0.01 s. the program.*hello"):
        log.wait_for_event("a", timeout=0.01)


def test_a_wait_ends_with_the_stream(stream: Stream, log: EventLog) -> None:
    stream.end()
    with pytest.raises(ProgramEnded, match="ended before event 'a'"):
        log.wait_for_event("a", timeout=5)
    assert log.ended


@pytest.mark.parametrize("line", ["", "text", "{", "[1]", '{"level":"info"}', "{]", '"event"'])
def test_other_lines_are_no_events(line: str) -> None:
    assert parse_event(line) is None
