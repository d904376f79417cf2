"""docs/migration.md: its steps are executed as they stand there, while Go enqueues all the time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from waiting import until

from asynq_py import Client, DuplicateTaskError, Inspector, ServeMux, Task
from asynq_py.testing import GoWorker, Redis, Stack, drain
from asynq_py.testing.program import ProcessProgram

PAGE = (Path(__file__).parents[1] / "docs" / "migration.md").read_text()


class Block(NamedTuple):
    """A code block of the page."""

    way: str
    step: str
    language: str
    text: str


def read_blocks() -> list[Block]:
    blocks = []
    way = step = ""
    pattern = r"^(##|###) ([^\n]*)$|^```(\w+)\n(.*?)^```$"
    for level, title, language, text in re.findall(pattern, PAGE, re.M | re.S):
        if level == "##":
            way, step = title, ""
        elif level == "###":
            step = title
        else:
            blocks.append(Block(way, step, language, text))
    return blocks


BLOCKS = read_blocks()
WORKER = next(block.text for block in BLOCKS if block.language == "python")


class Producer:
    """A Go producer that enqueues mails, a few at a time, until it is stopped."""

    def __init__(self, stack: Stack, redis: Redis) -> None:
        self._stack = stack
        self._redis = redis
        self.queue = "mail"
        self.ids: list[str] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def send(self, payload: str = '{"user_id":{i}}', **flags: object) -> list[str]:
        """Enqueues now; returns the IDs."""
        with self._lock:
            infos = self._stack.produce(
                self._redis, type="email:welcome", payload=payload, queue=self.queue, **flags
            )
            self.ids += (ids := [info["id"] for info in infos])
        return ids

    def switch(self, queue: str) -> None:
        """Enqueues elsewhere from now on; returns when it has."""
        with self._lock:
            self.queue = queue
        self.send()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.send(n=5)


class Fleet:
    """The workers, and what does the page's commands."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        # It has the file that the last command would miss.
        self.redis = stack.redis(appendonly=True)
        self._stack = stack
        self._script = folder / "mails.py"
        self._script.write_text(WORKER.replace("redis://localhost:6379/0", self.redis.url))
        self._go: list[GoWorker] = []
        self._python: list[ProcessProgram] = []

    def in_go(self) -> list[str]:
        """The tasks that were begun in Go; what follows, alike."""
        return [task.id for worker in self._go for task in worker.tasks]

    def in_python(self) -> list[str]:
        lines = [line for each in self._python for line in each.log.lines]
        return [line.split()[2] for line in lines if line.startswith("welcomed")]

    def done(self) -> Counter[str]:
        return Counter(self.in_go() + self.in_python())

    def run(self, line: str) -> str:
        """Does what a line of the page says; returns what it printed."""
        match line.split():
            case ["./mailer", flag, "&"]:
                queue = flag.removeprefix("-queues=").removesuffix("=1")
                self._go.append(self._stack.worker(self.redis, queues={queue: 1}))
            case ["python", "mails.py", queue, "&"]:
                command = [sys.executable, "-W", "error", str(self._script), queue]
                self._python.append(ProcessProgram(command, os.environ))
                until(lambda: queue in self.servers().get("python", ""))
            case ["kill", "-TERM", "$GO"]:
                assert self._go[-1].stop() == 0
            case ["kill", "-TERM", "$PYTHON"]:
                self._python[-1].terminate()
                assert self._python[-1].wait(20) == 0, self._python[-1].errors
            case ["asynq-py", *arguments]:
                done = subprocess.run(
                    [sys.executable, "-W", "error", "-m", "asynq_py", *arguments],
                    env=os.environ | {"ASYNQ_REDIS_URL": self.redis.url},
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
                return done.stdout
            case _:
                raise AssertionError(f"what does {line!r} do?")
        return ""

    def servers(self) -> dict[str, str]:
        """The queues of each language's server, as an inspector shows them."""
        pids = {each._process.pid for each in self._python}
        with Inspector(self.redis.url) as inspector:
            return {
                "python" if server.pid in pids else "go": " ".join(server.queues)
                for server in inspector.servers()
            }

    def close(self) -> None:
        for worker in (*self._go, *self._python):
            worker.close()
        self.redis.stop()


@pytest.fixture
def fleet(stack: Stack, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(stack, tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture
def producer(stack: Stack, fleet: Fleet) -> Iterator[Producer]:
    producer = Producer(stack, fleet.redis)
    yield producer
    producer.stop()


class Guide:
    """Follows one way of the page, step by step."""

    def __init__(self, way: str, fleet: Fleet, producer: Producer) -> None:
        self._blocks = [block for block in BLOCKS if block.way.startswith(way)]
        self._fleet = fleet
        self._producer = producer

    @property
    def steps(self) -> list[str]:
        return list(dict.fromkeys(block.step for block in self._blocks))

    def follow(self, step: str) -> list[str]:
        """Does what the blocks of a step say; returns what each command printed last."""
        told = []
        for block in self._blocks:
            if block.step != step:
                continue
            if block.language == "go":
                (queue,) = re.findall(r'asynq\.Queue\("(.*?)"\)', block.text)
                self._producer.switch(queue)
                continue
            lines = block.text.splitlines()
            if "asynq-py task ls" in lines[0] and len(lines) == 4:
                # "when all of these say that there are no tasks"
                told += until(lambda lines=lines: self._when_none(lines))
            else:
                told += [self._fleet.run(line) for line in lines]
        return told

    def _when_none(self, lines: list[str]) -> list[str] | None:
        told = [self._fleet.run(line) for line in lines]
        return told if all(text.startswith("No ") for text in told) else None

    def await_more(self, *languages: str) -> None:
        """Waits until tasks that are enqueued from now on were run by each of these."""
        for language in languages:
            before = set(self._fleet.done()) | set(self._producer.ids)
            read = self._fleet.in_go if language == "go" else self._fleet.in_python
            until(lambda read=read, before=before: set(read()) - before)


def settle(fleet: Fleet, producer: Producer) -> None:
    """Waits until all is run, and sees that each task was run once and nothing is left."""
    producer.stop()
    sent = set(producer.ids)
    until(lambda: set(fleet.done()) >= sent)
    assert fleet.done() == Counter(producer.ids)
    with Inspector(fleet.redis.url) as inspector:
        until(lambda: not any(inspector.queue_info(each).size for each in inspector.queues()))


def test_the_first_way(fleet: Fleet, producer: Producer) -> None:
    guide = Guide("The first way", fleet, producer)
    assert guide.steps == ["", "1. Start Python beside Go", "2. Stop Go", "3. And back"]
    guide.follow("")
    guide.await_more("go")

    told = guide.follow("1. Start Python beside Go")
    guide.await_more("go", "python")
    assert sorted(fleet.servers()) == ["go", "python"]
    assert told[1].count("mail:1") == 2
    assert [text.startswith("No ") for text in told[-2:]] == [True, True]

    later = producer.send(n=3, process_in="2s")
    told = guide.follow("2. Stop Go")
    guide.await_more("python")
    assert told[-1].count("mail:1") == 1
    until(lambda: set(later) <= set(fleet.in_python()))

    # Python cannot read this one; Go, whose handler is of another opinion, can.
    (odd,) = producer.send('{"user_id":"x"}')
    with Inspector(fleet.redis.url) as inspector:
        until(lambda: inspector.queue_info("mail").archived)
        assert "payload.user_id must be int" in inspector.get_task("mail", odd).last_error
    told = guide.follow("3. And back")
    guide.await_more("go")
    assert list(fleet.servers()) == ["go"]
    assert odd in told[-2]
    assert told[-1] == "1 tasks are now pending\n"
    until(lambda: odd in fleet.in_go())

    settle(fleet, producer)


def test_the_second_way(fleet: Fleet, producer: Producer) -> None:
    guide = Guide("The second way", fleet, producer)
    assert guide.steps == [
        "1. Start Python on a new queue",
        "2. Switch the producers",
        "3. Let Go finish the old queue",
        "4. And back",
    ]
    fleet.run("./mailer -queues=mail=1 &")
    guide.await_more("go")

    (told,) = guide.follow("1. Start Python on a new queue")[1:]
    assert "mail-py:1" in told
    guide.await_more("go")
    assert fleet.in_python() == []

    later = producer.send(n=3, process_in="3s")
    told = "".join(guide.follow("2. Switch the producers"))
    guide.await_more("python")
    assert "No archived tasks" in told

    guide.follow("3. Let Go finish the old queue")
    assert set(later) <= set(fleet.in_go())
    guide.await_more("python")

    later = producer.send(n=3, process_in="2s")
    guide.follow("4. And back")
    guide.await_more("go")
    assert set(later) <= set(fleet.in_python())
    with Inspector(fleet.redis.url) as inspector:
        assert inspector.queues() == ["mail"]

    settle(fleet, producer)


# -- what comes along --


def test_a_retry_goes_on_in_the_other_language(fleet: Fleet, stack: Stack) -> None:
    with Client(fleet.redis.url) as client:
        client.enqueue(Task("fail:mail"), task_id="a", max_retry=5)
    first = stack.worker(fleet.redis, retry_delay=3600)
    first.wait_for_done("a")
    assert first.stop() == 0
    seen: list[tuple[int, int]] = []

    def fails_too(context: object, task: Task) -> None:
        seen.append((context.retry_count, context.max_retry))  # type: ignore[attr-defined]
        raise ValueError("in Python, too")

    with Inspector(fleet.redis.url) as inspector:
        assert inspector.get_task("default", "a").last_error == "failed as asked"
        inspector.run_task("default", "a")
        drain(fails_too, fleet.redis)
        assert seen == [(1, 5)]
        assert inspector.get_task("default", "a").last_error == "in Python, too"
        inspector.run_task("default", "a")
    second = stack.worker(fleet.redis)
    (task,) = second.wait_for(1)
    assert (task.retried, task.max_retry) == (2, 5)
    assert second.stop() == 0


def test_a_type_that_a_server_does_not_know_fails_there(fleet: Fleet) -> None:
    with Client(fleet.redis.url) as client:
        client.enqueue(Task("report"))

    (run,) = drain(ServeMux(), fleet.redis)

    assert str(run.error) == 'handler not found for task "report"'
    assert run.outcome == "retried"


def test_a_lock_holds_for_one_queue(fleet: Fleet) -> None:
    mail = Task("email:welcome", {"user_id": 1}, unique=600)
    with Client(fleet.redis.url) as client:
        client.enqueue(mail, queue="mail")
        client.enqueue(mail, queue="mail-py")
        with pytest.raises(DuplicateTaskError):
            client.enqueue(mail, queue="mail")
