"""Names in, ids out."""

from __future__ import annotations

import pytest

from server.characters.ids import MAX_ID, is_id, make_id


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("Mika", "mika"),
        ("Dr. Mika  Sato", "dr.-mika-sato"),
        ("José", "jose"),
        ("../../etc/passwd", "etc-passwd"),
        ("x" * 500, "x" * MAX_ID),
        ("_-R2D2-_", "r2d2"),
    ],
)
def test_a_latin_name_is_spelt_out(name: str, id: str) -> None:
    """In lower case and without accents; nothing of a path is left."""
    assert make_id(name) == id


@pytest.mark.parametrize("name", ["葵", "葵 Aoi", "Мика", "🙂", "...", " "])
def test_any_other_name_becomes_a_hash(name: str) -> None:
    """The same at all times, and an id in any case."""
    assert make_id(name).startswith("card-")
    assert make_id(name) == make_id(name + " ")
    assert is_id(make_id(name))


def test_different_names_have_different_ids() -> None:
    """A hash of six digits tells a few hundred apart."""
    assert len({make_id(f"葵{n}") for n in range(200)}) == 200


@pytest.mark.parametrize("text", ["", ".a", "-a", "A", "a/b", "a b", "a" * 65, "あ", "a\n"])
def test_what_is_no_id_is_told(text: str) -> None:
    """Ids are file names and parts of URLs."""
    assert not is_id(text)
