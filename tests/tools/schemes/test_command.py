"""The command line of the five schemes."""

from __future__ import annotations

import pytest

from server.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--policy", "threads,guess"], "'guess' is none of threads, pool"),
        (["--policy=pool", "--rates", "2,-1"], "'2,-1' is not a list of rates"),
        (["--policy=pool", "--rates", "nan"], "'nan' is not a list of rates"),
        (["--policy=pool", "--requests", "0"], "'0' is not a whole number from 1"),
        (["--policy=pool", "--max-wait-ms", "x"], "'x' is not a time"),
        (["--policy=pool", "--svg", "no/such/folder.svg"], "'no/such/folder.svg' is no file"),
        (["--policy=pool", "--json", "docs"], "'docs' is no file"),
        (["--policy=pool", "--model", "nowhere"], "nowhere has no config.json"),
    ],
)
def test_what_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    """With the value and what it may be; the exit code is that of wrong usage."""
    with pytest.raises(SystemExit) as caught:
        main(["bench", *arguments])
    assert caught.value.code == 2
    assert told in capsys.readouterr().err
