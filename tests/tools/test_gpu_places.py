"""Where peers are found."""

from __future__ import annotations

import lzma
import sys
from pathlib import Path

import pytest

from tools.gpu.options import Options
from tools.gpu.places import Place, flash3_path, place_of
from tools.gpu.results import NotHere


def options_of(tmp_path: Path, **peers: str) -> Options:
    """A run that was told of these."""
    return Options(scratch=str(tmp_path / "scratch"), peers=peers)


def test_a_peer_is_a_folder_or_an_interpreter(tmp_path: Path) -> None:
    """Named by its path."""
    options = options_of(tmp_path, vllm=str(tmp_path))
    assert place_of("vllm", options) == Place(path=[str(tmp_path)])
    assert place_of("vllm", options_of(tmp_path, vllm=sys.executable)) == Place(sys.executable)


@pytest.mark.parametrize("name", ["gpt-fast", "nano-vllm"])
def test_one_that_is_not_here_says_how_to_bring_it(tmp_path: Path, name: str) -> None:
    """And so does one that is not where it was said to be."""
    with pytest.raises(NotHere, match=f"--peer {name}=PATH"):
        place_of(name, options_of(tmp_path))
    with pytest.raises(NotHere, match="neither a folder nor an interpreter"):
        place_of(name, options_of(tmp_path, **{name: str(tmp_path / "nowhere")}))


def test_with_a_library_others_find_flash_attention(tmp_path: Path) -> None:
    """Unpacked, and under the names by which they import it."""
    packed = tmp_path / "fa3.so.xz"
    packed.write_bytes(lzma.compress(b"library"))
    options = options_of(tmp_path, **{"flash-attn-3": str(packed), "nano-vllm": str(tmp_path)})
    (folder,) = flash3_path(options)
    assert place_of("nano-vllm", options).path == [str(tmp_path), folder]
    text = (Path(folder) / "flash_attn_interface.py").read_text(encoding="utf-8")
    (library,) = (tmp_path / "scratch").rglob("fa3.so")
    assert str(library) in text
    assert library.read_bytes() == b"library"
    assert flash3_path(options_of(tmp_path)) == []
