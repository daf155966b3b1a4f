"""Why a socket was closed, as numbers that clients act on.

1001, 1011, 1012 and 1013 are in the retry set of the OpenAI SDKs: they come back, and resume.
The others are final, 4408 excepted: a stalled reader may come back once it reads again.
"""

from __future__ import annotations

import enum


class CloseCode(enum.IntEnum):
    """RFC 6455 section 7.4, the IANA registry, and our own above 4400."""

    NORMAL = 1000
    GOING_AWAY = 1001
    """The session reached its maximum age, or the client left the page."""
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    """A binary frame; events are text."""
    INVALID_DATA = 1007
    """Text that is not UTF-8."""
    POLICY_VIOLATION = 1008
    """Origin or authorisation."""
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    """The server drains; come back and resume."""
    TRY_AGAIN_LATER = 1013
    """Overload; come back after a while and resume."""
    BAD_MESSAGES = 4400
    """Too many events that could not be read."""
    AUTHENTICATION_ENDED = 4401
    """The key has expired or was taken away; it opens nothing any more."""
    STALLED_READER = 4408
    """The client did not read for too long; it may resume."""
    REPLACED = 4409
    """The client has come back over another socket, to this session or to its conversation."""
    RATE_LIMITED = 4429
    """The client went on sending far more than its limits for too long."""

    @property
    def is_retryable(self) -> bool:
        """Whether a client does well to come back with the same session."""
        return self in _RETRYABLE


_RETRYABLE = frozenset(
    {
        CloseCode.NORMAL,
        CloseCode.GOING_AWAY,
        CloseCode.INTERNAL_ERROR,
        CloseCode.SERVICE_RESTART,
        CloseCode.TRY_AGAIN_LATER,
        CloseCode.STALLED_READER,
    }
)
