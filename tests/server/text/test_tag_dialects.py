"""One stream of tags, as different front ends want to read it."""

from __future__ import annotations

import random

import pytest

from server.text.tag_dialects import (
    TAG_DIALECTS,
    TagDialect,
    TagText,
    dialect_of,
    split_dialect,
    write_tag,
)
from server.text.tags import ExpressionTag

FACES = ("happy", "sad", "relaxed", "angry", "Smug")
RAW = "[happy] Hi! [sad:0.5][motion:wave] Oh. [SMUG] So [1]."


def render(dialect: TagDialect, *parts: str) -> str:
    """A whole reply in a dialect."""
    text = TagText(FACES, dialect, ("wave",))
    return "".join(map(text.feed, parts)) + text.finish()


@pytest.mark.parametrize(
    ("dialect", "shown"),
    [
        ("strip", "Hi! Oh. So [1]."),
        ("aituber", "[happy]Hi![sad][motion:wave] Oh.[Smug] So [1]."),
        ("face", "[face:joy]Hi![face:sorrow][animation:wave] Oh.[face:Smug] So [1]."),
        ("olv", "[happy]Hi![sad] Oh.[Smug] So [1]."),
        (
            "act",
            '<|ACT {"emotion":"happy"}|>Hi!<|ACT {"emotion":{"name":"sad","intensity":0.5}}|>'
            '<|ACT {"motion":"wave"}|> Oh.<|ACT {"emotion":"Smug"}|> So [1].',
        ),
    ],
)
def test_each_front_end_gets_its_own_tags(dialect: TagDialect, shown: str) -> None:
    """Faces, motions and weights, as far as the dialect can say them; other brackets are text."""
    assert render(dialect, RAW) == shown


@pytest.mark.parametrize("dialect", TAG_DIALECTS)
def test_the_text_does_not_depend_on_the_chunks(dialect: TagDialect) -> None:
    """A tag is written whole, however it came."""
    rng = random.Random(1)
    for _ in range(100):
        cuts = sorted(rng.randrange(len(RAW) + 1) for _ in range(5))
        parts = [RAW[a:b] for a, b in zip([0, *cuts], [*cuts, len(RAW)], strict=True)]
        assert render(dialect, *parts) == render(dialect, RAW)


def test_half_a_tag_waits() -> None:
    """What a client reads at any time is text or whole tags."""
    text = TagText(FACES, "face")
    assert text.feed("Hi [hap") == "Hi"
    assert text.feed("py") == ""
    assert text.feed("] you") == "[face:joy] you"


@pytest.mark.parametrize(
    ("name", "vrm0"), [("happy", "joy"), ("sad", "sorrow"), ("relaxed", "fun"), ("angry", "angry")]
)
def test_faces_have_their_elder_names(name: str, vrm0: str) -> None:
    """VRM 0 calls some of VRM 1's faces otherwise."""
    assert write_tag(ExpressionTag(name, 0), "face") == f"[face:{vrm0}]"


@pytest.mark.parametrize(
    ("model", "taken_apart"),
    [
        ("aoi", ("aoi", None)),
        ("aoi+face", ("aoi", "face")),
        ("engine@aoi+act", ("engine@aoi", "act")),
        ("llama+instruct", ("llama+instruct", None)),
        ("llama+instruct+olv", ("llama+instruct", "olv")),
        ("+face", ("+face", None)),
        ("aoi+", ("aoi+", None)),
    ],
)
def test_a_models_name_may_end_in_a_dialect(
    model: str, taken_apart: tuple[str, TagDialect | None]
) -> None:
    """Anything else behind a plus belongs to the name."""
    assert split_dialect(model) == taken_apart


def test_dialects_go_by_their_names() -> None:
    """And by nothing else."""
    assert [dialect_of(name) for name in TAG_DIALECTS] == list(TAG_DIALECTS)
    assert dialect_of("Face") is None
