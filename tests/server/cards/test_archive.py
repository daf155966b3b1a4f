"""Zips of strangers, read in memory with a hard bound."""

from __future__ import annotations

import io
import zipfile

import pytest

from server.cards.archive import (
    MAX_MEMBERS,
    MAX_PATH_LENGTH,
    MAX_UNPACKED_BYTES,
    SMALL_BYTES,
    check_path,
    fold_path,
    is_archive,
    read_archive,
    write_archive,
)
from server.errors import CardError
from tools.cards.raw_zip import Member, raw_zip

ONE = Member("one", b"1")


def refusal(data: bytes) -> str:
    """Return the code by which a zip is refused."""
    with pytest.raises(CardError) as caught:
        read_archive(data)
    return caught.value.code


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_others_pack_is_unpacked(method: int) -> None:
    """Without its folders, and in its order."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("b/", b"")
        archive.writestr("b/顔.png", b"face" * 99)
        archive.writestr("a", b"")
    assert list(read_archive(file.getvalue()).items()) == [("b/顔.png", b"face" * 99), ("a", b"")]


def test_what_is_packed_is_unpacked() -> None:
    """Also by others, and a member that packs too well for a reader's trust."""
    members = {"card.json": b"{}", "顔/a.bin": bytes(range(256)), "zeros": bytes(3 * SMALL_BYTES)}
    data = write_archive(members)
    assert read_archive(data) == members
    assert write_archive(members) == data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None


def test_sizes_may_follow_the_data() -> None:
    """As streaming programs write them; the directory has them too."""
    data = raw_zip([Member("a", b"abc" * 99, deflate=True, follows=True), ONE])
    assert read_archive(data) == {"a": b"abc" * 99, "one": b"1"}


def test_names_of_old_programs_are_read() -> None:
    """UTF-8 without saying so, or code page 437."""
    data = raw_zip([Member("caf\u00e9", b"1")])
    old = data.replace("caf\u00e9".encode(), b"caf\x82x").replace(b"\0\x08", b"\0\0")
    assert list(read_archive(old)) == ["caf\u00e9x"]


def test_a_zip_behind_a_picture_is_found() -> None:
    """All its places are told from its own beginning."""
    data = b"\xff\xd8\xff\xe0 a JPEG" + raw_zip([ONE])
    assert is_archive(data)
    assert read_archive(data) == {"one": b"1"}


def test_only_zips_are_zips() -> None:
    """Pictures are pictures, also with letters like a zip's in them."""
    assert is_archive(raw_zip([ONE]))
    assert not is_archive(b"\xff\xd8\xff a picture PK\5\6 without a zip")
    assert not is_archive(b'{"PK": 1}')


def test_a_comment_is_passed_over() -> None:
    """Also one that looks like an end record."""
    data = bytearray(raw_zip([ONE]))
    comment = b"PK\5\6" + b"x" * 30
    data[-2:] = len(comment).to_bytes(2, "little")
    assert read_archive(bytes(data) + comment) == {"one": b"1"}


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ([ONE, Member("a", bytes(2 * SMALL_BYTES), deflate=True)], "card_zip_bomb"),
        ([Member("a", b"", told_size=MAX_UNPACKED_BYTES + 1)], "card_zip_bomb"),
        ([Member("a", bytes(9999), deflate=True, told_size=99)], "card_zip_bomb"),
        ([Member("a", b"abc", told_size=2)], "card_zip_bomb"),
        ([Member("a", b"abc", local_size=4)], "card_zip_bomb"),
        ([Member("a", b"x" * 99), Member("b", b"", at=-1)], "card_zip_bomb"),
        ([Member(str(n), b"") for n in range(MAX_MEMBERS + 1)], "card_too_many_entries"),
        ([ONE, ONE], "card_bad_path"),
        ([ONE, Member("ONE", b"")], "card_bad_path"),
        ([ONE, Member("one/", b"")], "card_bad_path"),
        ([Member("a", b"/etc", mode=0o120777)], "card_bad_path"),
        ([Member("a", b"x", flags=0x1)], "card_unsupported"),
        ([Member("a", b"x", method=12)], "card_unsupported"),
        ([Member("a", b"", told_size=0xFFFFFFFF)], "card_unsupported"),
        ([Member("a", b"x", crc=1)], "card_bad_checksum"),
        ([Member("a", b"x", local_name="b")], "card_bad_container"),
        ([Member("a", b"garbage", method=8)], "card_bad_container"),
        ([ONE, Member("a", b"x", told_packed=999, told_size=999)], "card_bad_container"),
        ([ONE, Member("a", b"", at=2)], "card_bad_container"),
        ([Member("a", b"abc", deflate=True, told_size=4)], "card_bad_container"),
    ],
)
def test_hostile_members_are_refused(members: list[Member], code: str) -> None:
    """Where a statement is false, and where it is true and too much."""
    assert refusal(raw_zip(members)) == code


def test_structures_must_agree() -> None:
    """Of the end record, the directory and the file."""
    assert refusal(raw_zip([ONE], told_count=2)) == "card_bad_container"
    assert refusal(raw_zip([ONE, Member("a", b"")], told_count=1)) == "card_bad_container"
    assert refusal(raw_zip([ONE], shift=1)) == "card_bad_container"
    assert refusal(raw_zip([ONE])[:-1]) == "card_bad_container"
    assert refusal(raw_zip([ONE], disk=1)) == "card_unsupported"
    assert refusal(raw_zip([ONE], before_end=b"PK\6\7" + bytes(16))) == "card_unsupported"


def test_names_that_say_utf8_are_utf8() -> None:
    """What is not cannot be told apart by people."""
    data = raw_zip([Member("caf\u00e9", b"1")]).replace("caf\u00e9".encode(), b"caf\x82x")
    assert refusal(data) == "card_bad_path"


@pytest.mark.parametrize("path", ["a", "a/b.png", "顔/あ .png", "assets/", "..a", "a" * 240])
def test_plain_paths_are_taken(path: str) -> None:
    """In any script."""
    check_path(path)


@pytest.mark.parametrize(
    "path",
    ["", "/", "/a", "../a", "a/../b", "./a", "a//b", "a\\b", "c:a", "a\0b", "a\nb", "a./b", "a /b"],
)
def test_other_paths_are_refused(path: str) -> None:
    """Never repaired: what is refused cannot be misunderstood."""
    with pytest.raises(CardError) as caught:
        check_path(path)
    assert caught.value.code == "card_bad_path"


def test_long_paths_are_refused() -> None:
    """Folders counted."""
    with pytest.raises(CardError, match="240"):
        check_path("a/" * (MAX_PATH_LENGTH // 2) + "b")


def test_paths_are_folded_as_file_systems_do() -> None:
    """Case, and forms of the same letter."""
    assert fold_path("Caf\u00e9/A") == fold_path("cafe\u0301/a")
    assert fold_path("a/") == fold_path("A")
