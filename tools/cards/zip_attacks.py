"""Hostile zips by class: false sizes, false names, and what is not read."""

from __future__ import annotations

from server.cards.archive import MAX_MEMBERS, MAX_PATH_LENGTH
from tools.cards.material import CARD, MIB, Table, b64, carrying, png
from tools.cards.raw_zip import Member, raw_zip

CARD_MEMBER = Member("card.json", CARD)


def zip_bombs() -> Table:
    """Sizes that are too large, or not true."""
    code = "card_zip_bomb"
    zeros = Member("a.bin", bytes(8 * MIB), deflate=True)
    return {
        "ratio of an asset": (code, lambda: raw_zip([CARD_MEMBER, zeros])),
        "ratio of the card": (
            code,
            lambda: raw_zip([Member("card.json", CARD + b" " * 8 * MIB, deflate=True)]),
        ),
        "more than all may come to": (
            code,
            lambda: raw_zip(
                [CARD_MEMBER, *(Member(f"{n}", CARD, told_size=40 * MIB) for n in range(2))]
            ),
        ),
        "more comes out than is told": (
            code,
            lambda: raw_zip([CARD_MEMBER, Member("a", bytes(MIB), deflate=True, told_size=100)]),
        ),
        "more comes out, sizes follow": (
            code,
            lambda: raw_zip(
                [Member("card.json", CARD * 999, deflate=True, told_size=99, follows=True)]
            ),
        ),
        "stored with two sizes": (
            code,
            lambda: raw_zip([CARD_MEMBER, Member("a", b"abc", told_size=MIB // 2)]),
        ),
        "headers that differ": (
            code,
            lambda: raw_zip([CARD_MEMBER, Member("a", b"abc", local_size=9)]),
        ),
        "members that share bytes": (
            code,
            lambda: raw_zip([CARD_MEMBER, Member("a", b"x" * 900), Member("b", b"", at=-1)]),
        ),
        "one member a thousand times": (
            "card_bad_container",  # all its names but one are not those of the member
            lambda: raw_zip([CARD_MEMBER, *(Member(f"a{n}", b"", at=0) for n in range(999))]),
        ),
        "too many members": (
            "card_too_many_entries",
            lambda: raw_zip([CARD_MEMBER, *(Member(f"{n}", b"") for n in range(MAX_MEMBERS))]),
        ),
    }


def paths() -> Table:
    """Names that lead elsewhere or stand for two files, also those in pictures and JSON."""
    paths = {
        "absolute": "/etc/passwd",
        "upwards": "../../etc/passwd",
        "upwards later": "a/../../b",
        "a dot": "./a",
        "backslash": "..\\..\\a",
        "drive": "C:/a",
        "drive without slash": "c:a",
        "NUL": "a.png\0.exe",
        "control character": "a\x1b[2J",
        "empty part": "a//b",
        "empty": "",
        "dots and blanks": "a/.. /b",
        "too long": "a" * (MAX_PATH_LENGTH + 1),
        "nested too deeply": "a/" * MAX_PATH_LENGTH + "b",
        "twice": "card.json",
        "other case": "CARD.json",
    }
    code = "card_bad_path"
    table: Table = {
        name: (code, lambda path=path: raw_zip([CARD_MEMBER, Member(path, b"x")]))  # type: ignore[misc]
        for name, path in paths.items()
    }
    one, two = "caf\u00e9", "cafe\u0301"
    mark = b"chara-ext-asset_:"
    return table | {
        "other form of a letter": (
            code,
            lambda: raw_zip([CARD_MEMBER, Member(one, b"x"), Member(two, b"x")]),
        ),
        "link": (code, lambda: raw_zip([CARD_MEMBER, Member("a", b"/etc", mode=0o120777)])),
        "device": (code, lambda: raw_zip([CARD_MEMBER, Member("a", b"", mode=0o020666)])),
        "upwards in a picture": (code, lambda: png({"ccv3": b64(CARD)}, mark + b"../a\0eA==")),
        "twice in a picture": (
            code,
            lambda: png({"ccv3": b64(CARD)}, mark + b"a\0eA==", mark + b"A\0eA=="),
        ),
        "upwards in JSON": (code, lambda: carrying({"files": {"../a": "eA=="}})),
    }


def foreign_zips() -> Table:
    """What is sound and not taken."""
    code = "card_unsupported"
    locator = b"PK\6\7" + bytes(16)
    return {
        "encrypted": (code, lambda: raw_zip([Member("card.json", CARD, flags=1)])),
        "strongly encrypted": (code, lambda: raw_zip([Member("card.json", CARD, flags=0x41)])),
        "patched": (code, lambda: raw_zip([Member("card.json", CARD, flags=0x20)])),
        "bzip2": (code, lambda: raw_zip([Member("card.json", CARD, method=12)])),
        "unknown method": (code, lambda: raw_zip([Member("card.json", CARD, method=99)])),
        "ZIP64": (code, lambda: raw_zip([CARD_MEMBER], before_end=locator)),
        "ZIP64 sizes": (
            code,
            lambda: raw_zip([CARD_MEMBER, Member("a", b"", told_size=0xFFFFFFFF)]),
        ),
        "many parts": (code, lambda: raw_zip([CARD_MEMBER], disk=1)),
    }


def broken_zips() -> Table:
    """Structures that break off or contradict each other."""
    code = "card_bad_container"
    sound = raw_zip([CARD_MEMBER, Member("a", b"abc" * 99, deflate=True)])
    return {
        "cut": (code, lambda: sound[:-30]),
        "only a beginning": (code, lambda: sound[:4]),
        "more members told": (code, lambda: raw_zip([CARD_MEMBER], told_count=2)),
        "fewer members told": (code, lambda: raw_zip([CARD_MEMBER, CARD_MEMBER], told_count=1)),
        "directory elsewhere": (code, lambda: raw_zip([CARD_MEMBER], shift=99)),
        "member elsewhere": (code, lambda: raw_zip([CARD_MEMBER, Member("a", b"", at=3)])),
        "two names": (code, lambda: raw_zip([CARD_MEMBER, Member("a", b"x", local_name="b")])),
        "into the directory": (
            code,
            lambda: raw_zip([CARD_MEMBER, Member("a", b"x", told_packed=999, told_size=999)]),
        ),
        "no deflate": (code, lambda: raw_zip([Member("card.json", CARD, method=8)])),
        "checksum": ("card_bad_checksum", lambda: raw_zip([Member("card.json", CARD, crc=1)])),
    }
