"""Naming the peers, and finding them."""

from __future__ import annotations

import sys

import pytest

from tools.bench.against import ENGINES, SERVERS, Peer, PeerMissing, parse_peers


def test_a_name_alone_is_looked_for_here() -> None:
    """Transformers is in this very interpreter."""
    found = parse_peers("transformers", ENGINES, takes_urls=False)
    assert found == [Peer("transformers", sys.executable)]


def test_a_path_and_addresses_are_taken_as_they_are() -> None:
    """A server that runs already is named by its address, or called by its name."""
    found = parse_peers(
        f"vllm={sys.executable}, http://10.0.0.1:8000/,llama.cpp=http://box:1",
        SERVERS,
        takes_urls=True,
    )
    assert found == [
        Peer("vllm", sys.executable),
        Peer("10.0.0.1:8000", "http://10.0.0.1:8000"),
        Peer("llama.cpp", "http://box:1"),
    ]
    assert [peer.is_running for peer in found] == [False, True, True]


@pytest.mark.parametrize(
    ("text", "allowed", "sentence"),
    [
        ("sglang", SERVERS, "'sglang' is no known peer; it must be one of vllm, llama.cpp, or an"),
        ("openvino", SERVERS, "openvino is measured by `kaiwa bench engine`"),
        ("vllm", ENGINES, "vllm is measured by `kaiwa bench server`"),
        ("vllm=/nowhere/python", SERVERS, "vllm=/nowhere/python: there is no such program"),
    ],
)
def test_what_cannot_be_measured_is_said(
    text: str, allowed: tuple[str, ...], sentence: str
) -> None:
    """With what can be done about it."""
    with pytest.raises(PeerMissing) as caught:
        parse_peers(text, allowed, takes_urls=allowed is SERVERS)
    assert str(caught.value).startswith(sentence)


def test_nobody_is_an_answer_too() -> None:
    """Kaiwa alone."""
    assert parse_peers("", SERVERS, takes_urls=True) == []
