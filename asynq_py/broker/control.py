"""Steering entries of running schedulers through Redis: pause, resume, trigger.

What is paused stands in a hash, so that it outlives every scheduler. Each change is also
told in a stream, which a running scheduler waits at, so that it acts at once; one that
has missed messages reads the hash anew. Both are asynq_py's own: Go's schedulers do not
look at them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from asynq_py.broker.op import Arg, Command, Exchange, Op, Reply, call, checked
from asynq_py.clock import NANOSECONDS
from asynq_py.errors import WireError
from asynq_py.wire.keys import CONTROL, PAUSED

PAUSE = "pause"
RESUME = "resume"
TRIGGER = "trigger"
#: A leader has given its group back: the others need not wait for its lease to end.
RESIGNED = "resigned"
#: What cannot be understood: made by a newer version, or by hand.
UNKNOWN = ""
_ACTIONS = (PAUSE, RESUME, TRIGGER, RESIGNED)

#: About how many messages the stream keeps.
STREAM_SIZE = 1000
#: The ID before that of the first message.
FIRST_ID = "0-0"


class Request(NamedTuple):
    """A message of the stream."""

    #: Its place in the stream: "<milliseconds>-<number>".
    id: str
    action: str
    #: An entry's ID; "" where the action is about a group.
    entry: str
    #: None for all groups.
    group: str | None


def control_name(entry_id: str, group: str | None) -> str:
    """What an entry is called in the hash: its ID, of one group ``group/ID``."""
    return entry_id if group is None else f"{group}/{entry_id}"


def pause(entry_id: str, group: str | None, now_ns: int) -> Op[bool]:
    """Lets an entry fire no more.

    Args:
        group: Of which group of schedulers; None for all, those without a group included.
        now_ns: Unix nanoseconds; stored as whole seconds.

    Returns:
        Whether it was not paused before.
    """
    field = control_name(entry_id, group)
    # The hash first: who hears of the message finds it there.
    changed = yield from _both(
        ("HSET", PAUSED, field, now_ns // NANOSECONDS), _message(PAUSE, entry_id, group)
    )
    return changed == 1


def resume(entry_id: str, group: str | None) -> Op[bool]:
    """Lets a paused entry fire again; name the group just as when it was paused.

    Returns:
        Whether it was paused.
    """
    field = control_name(entry_id, group)
    changed = yield from _both(("HDEL", PAUSED, field), _message(RESUME, entry_id, group))
    return changed == 1


def trigger(entry_id: str, group: str | None) -> Op[str]:
    """Asks for one run of an entry now, beside its schedule.

    Returns:
        The ID of the message.
    """
    return (yield from announce(TRIGGER, entry_id, group))


def announce(action: str, entry_id: str, group: str | None) -> Op[str]:
    """Adds a message to the stream alone.

    Returns:
        Its ID.
    """
    return _id((yield from call(*_message(action, entry_id, group))))


def read_paused() -> Op[set[str]]:
    """Gives the control names of all that is paused."""
    reply = yield from call("HKEYS", PAUSED)
    if not isinstance(reply, (list, set)):
        raise WireError(f"Redis answered HKEYS with {reply!r}")
    return {name.decode(errors="replace") for name in reply}


def read_requests(after: str, block_ms: int | None) -> Op[list[Request]]:
    """Reads the messages after an ID, oldest first.

    One that is not understood has the action :data:`UNKNOWN` and nothing else: whoever waits
    in a loop has to get past its ID.

    Args:
        after: Of the last message that is known.
        block_ms: How long to wait for one, milliseconds: 0 is for ever, None not at all.
            Longer than the connection waits for replies is a lost connection.
    """
    wait: tuple[Arg, ...] = () if block_ms is None else ("BLOCK", block_ms)
    reply = yield from call("XREAD", *wait, "STREAMS", CONTROL, after)
    if reply is None or reply == []:  # the latter from redis-py, in a cluster
        return []
    return [_request(*message) for message in _messages(_only(reply))]


def server_ms() -> Op[int]:
    """Redis' clock, Unix milliseconds, which the IDs of messages are made of."""
    reply = yield from call("TIME")
    if isinstance(reply, list | tuple) and len(reply) == 2:
        seconds, microseconds = (int(part) for part in reply)
        return seconds * 1000 + microseconds // 1000
    raise WireError(f"Redis answered TIME with {reply!r}")


def _message(action: str, entry_id: str, group: str | None) -> Command:
    fields = ("action", action, "entry", entry_id, "group", group or "")
    return ("XADD", CONTROL, "MAXLEN", "~", STREAM_SIZE, "*", *fields)


def _both(change: Command, message: Command) -> Op[Reply]:
    """The change and its announcement, in one round trip; gives the reply to the change."""
    changed, announced = yield Exchange([change, message])
    checked(changed)
    checked(announced)
    return changed


def _id(reply: Reply) -> str:
    if not isinstance(reply, bytes):
        raise WireError(f"Redis answered XADD with {reply!r}")
    return reply.decode()


def _only(reply: Reply) -> Reply:
    """The messages of the one stream that was read."""
    match reply:
        case [[_, messages]]:
            return messages
    raise WireError(f"Redis answered XREAD with {reply!r}")


def _messages(reply: Reply) -> list[tuple[str, Mapping[bytes, bytes]]]:
    """Messages as (ID, fields); redis-py has made mappings of the fields in a cluster."""
    if not isinstance(reply, list):
        raise WireError(f"Redis answered {reply!r} where messages were due")
    return [(_id(key), _fields(fields)) for key, fields in reply]


def _fields(fields: Mapping[bytes, bytes] | Iterable[bytes] | None) -> Mapping[bytes, bytes]:
    if fields is None:  # deleted meanwhile
        return {}
    if isinstance(fields, Mapping):
        return fields
    flat = list(fields)
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _request(message_id: str, fields: Mapping[bytes, bytes]) -> Request:
    try:
        action = fields[b"action"].decode()
        entry = fields.get(b"entry", b"").decode()
        group = fields.get(b"group", b"").decode() or None
    except (KeyError, UnicodeDecodeError):
        return Request(message_id, UNKNOWN, "", None)
    if action not in _ACTIONS or not (entry or action == RESIGNED):
        return Request(message_id, UNKNOWN, "", None)
    return Request(message_id, action, entry, group)
