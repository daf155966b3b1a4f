"""What every program of ours needs to reach a server: its address, a key and whom to trust."""

from __future__ import annotations

import argparse
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from clients.python.address import is_loopback, realtime_address, web_address
from clients.python.client import DEFAULT_URL, RealtimeClient
from clients.python.connecting import told_reason, trust
from clients.python.errors import ClientError, ConnectFailed, ConnectionLost, ConnectRefused
from server.protocol.character_events import CHARACTER_V1


@dataclass(frozen=True, slots=True)
class Access:
    """How a server is reached.

    Attributes:
        url: The WebSocket's address, complete.
        api_key: Sent as a bearer token.
        ca_file: Certificate authorities in PEM that are trusted instead of the system's.
    """

    url: str
    api_key: str | None = None
    ca_file: Path | None = None

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Add the options that ``from_options`` reads."""
        parser.add_argument("--url", default=DEFAULT_URL, help="where the server is (%(default)s)")
        parser.add_argument(
            "--api-key-file", type=Path, help="file with an API key; the server's own will do"
        )
        parser.add_argument(
            "--ca-file", type=Path, help="certificate authority to trust, in PEM (the system's)"
        )

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> Self:
        """Read what was given on the command line.

        Raises:
            ClientError: The address is none, or the file of keys cannot be read or has none.
        """
        file = options.api_key_file
        key = None if file is None else read_api_key(file)
        return cls(realtime_address(options.url), key, options.ca_file)

    def connect(
        self,
        *,
        model: str | None,
        events: Sequence[str] = (CHARACTER_V1,),
        on_lost: Callable[[ConnectionLost], None] | None = None,
    ) -> AbstractAsyncContextManager[RealtimeClient]:
        """Open a session, as ``RealtimeClient.connect`` does."""
        return RealtimeClient.connect(
            self.url,
            model=model,
            api_key=self.api_key,
            ca_file=self.ca_file,
            events=events,
            on_lost=on_lost,
        )

    def get(self, path: str, timeout_s: float) -> http.client.HTTPResponse:
        """Ask the same server for a page; the caller closes the answer.

        Raises:
            ConnectFailed: Nobody answers, or nobody who can be trusted.
            ConnectRefused: The server says no.
        """
        address = web_address(self.url, path)
        handlers: list[urllib.request.BaseHandler] = []
        if is_loopback(address):
            handlers.append(urllib.request.ProxyHandler({}))
        if self.ca_file is not None:
            handlers.append(urllib.request.HTTPSHandler(context=trust(self.ca_file)))
        request = urllib.request.Request(address)
        if self.api_key:
            request.add_header("Authorization", f"Bearer {self.api_key}")
        try:
            answer = urllib.request.build_opener(*handlers).open(request, timeout=timeout_s)
        except urllib.error.HTTPError as error:
            with error:
                raise ConnectRefused(error.code, told_reason(error.read())) from None
        except urllib.error.URLError as error:
            raise ConnectFailed(f"no server answers at {address} ({error.reason})") from None
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise ConnectFailed(f"no page comes from {address} ({reason})") from None
        assert isinstance(answer, http.client.HTTPResponse)
        return answer


def read_api_key(file: Path) -> str:
    """Take the first key of a file: ``key`` or ``name: key`` a line, ``#`` begins a comment.

    Raises:
        ClientError: The file cannot be read or has no key.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ClientError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ClientError(f"{file} is not a text file") from None
    for line in text.splitlines():
        name, separator, named = line.partition("#")[0].partition(":")
        key = (named if separator else name).strip()
        if key:
            return key
    raise ClientError(f"{file} has no API key in it")
