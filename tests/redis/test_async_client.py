"""What only AsyncClient does: it gathers what is awaited together, and can be cancelled."""

from __future__ import annotations

import asyncio
import threading

import pytest
import redis

from asynq_py import AsyncClient, DuplicateTaskError, Task, UnavailableError
from asynq_py.testing.redis_server import RedisServer, free_port
from tests.support.database import pending, times_called
from tests.support.proxy import Proxy


def test_a_thousand_concurrent_calls_travel_in_a_few_round_trips(
    server: RedisServer, database: redis.Redis
) -> None:
    async def main() -> list[str]:
        async with AsyncClient(server.url) as client:
            await client.enqueue(Task("t"), task_id="warm")
            database.config_resetstat()
            infos = await asyncio.gather(
                *(client.enqueue(Task("t"), task_id=str(i)) for i in range(1000))
            )
        return [info.id for info in infos]

    ids = asyncio.run(main())

    assert ids == [str(i) for i in range(1000)]
    assert pending(database) == ["warm", *ids]
    assert times_called(database, "evalsha") + times_called(database, "eval") <= 20


def test_calls_that_travel_together_have_each_their_own_error(server: RedisServer) -> None:
    async def main() -> list[object]:
        async with AsyncClient(server.url) as client:
            return await asyncio.gather(
                *(client.enqueue(Task("t"), task_id=str(i), unique=1000) for i in range(5)),
                return_exceptions=True,
            )

    first, *others = asyncio.run(main())

    assert not isinstance(first, Exception)
    for number, error in enumerate(others, 1):
        assert isinstance(error, DuplicateTaskError)
        assert error.task_id == str(number)


def test_one_failure_of_many_calls_is_raised_in_each(connect_nowhere: str) -> None:
    async def main() -> list[object]:
        async with AsyncClient(connect_nowhere) as client:
            return await asyncio.gather(
                *(client.enqueue(Task("t")) for _ in range(5)), return_exceptions=True
            )

    errors = asyncio.run(main())

    assert all(isinstance(error, UnavailableError) for error in errors)
    assert [getattr(error, "written", "?") for error in errors] == [False] * 5
    # Each its own: a traceback grows on every raise.
    assert len({id(error) for error in errors}) == 5


def test_a_call_cancelled_before_it_was_sent_sends_nothing(
    server: RedisServer, database: redis.Redis
) -> None:
    async def main() -> None:
        async with AsyncClient(server.url) as client:
            staying = asyncio.create_task(client.enqueue(Task("t"), task_id="stays"))
            going = asyncio.create_task(client.enqueue(Task("t"), task_id="goes"))
            await asyncio.sleep(0)  # both have asked, nothing has been sent
            going.cancel()
            await staying
            with pytest.raises(asyncio.CancelledError):
                await going

    asyncio.run(main())

    assert pending(database) == ["stays"]


def test_a_call_cancelled_after_it_was_sent_is_stored_and_harms_no_other(
    proxy: Proxy, database: redis.Redis
) -> None:
    arrived, release = threading.Event(), threading.Event()

    def hold(data: bytes) -> None:
        if b"EVAL" in data:
            arrived.set()
            release.wait(30)

    async def main() -> None:
        async with AsyncClient(proxy.url) as client:
            proxy.on_request = hold
            sent = asyncio.create_task(client.enqueue(Task("t"), task_id="sent"))
            together = asyncio.create_task(client.enqueue(Task("t"), task_id="together"))
            assert await asyncio.to_thread(arrived.wait, 30)
            sent.cancel()
            later = asyncio.create_task(client.enqueue(Task("t"), task_id="later"))
            with pytest.raises(asyncio.CancelledError):
                await sent
            release.set()
            await together
            await later

    asyncio.run(main())

    assert pending(database) == ["sent", "together", "later"]


def test_close_lets_what_is_on_its_way_arrive(server: RedisServer, database: redis.Redis) -> None:
    async def main() -> None:
        client = AsyncClient(server.url)
        calls = [asyncio.create_task(client.enqueue(Task("t"), task_id=str(i))) for i in range(10)]
        await asyncio.sleep(0)  # all have asked
        await client.close()
        await asyncio.gather(*calls)

    asyncio.run(main())

    assert pending(database) == [str(i) for i in range(10)]


def test_a_batch_and_single_calls_may_go_on_at_the_same_time(
    server: RedisServer, database: redis.Redis
) -> None:
    async def main() -> None:
        async with AsyncClient(server.url) as client:
            batches = [
                client.enqueue_many([Task("t", task_id=f"{b}-{i}") for i in range(300)])
                for b in range(3)
            ]
            singles = [client.enqueue(Task("t"), task_id=f"s-{i}") for i in range(100)]
            await asyncio.gather(*batches, *singles)

    asyncio.run(main())

    stored = pending(database)
    assert len(stored) == len(set(stored)) == 1000
    for name, count in [("0", 300), ("1", 300), ("2", 300), ("s", 100)]:
        own = [task_id for task_id in stored if task_id.startswith(f"{name}-")]
        assert own == [f"{name}-{i}" for i in range(count)]


def test_a_cancelled_batch_leaves_the_client_in_working_order(
    proxy: Proxy, database: redis.Redis
) -> None:
    arrived, release = threading.Event(), threading.Event()

    def hold(data: bytes) -> None:
        if b"EVAL" in data and not arrived.is_set():
            arrived.set()
            release.wait(30)

    async def main() -> None:
        async with AsyncClient(proxy.url) as client:
            proxy.on_request = hold
            batch = asyncio.create_task(client.enqueue_many([Task("t")] * 3))
            assert await asyncio.to_thread(arrived.wait, 30)
            batch.cancel()
            with pytest.raises(asyncio.CancelledError):
                await batch
            release.set()
            info = await client.enqueue(Task("t"), task_id="after")
            assert info.id == "after"

    asyncio.run(main())

    assert "after" in pending(database)


@pytest.fixture
def connect_nowhere() -> str:
    """A URL where nobody listens."""
    return f"redis://127.0.0.1:{free_port()}/0"
