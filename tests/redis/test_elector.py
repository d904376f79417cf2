"""The elector's thread: what goes wrong on it must not end all terms to come."""

from __future__ import annotations

import logging
import threading

from asynq_py import LeaderElection, Leadership
from asynq_py.connection.sync import Connection
from asynq_py.scheduler.elector import Elector
from asynq_py.testing.redis_server import RedisServer


def test_a_fault_does_not_end_the_elector(server: RedisServer) -> None:
    def fail(event: Leadership) -> None:
        if event.event == "elected":
            raise RuntimeError("a fault of ours")

    connection = Connection(server.url)
    election = LeaderElection("g", lease=5, renew_every=1)
    elector = Elector(connection, election, "me", fail, logging.getLogger("test"))
    thread = threading.Thread(target=elector.run, daemon=True)
    thread.start()

    assert elector.has_asked.wait(10)
    assert elector.term is not None
    elector.stop()
    thread.join(10)
    assert not thread.is_alive()
    elector.resign()
    connection.close()
