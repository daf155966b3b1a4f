"""``kaiwa card``: what it tells, what it writes, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.__main__ import main
from server.cards.read import read_card, read_lorebook
from server.config.shipped import DEMO_CHARACTERS
from tests.support.cards import book, card_json, card_png, entry


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    code = main(["card", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.fixture
def mika(tmp_path: Path) -> Path:
    """A card with something of everything."""
    file = tmp_path / "mika.png"
    file.write_bytes(
        card_png(
            description="A keeper.",
            first_mes="Hi.",
            alternate_greetings=["Yo."],
            group_only_greetings=["All!"],
            post_history_instructions="Brief.",
            creator_notes="SECRET\x1b[2J",
            tags=["calm"],
            character_book=book(entry("Always.", constant=True), entry("x", "k")),
            extensions={"depth_prompt": {}, "kaiwa": {"sampling": {"temperature": 0.5}}},
        )
    )
    return file


def test_a_card_is_told_of(capsys: pytest.CaptureFixture[str], mika: Path) -> None:
    """Name, kind, sizes, lore, picture, and what no model reads."""
    code, out, err = run(capsys, mika)
    assert (code, err) == (0, "")
    rows = [line.split(maxsplit=1) for line in out.splitlines()]
    assert ["name", "Mika"] in rows
    assert ["greetings", "2"] in rows
    assert ["lore", "2 entries: 1 always, 1 when they come up"] in rows
    assert ["picture", "image/png, 16 by 16 pixels"] in rows
    assert ["sampling", "temperature 0.5"] in rows
    assert "Character Card V3.0 as png" in out
    assert "6 behind what was said" in out
    assert "1 for rooms of several" in out
    for unread in ("creator_notes", "tags", "extensions.depth_prompt"):
        assert unread in out


def test_what_a_card_says_cannot_steer_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Names of characters and fields come from strangers."""
    file = tmp_path / "x.json"
    file.write_bytes(card_json("\x1b[2Jx\n" + "y" * 200, **{"\x1b]0;z\x07": 1}))
    code, out, _ = run(capsys, file)
    assert code == 0
    assert all(one.isprintable() or one == "\n" for one in out)
    assert max(map(len, out.splitlines())) < 400


def test_a_character_of_our_own_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    """It is no card, and can be one."""
    code, out, _ = run(capsys, DEMO_CHARACTERS / "aoi.toml")
    assert code == 0
    assert "a character of this server's own kind" in out


@pytest.mark.parametrize(
    ("suffix", "spec"), [("json", "v2"), ("json", "v1"), ("png", None), ("charx", None)]
)
def test_a_card_is_written_in_another_format(
    capsys: pytest.CaptureFixture[str], mika: Path, suffix: str, spec: str | None
) -> None:
    """By the new file's name; all of it can be read again."""
    target = mika.with_name(f"new.{suffix}")
    code, out, _ = run(capsys, mika, "--to", target, *(["--spec", spec] if spec else []))
    assert (code, out.split(":")[0]) == (0, str(target))
    card = read_card(target.read_bytes(), file="x")
    assert card.text("description") == "A keeper."
    assert card.extensions["depth_prompt"] == {}


def test_a_file_is_not_written_over(capsys: pytest.CaptureFixture[str], mika: Path) -> None:
    """Unless somebody says so."""
    code, _, err = run(capsys, mika, "--to", mika)
    assert (code, "--force" in err) == (2, True)
    assert run(capsys, mika, "--to", mika, "--force")[0] == 0


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.png", card_png()[:-20], "x.png: "),
        ("x.json", b"{" * 99_999, "x.json: "),
        ("x.charx", b"PK\x03\x04" + b"\0" * 99, "x.charx: "),
        ("x.toml", b"name = ", "x.toml: is not TOML"),
        ("x.gif", b"GIF89a", "x.gif: the file begins with"),
    ],
)
def test_a_file_that_is_none_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    """One sentence, exit code 2, no traceback."""
    (tmp_path / name).write_bytes(content)
    code, out, err = run(capsys, tmp_path / name)
    assert (code, out) == (2, "")
    assert err.startswith("kaiwa: ")
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("target", "words"), [("x.gif", "no format of a card"), ("no/x.png", "cannot be written")]
)
def test_a_target_that_is_none_is_refused(
    capsys: pytest.CaptureFixture[str], mika: Path, target: str, words: str
) -> None:
    """With what would do."""
    code, _, err = run(capsys, mika, "--to", mika.parent / target)
    assert (code, words in err) == (2, True)


def test_a_version_that_a_format_has_not_is_refused(
    capsys: pytest.CaptureFixture[str], mika: Path
) -> None:
    """JSON has them; nothing is written."""
    code, _, err = run(capsys, mika, "--to", mika.with_suffix(".charx"), "--spec", "v2")
    assert (code, "version 2 of charx" in err) == (2, True)
    assert not mika.with_suffix(".charx").exists()


def test_a_lorebook_is_taken_out(
    capsys: pytest.CaptureFixture[str], mika: Path, tmp_path: Path
) -> None:
    """Into a file of its own, and never over one that is there."""
    target = tmp_path / "lore.json"
    code, out, _ = run(capsys, mika, "--lorebook", target)
    assert (code, out.startswith(f"{target}: ")) == (0, True)
    assert len(read_lorebook(target.read_bytes(), file="lore").entries) == 2
    code, _, err = run(capsys, mika, "--lorebook", target)
    assert (code, "--force" in err) == (2, True)
