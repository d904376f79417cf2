"""What redis-py raises, in our words; shared by both worlds."""

from __future__ import annotations

import re

from redis import exceptions

from asynq_py.errors import BrokerError, RejectedError, UnavailableError

#: Redis is there but cannot serve now; it did nothing.
_BUSY = frozenset({"LOADING", "MASTERDOWN", "BUSY", "TRYAGAIN", "CLUSTERDOWN"})
#: This server is not (or no longer) the one to talk to: connect anew, resolve anew.
_WRONG_SERVER = frozenset({"READONLY", "MASTERDOWN", "LOADING"})
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
    written = None if sent else False
    unknown = "; whether Redis acted is not known" if sent else "; nothing was sent"
    return UnavailableError(f"{what}: {str(error).rstrip('.')}{unknown}", written=written)


def is_wrong_server(reply: object) -> bool:
    """Whether a reply says that the connections should be made anew."""
    if isinstance(reply, RejectedError):
        # Proxies put their own word before it: "ERR READONLY ...".
        return reply.code in _WRONG_SERVER or "READONLY" in str(reply)
    return isinstance(reply, UnavailableError)
