"""``kaiwa record`` takes what ``kaiwa serve`` takes, and a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ConfigError
from server.__main__ import main
from server.config.recording import RecordConfig
from server.record_command import check_named

pytestmark = pytest.mark.usefixtures("root_logger")


def test_help_shows_what_it_has_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the options of ``kaiwa serve``."""
    with pytest.raises(SystemExit) as left:
        main(["record", "--help"])
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert all(option in told for option in ("--dir", "--text", "--consent", "--model", "--port"))
    assert "kaiwa record --dir wire-logs --text redacted" in told


def test_a_folder_has_to_be_named() -> None:
    """On the command line, or in the settings."""
    with pytest.raises(ConfigError, match="--dir"):
        check_named(RecordConfig())
    check_named(RecordConfig(dir=Path("logs")))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name one with --dir"),
        (["--dir", "README.md"], "there is a file of that name"),
        (["--dir", "docs"], "others on this machine can look into it"),
    ],
)
def test_a_folder_that_cannot_be_used_exits_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """Before anything is loaded, in one sentence."""
    assert main(["record", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith("kaiwa: ")
    assert words in told
    assert len(told.splitlines()) == 1


def test_what_is_kept_of_words_is_one_of_three(capsys: pytest.CaptureFixture[str]) -> None:
    """Argparse names them."""
    with pytest.raises(SystemExit) as left:
        main(["record", "--dir", "logs", "--text", "some"])
    assert left.value.code == 2
    assert "redacted" in capsys.readouterr().err
