"""Whose a key is.

The name of a queue may have "}:" in it, and so may IDs and names of groups. Then a key can be
read in several ways: asynq:{a}:t:b}:t:c is a task of queue "a", or of queue "a}:t:b".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from asynq_py.doctor.keys import TYPES

_PREFIX = b"asynq:{"
#: What the keys of tasks, locks, groups and of asynq_py, and counters of a day are like.
_MANY = re.compile(rb"(t|unique|g|py):|(processed|failed):\d{4}-\d\d-\d\d\Z")


def owners(key: bytes, listed: Collection[bytes]) -> list[bytes]:
    """The names of the queues that a key may belong to.

    Args:
        key: Any key.
        listed: The names of queues that there are. One of them is the owner if no other is
            possible, and no longer name.

    Returns:
        An empty list if it is no key of a queue; several if they cannot be told apart.
    """
    names = [name for name, rest in _readings(key) if rest in TYPES or _MANY.match(rest)]
    longest = names[-1:]
    return longest if [name for name in names if name in listed] == longest else names


def _readings(key: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each name that a queue could have, and what would follow."""
    if not key.startswith(_PREFIX):
        return
    end = key.find(b"}:", len(_PREFIX))
    while end >= 0:
        yield key[len(_PREFIX) : end], key[end + 2 :]
        end = key.find(b"}:", end + 1)
