"""What can go wrong for a client, as a tree.

::

    ClientError              message: one sentence for people
    ├── ConnectFailed        nobody answered
    ├── ConnectRefused       the server answered, with a no; has the HTTP status
    ├── ConnectionLost       the socket closed; has the code and says whether to come back
    ├── RequestRefused       the server refused one event; the connection lives on
    ├── ReplyFailed          a reply ended with an error
    └── ReplyTimeout         nothing came for too long
"""

from __future__ import annotations

from server.protocol.close_codes import CloseCode


class ClientError(Exception):
    """Root of the tree."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class ConnectFailed(ClientError):
    """Nobody answered at this address."""


class ConnectRefused(ClientError):
    """The server answered the handshake with an HTTP status other than 101.

    Attributes:
        status: 401, 403, 404, 429, 503 …
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the server refused the connection with HTTP {status}: {message}")
        self.status = status


class ConnectionLost(ClientError):
    """The socket closed before the end.

    Attributes:
        code: WebSocket close code; 1006 when there was none.
        reason: The server's words, if any.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the connection was closed ({code}{': ' if reason else ''}{reason})")
        self.code = code
        self.reason = reason

    @property
    def is_retryable(self) -> bool:
        """Whether it is worth coming back soon: the server restarts, or the line broke."""
        if self.code == 1006:
            return True
        try:
            return CloseCode(self.code).is_retryable
        except ValueError:
            return False


class RequestRefused(ClientError):
    """The server refused one of our events.

    Attributes:
        code: The server's stable name for it.
        param: The field at fault, if there is one.
        retry_after_s: When asking again makes sense, where the server knows.
    """

    def __init__(
        self,
        code: str,
        message: str,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s


class ReplyFailed(ClientError):
    """A reply ended with an error.

    Attributes:
        code: The server's stable name for it.
        retry_after_s: When asking again makes sense, where the server knows.
    """

    def __init__(self, code: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


class ReplyTimeout(ClientError):
    """Nothing came from the server for too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"nothing came from the server for {seconds:g} s")
        self.seconds = seconds
