"""Standing for election, on a real server: one leads, and terms only grow."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import redis

from asynq_py import BrokerError
from asynq_py.broker.election import Ballot, campaign, resign
from asynq_py.connection.sync import Connection
from asynq_py.testing.redis_server import RedisServer
from asynq_py.wire.keys import leader_key

KEY = leader_key("g")
LEASE_S = 15.0


@pytest.fixture
def connection(server: RedisServer) -> Iterator[Connection]:
    made = Connection(server.url)
    yield made
    made.close()


def end_lease(database: redis.Redis) -> None:
    database.hset(KEY, "until", 0)


def next_millisecond(database: redis.Redis) -> None:
    """Returns once Redis' clock, of which terms are made, has moved on."""

    def now_ms() -> int:
        seconds, microseconds = database.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    began = now_ms()
    while now_ms() == began:
        pass


def test_who_stands_alone_wins_for_a_lease(connection: Connection, database: redis.Redis) -> None:
    ballot = connection.run(campaign("g", "a", LEASE_S))

    seconds, _ = database.time()
    assert ballot.left_s == LEASE_S
    assert abs(ballot.now_s - seconds) <= 1
    assert ballot.term >= seconds * 1000 - 1000
    stored = database.hgetall(KEY)
    assert (stored[b"holder"], stored[b"term"]) == (b"a", str(ballot.term).encode())
    assert int(stored[b"until"]) == round((ballot.now_s + LEASE_S) * 1000)
    # The key outlives its lease by a day, so that terms go on.
    assert 86_400 < database.ttl(KEY) <= 86_400 + 10 * LEASE_S


def test_while_another_leads_nobody_wins_and_the_lease_that_is_left_is_told(
    connection: Connection, database: redis.Redis
) -> None:
    connection.run(campaign("g", "a", LEASE_S))
    before = database.hgetall(KEY)

    ballot = connection.run(campaign("g", "b", LEASE_S))

    assert ballot.term == 0
    assert 0 < ballot.left_s <= LEASE_S
    assert database.hgetall(KEY) == before


def test_a_leader_renews_its_term(connection: Connection, database: redis.Redis) -> None:
    first = connection.run(campaign("g", "a", LEASE_S))
    database.hincrby(KEY, "until", -5000)

    renewed = connection.run(campaign("g", "a", LEASE_S, first.term))

    assert renewed.term == first.term
    assert int(database.hget(KEY, "until")) == round((renewed.now_s + LEASE_S) * 1000)


def test_a_lease_that_is_over_cannot_be_renewed_and_the_next_term_is_higher(
    connection: Connection, database: redis.Redis
) -> None:
    first = connection.run(campaign("g", "a", LEASE_S))
    end_lease(database)

    refused = connection.run(campaign("g", "a", LEASE_S, first.term))
    second = connection.run(campaign("g", "b", LEASE_S))
    late = connection.run(campaign("g", "a", LEASE_S, first.term))

    assert (refused.term, refused.left_s) == (0, 0.0)
    assert second.term > first.term
    assert late.term == 0


def test_the_term_of_another_cannot_be_renewed(connection: Connection) -> None:
    first = connection.run(campaign("g", "a", LEASE_S))

    assert connection.run(campaign("g", "b", LEASE_S, first.term)).term == 0
    assert connection.run(campaign("g", "a", LEASE_S, first.term - 1)).term == 0


def test_a_holder_that_stands_again_has_a_new_term(connection: Connection) -> None:
    # It did not hear that it won, or lost trust in its term.
    first = connection.run(campaign("g", "a", LEASE_S))

    second = connection.run(campaign("g", "a", LEASE_S))

    assert second.term > first.term
    assert connection.run(campaign("g", "a", LEASE_S, first.term)).term == 0


def test_groups_have_leaders_of_their_own(connection: Connection) -> None:
    assert connection.run(campaign("g", "a", LEASE_S)).term
    assert connection.run(campaign("h", "b", LEASE_S)).term


def test_who_resigns_makes_way_at_once(connection: Connection) -> None:
    first = connection.run(campaign("g", "a", LEASE_S))

    assert connection.run(resign("g", "a", first.term))
    second = connection.run(campaign("g", "b", LEASE_S))

    assert second.term > first.term


def test_nobody_resigns_for_another_or_for_a_later_term(
    connection: Connection, database: redis.Redis
) -> None:
    first = connection.run(campaign("g", "a", LEASE_S))
    second = connection.run(campaign("g", "a", LEASE_S))
    before = database.hgetall(KEY)

    assert not connection.run(resign("g", "a", first.term))
    assert not connection.run(resign("g", "b", second.term))
    assert not connection.run(resign("none", "a", second.term))

    assert database.hgetall(KEY) == before


def test_terms_grow_also_where_the_key_was_lost(
    connection: Connection, server: RedisServer, database: redis.Redis
) -> None:
    terms = []
    for round_number in range(5):
        terms.append(connection.run(campaign("g", f"c{round_number}", LEASE_S)).term)
        next_millisecond(database)
        server.command("FLUSHALL")

    assert terms == sorted(set(terms))


def test_a_leader_whose_key_was_lost_cannot_renew(
    connection: Connection, server: RedisServer
) -> None:
    first = connection.run(campaign("g", "a", LEASE_S))
    server.command("FLUSHALL")

    assert connection.run(campaign("g", "a", LEASE_S, first.term)).term == 0


def test_terms_grow_also_where_the_clock_of_redis_was_set_back(
    connection: Connection, database: redis.Redis
) -> None:
    first = connection.run(campaign("g", "a", LEASE_S))
    ahead = first.term + 3_600_000
    database.hset(KEY, mapping={"term": ahead, "until": 0})

    assert connection.run(campaign("g", "b", LEASE_S)).term == ahead + 1


def test_a_new_term_exceeds_one_that_is_known_to_have_been(connection: Connection) -> None:
    known = 9_000_000_000_000

    assert connection.run(campaign("g", "a", LEASE_S, floor=known)).term == known + 1


def test_a_term_of_any_size_is_exact(connection: Connection, database: redis.Redis) -> None:
    database.hset(KEY, mapping={"holder": "x", "term": 2**52, "until": 0})

    ballot = connection.run(campaign("g", "a", LEASE_S))

    assert ballot.term == 2**52 + 1
    assert connection.run(campaign("g", "a", LEASE_S, ballot.term)).term == ballot.term


def test_of_many_who_stand_at_once_one_wins(server: RedisServer, database: redis.Redis) -> None:
    candidates = 8
    connections = [Connection(server.url) for _ in range(candidates)]
    terms: list[int] = []
    for _ in range(30):
        begin = threading.Barrier(candidates)
        won: list[Ballot] = []

        def stand(number: int, begin: threading.Barrier = begin, won: list[Ballot] = won) -> None:
            begin.wait(15)
            ballot = connections[number].run(campaign("g", f"c{number}", LEASE_S))
            if ballot.term:
                won.append(ballot)

        threads = [threading.Thread(target=stand, args=(n,)) for n in range(candidates)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(15)
        assert len(won) == 1
        terms.append(won[0].term)
        end_lease(database)

    assert terms == sorted(set(terms))
    for connection in connections:
        connection.close()


def test_a_key_that_holds_something_else_is_an_error(
    connection: Connection, database: redis.Redis
) -> None:
    database.set(KEY, "a string")

    with pytest.raises(BrokerError):
        connection.run(campaign("g", "a", LEASE_S))
