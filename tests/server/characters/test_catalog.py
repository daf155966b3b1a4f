"""Names in, choices out; characters that come and go while the catalog is in use."""

from __future__ import annotations

import pytest

from server.characters.card_file import character_from_card
from server.characters.catalog import Catalog, ResolvedModel
from server.characters.character import Character
from server.characters.uploads import Uploads
from server.errors import CharacterTaken, LimitExceeded, ModelNotFound
from tests.support.cards import make_card

AOI, MIA = Character.from_prompt("aoi", "You are Aoi."), Character.from_prompt("mia", "")
CATALOG = Catalog("org/demo@v1", [AOI, MIA])


def made(id: str) -> Character:
    """A character of a card."""
    return character_from_card(make_card(id), id=id)


@pytest.fixture
def catalog() -> Catalog:
    """With one character of the operator's, and one that alice has sent."""
    catalog = Catalog("tiny", [AOI])
    catalog.put_upload(made("mika"), "alice")
    return catalog


def test_whoever_sent_a_character_talks_to_it(catalog: Catalog) -> None:
    """By its id, with and without the engine's name."""
    mika = catalog.find("mika", "alice")
    assert mika is not None
    assert catalog.resolve("mika", principal="alice").character is mika
    assert catalog.resolve("tiny@mika", principal="alice").character is mika
    assert [one.id for one in catalog.characters_of("alice")] == ["aoi", "mika"]
    assert catalog.model_names_of("alice") == ["aoi", "mika", "tiny"]
    assert catalog.knows("mika", "alice")


@pytest.mark.parametrize("principal", ["", "bob", "Alice"])
def test_nobody_else_learns_of_it(catalog: Catalog, principal: str) -> None:
    """Neither by asking nor by what refusals list."""
    assert catalog.find("mika", principal) is None
    assert not catalog.knows("mika", principal)
    with pytest.raises(ModelNotFound) as caught:
        catalog.resolve("mika", principal=principal)
    assert caught.value.known == ["aoi", "tiny"]
    assert catalog.characters_of(principal) == (AOI,)


def test_nothing_that_is_not_said_is_anybodys(catalog: Catalog) -> None:
    """A caller that forgets to say who asks sees the operator's alone."""
    assert catalog.model_names == ["aoi", "tiny"]
    assert "mika" not in catalog
    assert catalog.characters == (AOI,)


@pytest.mark.parametrize("id", ["aoi", "tiny"])
def test_the_operators_names_cannot_be_taken(catalog: Catalog, id: str) -> None:
    """A stranger's card never answers in their place."""
    with pytest.raises(CharacterTaken, match="choose another id"):
        catalog.put_upload(made(id), "alice")
    assert catalog.find("aoi", "alice") is AOI


def test_what_somebody_sent_can_be_replaced_and_removed(catalog: Catalog) -> None:
    """By whoever sent it; the operator's cannot."""
    new = made("mika")
    assert catalog.put_upload(new, "alice")
    assert catalog.find("mika", "alice") is new
    assert not catalog.remove_upload("mika", "bob")
    assert catalog.remove_upload("mika", "alice")
    assert not catalog.remove_upload("aoi", "alice")
    assert catalog.find("mika", "alice") is None


def test_the_default_is_never_somebodys_own(catalog: Catalog) -> None:
    """Who names nothing gets the operator's first."""
    bare = Catalog("tiny", [])
    bare.put_upload(made("mika"), "alice")
    assert bare.resolve(None, principal="alice").character is None
    assert catalog.resolve("", principal="alice").character is AOI


def test_a_full_catalog_refuses() -> None:
    """As its uploads do; nothing is changed."""
    catalog = Catalog("tiny", [], uploads=Uploads(max_characters=0))
    with pytest.raises(LimitExceeded):
        catalog.check_upload(made("mika"), "alice")


@pytest.mark.parametrize(
    ("model", "character"),
    [
        ("aoi", AOI),
        ("mia", MIA),
        ("org/demo@v1", None),
        ("org/demo@v1@mia", MIA),
        ("", AOI),
        (None, AOI),
    ],
)
def test_a_model_is_a_character_an_engine_or_both(
    model: str | None, character: Character | None
) -> None:
    """R9, and the first character for a client that names nothing."""
    assert CATALOG.resolve(model) == ResolvedModel(model or "aoi", "org/demo@v1", character)


@pytest.mark.parametrize(
    "model", ["gpt-4o", "AOI", "org/demo@v1@", "other@aoi", "aoi ", "x" * 9999]
)
def test_an_unknown_model_is_refused_with_what_there_is(model: str) -> None:
    """The message lists the models, and does not repeat a huge name."""
    with pytest.raises(ModelNotFound) as caught:
        CATALOG.resolve(model)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "aoi, mia, org/demo@v1" in caught.value.message
    assert len(caught.value.message) < 300


def test_a_catalog_may_have_no_characters() -> None:
    """A bare engine answers for itself."""
    bare = Catalog("demo", [])
    assert bare.resolve(None) == ResolvedModel("demo", "demo")
    assert bare.model_names == ["demo"]
    assert bare.default_character is None


def test_two_characters_of_one_id_are_refused() -> None:
    """Silently answering with one of them would be worse."""
    with pytest.raises(ValueError, match="aoi"):
        Catalog("demo", [AOI, AOI])
