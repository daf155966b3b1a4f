"""What an image installs first."""

from __future__ import annotations

import pytest

from server.config.shipped import REPOSITORY
from tools.list_requirements import list_requirements

PYPROJECT = REPOSITORY / "pyproject.toml"


def test_it_is_everything_but_torch() -> None:
    """Torch comes from an index of its own."""
    names = [one.split(">")[0] for one in list_requirements(PYPROJECT, [])]
    assert "websockets" in names
    assert "torch" not in names


def test_extras_are_added_by_name() -> None:
    """Those that are asked for, and no others."""
    plain, more = list_requirements(PYPROJECT, []), list_requirements(PYPROJECT, ["zh"])
    assert [one for one in more if one not in plain] == ["pypinyin>=0.55,<1"]
    with pytest.raises(KeyError):
        list_requirements(PYPROJECT, ["nonsense"])
