"""Addresses on a command line say what is asked there, and by which name it is reported."""

from __future__ import annotations

import argparse

import pytest

from clients.load.targets import Target, read_targets
from clients.replay.script import ScriptError


def read(*urls: str, model: list[str] | None = None, name: list[str] | None = None) -> list[Target]:
    """Read such a command line."""
    return read_targets(argparse.Namespace(url=list(urls), model=model, name=name))


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("ws://a:1", Target("kaiwa", "kaiwa a:1", "ws://a:1/v1/realtime", "aoi")),
        ("http://a:1", Target("chat", "chat a:1", "http://a:1/v1/chat/completions", "")),
        ("https://a/x/", Target("chat", "chat a", "https://a/x/chat/completions", "")),
        (
            "http://a/v1/chat/completions",
            Target("chat", "chat a", "http://a/v1/chat/completions", ""),
        ),
        ("simulator", Target("simulator", "two-core-demo", "two-core-demo", "")),
        ("simulator:h200-8b", Target("simulator", "h200-8b", "h200-8b", "")),
    ],
)
def test_a_target_follows_from_its_address(url: str, target: Target) -> None:
    """The path is completed."""
    assert read(url) == [target]


def test_models_and_names_belong_to_addresses_in_order() -> None:
    """One model may be everybody's."""
    both = read("ws://a", "http://b", model=["m"], name=["one", "other"])
    assert [(one.name, one.model) for one in both] == [("one", "m"), ("other", "m")]
    with pytest.raises(ScriptError, match="2 --url, 3 --model and 0 --name"):
        read("ws://a", "http://b", model=["m", "n", "o"])


@pytest.mark.parametrize("url", ["ftp://a", "a:8000", "http://", "ws://a:port", "http://a:99999"])
def test_what_is_no_address_is_refused(url: str) -> None:
    """With those that there are."""
    with pytest.raises(ScriptError, match="begins with ws://, wss://, http:// or https://"):
        read(url)
