"""When Redis fails: which error, and whether it says the truth about what was written."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import redis

from asynq_py import (
    AsynqError,
    Client,
    RedisConfig,
    RejectedError,
    Task,
    TaskIDConflictError,
    UnavailableError,
)
from asynq_py.broker.enqueue_all import CHUNK_TASKS
from asynq_py.broker.op import WINDOW
from asynq_py.testing.redis_server import RedisServer, free_port
from tests.conftest import Cluster
from tests.support.database import content, pending
from tests.support.proxy import Proxy
from tests.support.worlds import Producer

StartServer = Callable[..., RedisServer]
Connect = Callable[..., Producer]
ConnectRaw = Callable[..., redis.Redis]


def fails(producer: Producer, task_id: str = "a") -> AsynqError:
    """What enqueueing a task fails with."""
    with pytest.raises(AsynqError) as caught:
        producer.enqueue(Task("t"), task_id=task_id)
    return caught.value


# -- no connection --


@pytest.mark.parametrize("where", ["redis://127.0.0.1:{}/0", "unix:///nowhere/{}.sock"])
def test_a_server_that_is_down_got_nothing(connect: Connect, where: str) -> None:
    client = connect(where.format(free_port()))

    error = fails(client)
    results = client.enqueue_many([Task("t"), Task("u")])

    assert isinstance(error, UnavailableError)
    assert error.written is False
    for result in results:
        assert isinstance(result.error, UnavailableError)
        assert result.error.written is False


def test_ping_fails_when_the_server_is_down(connect: Connect) -> None:
    with pytest.raises(UnavailableError):
        connect(f"redis://127.0.0.1:{free_port()}").ping()


def test_a_client_finds_a_server_that_comes_back(
    start_server: StartServer, connect: Connect, connect_raw: ConnectRaw
) -> None:
    server = start_server()
    client = connect(server.url)
    client.enqueue(Task("t"), task_id="a")

    server.kill()
    down = fails(client, "b")
    server.start()
    client.enqueue(Task("t"), task_id="c")

    assert isinstance(down, UnavailableError)
    assert down.written is False
    assert pending(connect_raw(server)) == ["c"]


def test_a_server_restarted_between_two_calls_is_no_error(
    start_server: StartServer, connect: Connect, connect_raw: ConnectRaw
) -> None:
    server = start_server()
    client = connect(server.url)
    client.enqueue(Task("t"))

    server.restart()
    client.enqueue(Task("t"), task_id="after")

    assert pending(connect_raw(server)) == ["after"]


def test_an_idle_connection_that_the_server_closed_is_no_error(
    client: Producer, database: redis.Redis
) -> None:
    client.enqueue(Task("t"), task_id="a")

    database.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    client.enqueue(Task("t"), task_id="b")

    assert pending(database) == ["a", "b"]


# -- connections that break halfway --


def test_a_request_that_never_arrived_may_have_been_written_for_all_we_know(
    proxy: Proxy, connect: Connect, database: redis.Redis
) -> None:
    client = connect(proxy.url)
    client.enqueue(Task("t"), task_id="warm")

    proxy.cut("request", b"EVALSHA")
    error = fails(client)

    assert isinstance(error, UnavailableError)
    assert error.written is None
    assert pending(database) == ["warm"]
    # Again with the same ID: now it is stored.
    client.enqueue(Task("t"), task_id="a")
    assert pending(database) == ["warm", "a"]


def test_a_lost_reply_says_not_known_and_the_same_id_tells(
    proxy: Proxy, connect: Connect, database: redis.Redis
) -> None:
    client = connect(proxy.url)
    client.enqueue(Task("t"), task_id="warm")

    proxy.cut("reply", b"EVALSHA")
    error = fails(client)

    assert isinstance(error, UnavailableError)
    assert error.written is None
    assert pending(database) == ["warm", "a"]
    assert isinstance(fails(client), TaskIDConflictError)


@pytest.mark.parametrize("where", ["request", "reply"])
def test_a_lost_announcement_is_known_to_have_stored_nothing(
    proxy: Proxy, connect: Connect, database: redis.Redis, where: str
) -> None:
    client = connect(proxy.url)
    client.ping()

    proxy.cut(where, b"SADD")  # type: ignore[arg-type]
    error = fails(client)

    assert isinstance(error, UnavailableError)
    assert error.written is False
    assert not database.exists("asynq:{default}:t:a")


@pytest.mark.parametrize("where", ["request", "reply"])
def test_a_batch_that_is_cut_says_of_each_task_what_is_known(
    proxy: Proxy, connect: Connect, database: redis.Redis, where: str
) -> None:
    client = connect(proxy.url)
    client.enqueue(Task("t"), queue="q")

    proxy.on_request = lambda data: (
        proxy.cut(where, b"EVALSHA") if b"EVALSHA" in data and not proxy.has_cut.is_set() else None  # type: ignore[arg-type]
    )
    tasks = [Task("t", task_id=str(i), queue="q") for i in range(3 * WINDOW * CHUNK_TASKS)]
    results = client.enqueue_many(tasks)

    told = [
        "stored" if result.error is None else result.error.written  # the three answers
        for result in results
    ]
    stored, unknown, unsent = (told.count(answer) for answer in ("stored", None, False))
    assert told == ["stored"] * stored + [None] * unknown + [False] * unsent
    assert 0 < unknown <= WINDOW * CHUNK_TASKS
    assert unsent > 0
    arrived = pending(database, "q")[1:]
    assert arrived == [str(i) for i in range(len(arrived))]
    assert stored <= len(arrived) <= stored + unknown
    if where == "reply":
        assert len(arrived) > stored


def test_a_server_that_does_not_answer_in_time_may_have_written(
    start_server: StartServer, connect: Connect, connect_raw: ConnectRaw
) -> None:
    server = start_server()
    config = RedisConfig(addresses=(("127.0.0.1", server.port),), timeout=0.1)
    client = connect(config)
    client.enqueue(Task("t"), task_id="warm")

    server.freeze()
    error = fails(client)
    server.thaw()
    client.enqueue(Task("t"), task_id="b")

    assert isinstance(error, UnavailableError)
    assert error.written is None
    # The late reply was not taken for that of the second task.
    assert connect_raw(server).exists("asynq:{default}:t:b")


# -- a server that refuses --


def test_a_full_server_refuses_and_stores_nothing(
    start_server: StartServer, connect: Connect, connect_raw: ConnectRaw
) -> None:
    server = start_server(maxmemory="100mb", maxmemory_policy="noeviction")
    client = connect(server.url)
    client.enqueue(Task("t"), task_id="warm")
    before = content(connect_raw(server))

    server.command("CONFIG", "SET", "maxmemory", "1")
    error = fails(client)
    (result,) = client.enqueue_many([Task("t", task_id="b", queue="other", unique=1000)])

    for each in (error, result.error):
        assert isinstance(each, RejectedError)
        assert (each.code, each.written) == ("OOM", False)
    assert content(connect_raw(server)) == before


def test_a_replica_refuses(start_server: StartServer, connect: Connect) -> None:
    server = start_server()
    client = connect(server.url)
    client.enqueue(Task("t"))

    server.command("REPLICAOF", "127.0.0.1", str(free_port()))
    error = fails(client)
    server.command("REPLICAOF", "NO", "ONE")
    client.enqueue(Task("t"), task_id="a")

    assert isinstance(error, RejectedError)
    assert (error.code, error.written) == ("READONLY", False)


def test_a_replica_without_its_master_is_unavailable(
    start_server: StartServer, connect: Connect
) -> None:
    server = start_server(replica_serve_stale_data=False)
    client = connect(server.url)
    client.enqueue(Task("t"))

    server.command("REPLICAOF", "127.0.0.1", str(free_port()))
    error = fails(client)

    assert isinstance(error, UnavailableError)
    assert error.written is False
    assert "MASTERDOWN" in str(error)


@pytest.mark.parametrize(("password", "code"), [("wrong", "WRONGPASS"), ("", "NOAUTH")])
def test_a_wrong_or_missing_password_is_refused_and_not_repeated(
    start_server: StartServer, connect: Connect, password: str, code: str
) -> None:
    server = start_server(requirepass="s3cret")
    client = connect(f"redis://:{password}@{server.address}/0")

    error = fails(client)

    assert isinstance(error, RejectedError)
    assert (error.code, error.written) == (code, False)
    assert "wrong" not in str(error).replace("WRONGPASS", "")


def test_the_right_password_opens(start_server: StartServer, connect: Connect) -> None:
    server = start_server(requirepass="p@ss:w/rd")

    connect(RedisConfig.from_url(f"redis://:p%40ss%3Aw%2Frd@{server.address}/0")).ping()


@pytest.mark.parametrize("forbidden", ["evalsha", "sadd", "lpush"])
def test_a_user_who_may_not_is_refused(
    start_server: StartServer, connect: Connect, connect_raw: ConnectRaw, forbidden: str
) -> None:
    server = start_server()
    raw = connect_raw(server)
    raw.acl_setuser(
        "joe",
        enabled=True,
        passwords=["+pw"],
        keys=["*"],
        categories=["+@all"],
        commands=[f"-{forbidden}"],
    )
    client = connect(f"redis://joe:pw@{server.address}/0")

    error = fails(client)

    assert isinstance(error, RejectedError)
    assert error.written is False
    assert raw.llen("asynq:{default}:pending") == 0


def test_a_server_busy_with_a_script_is_unavailable_and_did_nothing(
    start_server: StartServer, connect: Connect, connect_raw: ConnectRaw
) -> None:
    server = start_server(lua_time_limit=1)
    client = connect(server.url)
    client.enqueue(Task("t"), task_id="warm")
    looping = connect_raw(server)
    raw = connect_raw(server)
    raw.ping()

    def loop() -> None:
        with pytest.raises(redis.ResponseError):
            looping.eval("while true do end", 0)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        while not _is_busy(raw):
            pass
        error = fails(client)
    finally:
        raw.execute_command("SCRIPT", "KILL")
        thread.join()

    assert isinstance(error, UnavailableError)
    assert error.written is False
    assert "BUSY" in str(error)
    assert pending(raw) == ["warm"]


def test_a_server_that_loads_its_data_is_unavailable_and_did_nothing(
    server: RedisServer, start_server: StartServer, connect: Connect, connect_raw: ConnectRaw
) -> None:
    is_old = b"redis_version:6" in server.command("INFO", "server")
    debug = {} if is_old else {"enable_debug_command": True}
    loading = start_server(rdbcompression=False, key_load_delay=100_000, **debug)
    client = connect(loading.url)
    client.enqueue(Task("t"))
    raw = connect_raw(loading)
    # It answers after every 2 MB, and waits a tenth of a second for each key.
    raw.mset({f"key{number}": "x" * 700_000 for number in range(40)})
    reloading = connect_raw(loading)

    def reload() -> None:
        with pytest.raises(redis.ConnectionError):
            reloading.execute_command("DEBUG", "RELOAD")

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        while not _is_loading(raw):
            pass
        error = fails(client)
    finally:
        loading.kill()
        thread.join()

    assert isinstance(error, UnavailableError)
    assert error.written is False
    assert "LOADING" in str(error)


def test_a_script_flush_between_two_calls_is_not_noticed(
    client: Producer, database: redis.Redis
) -> None:
    client.enqueue(Task("t"), task_id="a")
    database.script_flush()
    client.enqueue(Task("t"), task_id="b")

    assert pending(database) == ["a", "b"]


# -- a cluster --


@pytest.mark.parametrize("where", ["request", "reply"])
def test_a_cluster_is_asked_once_too(
    cluster: Cluster, connect: Connect, connect_raw: ConnectRaw, where: str
) -> None:
    client = connect(cluster.url)
    client.enqueue(Task("t"), task_id="warm")

    cluster.proxy.cut(where, b"EVALSHA")  # type: ignore[arg-type]
    error = fails(client)

    assert isinstance(error, UnavailableError)
    assert error.written is None
    arrived = ["warm", "a"] if where == "reply" else ["warm"]
    assert pending(connect_raw(cluster.server)) == arrived
    client.enqueue(Task("t"), task_id="b")


def _is_busy(raw: redis.Redis) -> bool:
    try:
        raw.ping()
    except redis.ResponseError as error:
        return str(error).startswith("BUSY")
    return False


def _is_loading(raw: redis.Redis) -> bool:
    try:
        raw.ping()
    except redis.exceptions.BusyLoadingError:
        return True
    except redis.RedisError:
        pass
    return False


def test_connections_to_a_server_that_became_a_replica_are_not_used_again(
    start_server: StartServer, connect_raw: ConnectRaw
) -> None:
    server = start_server()
    raw = connect_raw(server)
    # A batch that is streamed, and one call: both have to notice.
    for enqueue in (
        lambda client: client.enqueue_many([Task("t")] * 300)[-1].error,
        lambda client: fails(client),
    ):
        with Client(server.url) as client:
            client.enqueue_many([Task("t")] * 300)
            before = {line["id"] for line in raw.client_list()}
            raw.execute_command("REPLICAOF", "127.0.0.1", "1")
            error = enqueue(client)
            raw.execute_command("REPLICAOF", "NO", "ONE")
            client.enqueue(Task("t"))
            after = {line["id"] for line in raw.client_list()}

        assert isinstance(error, RejectedError)
        assert error.code == "READONLY"
        assert after - before, "the same connection as before"
