"""Forms in, their one file or a clear refusal out."""

from __future__ import annotations

import contextlib
import random

import httpx
import pytest

from server.http.multipart import MAX_PARTS, read_file
from server.http.refusals import HttpRefusal


def sent(**arguments: object) -> tuple[str, bytes]:
    """A form as httpx writes it: its type and its body."""
    request = httpx.Request("POST", "http://x", **arguments)  # type: ignore[arg-type]
    return request.headers["content-type"], request.read()


def test_a_file_is_found_among_fields() -> None:
    """Whatever bytes it holds."""
    content = random.Random(1).randbytes(50_000) + b"\r\n--\r\n\r\n"
    form = sent(data={"note": "x"}, files={"card": ("葵.png", content, "image/png")})
    file = read_file(*form)
    assert (file.name, file.content) == ("葵.png", content)


def test_an_empty_file_is_a_file() -> None:
    """What it is worth is for others to say."""
    assert read_file(*sent(files={"f": ("a.png", b"")})).content == b""


def test_a_boundary_may_be_quoted() -> None:
    """As some clients write it."""
    head = b'content-disposition: form-data; name="f"; filename="a"'
    body = b"--a b\r\n" + head + b"\r\n\r\nx\r\n--a b--\r\n"
    assert read_file('multipart/form-data; BOUNDARY="a b"', body).content == b"x"


@pytest.mark.parametrize("name", ["../../x.png", "C:\\dir\\x.png", "x\x07.png"])
def test_of_a_name_only_the_last_part_is_told(name: str) -> None:
    """And nothing that a terminal would act on."""
    head = f'Content-Disposition: form-data; name="f"; filename="{name}"'.encode()
    body = b"--b\r\n" + head + b"\r\n\r\nx\r\n--b--\r\n"
    assert read_file("multipart/form-data; boundary=b", body).name == "x.png"


def part(head: str = 'Content-Disposition: form-data; name="f"; filename="a"') -> bytes:
    """One part of a form whose boundary is ``b``."""
    return b"--b\r\n" + head.encode() + b"\r\n\r\nx\r\n"


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("multipart/form-data", part() + b"--b--", "no boundary"),
        ("multipart/form-data; boundary=" + "x" * 71, b"", "no boundary"),
        ("multipart/form-data; boundary=b", b"", "not begin"),
        ("multipart/form-data; boundary=b", b"--b", "last boundary"),
        ("multipart/form-data; boundary=b", b"--b--", "last boundary"),
        ("multipart/form-data; boundary=b", part(), "last boundary"),
        ("multipart/form-data; boundary=b", part() * 2 + b"--b--", "2 files"),
        ("multipart/form-data; boundary=b", part() * 99 + b"--b--", f"more than {MAX_PARTS}"),
        ("multipart/form-data; boundary=b", part("X: y") + b"--b--", "0 files"),
        ("multipart/form-data; boundary=b", part("X" * 9999) + b"--b--", "no head"),
        ("multipart/form-data; boundary=b", b"--b\r\nX\r\n--b--", "no head"),
        ("multipart/form-data; boundary=b", b"--bX: y\r\n\r\nx\r\n--b--", "no head"),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(content_type: str, body: bytes, words: str) -> None:
    """One code, and what is wrong."""
    with pytest.raises(HttpRefusal, match=words) as caught:
        read_file(content_type, body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_form")


def test_any_bytes_end() -> None:
    """With a file or a refusal, whatever a form's parts are cut to."""
    random_bytes = random.Random(7)
    pieces = [b"--b", b"\r\n", b"\r\n\r\n", b"--", part(), b"x", b"filename=", b'"', b"\0"]
    for _ in range(500):
        body = b"".join(random_bytes.choices(pieces, k=random_bytes.randrange(12)))
        with contextlib.suppress(HttpRefusal):
            assert read_file("multipart/form-data; boundary=b", body).name
