"""Waiting for what Redis or a web page will show, but nobody tells."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], timeout: float = 40.0) -> T:
    """What is seen once there is something."""
    end = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < end, f"it did not come within {timeout:g} s"
        time.sleep(0.05)
    return found
