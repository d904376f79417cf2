"""Which queue gives how many tasks."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from asynq_py.server.order import Order

PRIORITIES = {"low": 1, "default": 3, "critical": 6}


def test_weights_have_no_common_divisor() -> None:
    assert Order({"a": 10, "b": 20, "c": 50}, strict=False).weights == {"a": 1, "b": 2, "c": 5}


def test_the_highest_priority_comes_first() -> None:
    order = Order(PRIORITIES, strict=True)

    assert order.queues == ["critical", "default", "low"]
    assert order.share(["critical", "default", "low"], 7) == {"critical": 7}
    assert order.share(["default", "low"], 7) == {"default": 7}


def test_slots_are_shared_out_by_weight() -> None:
    random.seed(5)
    order = Order(PRIORITIES, strict=False)
    total: Counter[str] = Counter()
    for _ in range(2000):
        total.update(order.share(order.queues, 5))

    assert abs(total["critical"] / 10_000 - 0.6) < 0.03
    assert abs(total["default"] / 10_000 - 0.3) < 0.03
    assert abs(total["low"] / 10_000 - 0.1) < 0.03


def test_the_last_queue_gives_all() -> None:
    assert Order(PRIORITIES, strict=False).share(["low"], 9) == {"low": 9}


def test_huge_priorities_cost_nothing() -> None:
    order = Order({"a": 2**31 - 1, "b": 2**31 - 2}, strict=False)

    assert sum(order.share(["a", "b"], 1000).values()) == 1000


@given(
    st.dictionaries(st.text(min_size=1), st.integers(1, 10), min_size=1),
    st.integers(1, 300),
    st.booleans(),
)
def test_neither_more_nor_less_than_the_slots_is_shared_out(
    priorities: dict[str, int], slots: int, strict: bool
) -> None:
    order = Order(priorities, strict=strict)
    shares = order.share(order.queues, slots)

    assert sum(shares.values()) == slots
    assert shares.keys() <= priorities.keys()
    assert all(shares.values())
