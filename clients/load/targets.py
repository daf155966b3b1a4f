"""The servers that are asked, as a command line names them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from clients.python.address import realtime_address
from clients.python.client import DEFAULT_URL
from clients.python.errors import ConnectFailed
from clients.replay.script import ScriptError

Kind = Literal["kaiwa", "chat", "simulator"]


@dataclass(frozen=True, slots=True)
class Target:
    """One of the servers that are asked.

    Attributes:
        kind: What it speaks.
        name: In the report.
        url: Where it is; of the simulator, the machine it plays.
        model: By its name there.
    """

    kind: Kind
    name: str
    url: str
    model: str


def read_targets(options: argparse.Namespace) -> list[Target]:
    """Return the targets of a command line, in its order.

    Raises:
        ScriptError: Addresses, models and names do not go together.
    """
    urls: list[str] = options.url or [DEFAULT_URL]
    models: list[str] = options.model or [""]
    if len(models) == 1:
        models = models * len(urls)
    names: list[str] = options.name or []
    if len(models) != len(urls) or (names and len(names) != len(urls)):
        raise ScriptError(
            f"{len(urls)} --url, {len(models)} --model and {len(names)} --name; give one of each "
            "for every --url, or one --model for all"
        )
    targets = []
    for number, (url, model) in enumerate(zip(urls, models, strict=True)):
        kind, address = _kind_of(url)
        name = names[number] if names else _name_of(kind, address)
        targets.append(Target(kind, name, address, model or ("aoi" if kind == "kaiwa" else "")))
    return targets


def _kind_of(url: str) -> tuple[Kind, str]:
    if url.startswith("simulator"):
        return "simulator", url.partition(":")[2] or "two-core-demo"
    try:
        socket = realtime_address(url)
    except ConnectFailed:
        raise ScriptError(
            f"{url} is no server's address; it begins with ws://, wss://, http:// or https://, or "
            "is simulator:MACHINE"
        ) from None
    if url.startswith(("http:", "https:")):
        place = urlsplit(url)
        path = place.path.rstrip("/")
        if not path.endswith("/chat/completions"):
            path = (path or "/v1") + "/chat/completions"
        return "chat", place._replace(path=path).geturl()
    return "kaiwa", socket


def _name_of(kind: Kind, address: str) -> str:
    return address if kind == "simulator" else f"{kind} {urlsplit(address).netloc}"
