"""Who is measured beside Kaiwa, and where they are found."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ENGINES = ("transformers", "openvino")
"""Peers that are measured in process."""
SERVERS = ("vllm", "llama.cpp")
"""Peers that are measured as servers."""
_PROGRAMS = {"llama.cpp": "llama-server"}
_MODULES = {"transformers": "transformers", "openvino": "openvino_genai", "vllm": "vllm"}


class PeerMissing(Exception):
    """A peer cannot be measured; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One of them.

    Attributes:
        name: As in ``ENGINES`` or ``SERVERS``; the address of a server that runs already.
        place: The interpreter that has it, the program that it is, or its address.
    """

    name: str
    place: str

    @property
    def is_running(self) -> bool:
        """Whether it is a server that somebody else started."""
        return self.place.startswith("http://")


def parse_peers(text: str, allowed: tuple[str, ...], *, takes_urls: bool) -> list[Peer]:
    """Read ``NAME``, ``NAME=PATH`` or an ``http://`` address, separated by commas.

    A name alone is looked for: in this interpreter, or among the programs on the path.

    Raises:
        PeerMissing: A name is unknown, or its peer is not there.
    """
    peers = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if takes_urls and part.startswith("http://"):
            peers.append(Peer(part.removeprefix("http://").rstrip("/"), part.rstrip("/")))
            continue
        name, _, place = part.partition("=")
        if name not in allowed:
            raise PeerMissing(_unknown(name, allowed, takes_urls=takes_urls))
        peers.append(Peer(name, _find(name, place)))
    return peers


def _find(name: str, place: str) -> str:
    if place.startswith("http://"):
        return place.rstrip("/")
    if place:
        found = shutil.which(str(Path(place).expanduser()))
        if found is None:
            raise PeerMissing(f"{name}={place}: there is no such program")
        return found
    if name in _PROGRAMS:
        found = shutil.which(_PROGRAMS[name])
        if found is None:
            raise PeerMissing(f"{_PROGRAMS[name]} is not on the path; write {name}=PATH")
        return found
    if importlib.util.find_spec(_MODULES[name]) is None:
        raise PeerMissing(
            f"{_MODULES[name]} is not installed here; write {name}=PYTHON with the interpreter "
            "that has it"
        )
    return sys.executable


def _unknown(name: str, allowed: tuple[str, ...], *, takes_urls: bool) -> str:
    elsewhere: Mapping[str, str] = {
        **dict.fromkeys(ENGINES, "engine"),
        **dict.fromkeys(SERVERS, "server"),
    }
    if name in elsewhere:
        return f"{name} is measured by `kaiwa bench {elsewhere[name]}`"
    also = ", or an http:// address" if takes_urls else ""
    return f"{name!r} is no known peer; it must be one of {', '.join(allowed)}{also}"
