"""What redis-py raises, in our words; shared by both worlds."""

from __future__ import annotations

import re

from redis import exceptions

from asynq_py.broker.op import Commands, Reply
from asynq_py.errors import BrokerError, RejectedError, UnavailableError

#: Redis is there but cannot serve now; it did nothing.
_BUSY = frozenset({"LOADING", "MASTERDOWN", "BUSY", "TRYAGAIN", "CLUSTERDOWN"})
#: This server is not (or no longer) the one to talk to: connect anew, resolve anew.
_WRONG_SERVER = frozenset({"READONLY", "MASTERDOWN", "LOADING"})
#: How redis-py says that a script's keys are in several places, before it sends any.
_TWO_SLOTS = "must map to the same key slot"
#: What Redis before 7 puts before an error that a script met, and returned or did not catch.
_IN_SCRIPT = re.compile(
    r"^(?:ERR Error running script \(call to f_\w+\): )?(?:@user_script: ?\d+: )+-?(?=[A-Z]+ )"
)


def refusal(text: str, what: str) -> RejectedError | UnavailableError:
    """An error that Redis answered, code first; it changed nothing."""
    text = _IN_SCRIPT.sub("", text)
    code = text.split(" ", 1)[0]
    if code in _BUSY:
        return UnavailableError(f"{what}: {text}", written=False)
    return RejectedError(f"{what}: {text}", code=code)


def text_of(error: exceptions.RedisError) -> str:
    """What Redis answered, code first; redis-py takes the code off."""
    text = str(error)
    code = getattr(error, "status_code", None) or ""
    return text if text.startswith(code) else f"{code} {text}"


#: Commands that change nothing: redis-py, which sends some again, may do so.
_READS = frozenset({"EXISTS", "GET", "HMGET", "HVALS", "LLEN", "SCARD", "ZCARD"})


def may_be_repeated(commands: Commands) -> bool:
    """Whether it does no harm if these are sent twice."""
    return all(command[0] in _READS for command in commands)


def failure(error: Exception, what: str, *, sent: bool) -> BrokerError:
    """A connection that could not be made, or broke.

    Args:
        error: What redis-py raised.
        what: What was being done.
        sent: Whether anything had been handed to the network: then nobody knows whether
            Redis acted.
    """
    if isinstance(error, exceptions.AuthenticationError | exceptions.ResponseError):
        return refusal(text_of(error), what)
    if isinstance(error, exceptions.BusyLoadingError):
        return UnavailableError(f"{what}: LOADING {error}", written=False)
    if isinstance(error, exceptions.RedisClusterException) and _TWO_SLOTS in str(error):
        why = "; in a cluster, no queue's name may begin with }"
        return RejectedError(f"{what}: {error}{why}", code="CROSSSLOT")
    written = None if sent else False
    unknown = "; whether Redis acted is not known" if sent else "; nothing was sent"
    return UnavailableError(f"{what}: {str(error).rstrip('.')}{unknown}", written=written)


def in_our_words(reply: Reply, what: str) -> Reply:
    """A reply of redis-py's pipeline: an error that Redis answered becomes our refusal.

    Raises:
        BrokerError: The connection broke.
    """
    if isinstance(reply, exceptions.ResponseError):
        return refusal(text_of(reply), what)
    if isinstance(reply, Exception):
        raise failure(reply, what, sent=True) from reply
    return reply


def is_wrong_server(reply: object) -> bool:
    """Whether a reply says that the connections should be made anew."""
    if isinstance(reply, RejectedError):
        # Proxies put their own word before it: "ERR READONLY ...".
        return reply.code in _WRONG_SERVER or "READONLY" in str(reply)
    return isinstance(reply, UnavailableError)
