"""The page: a fixed map and nothing else."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from server.http.pages import MAX_FILE_BYTES, read_web_files


async def test_the_page_and_its_files_are_served(client: httpx.AsyncClient) -> None:
    """The root is the page; its files have their types."""
    page = await client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    script = await client.get("/static/app.js")
    assert (script.text, script.headers["content-type"]) == (
        "start();",
        "text/javascript; charset=utf-8",
    )


async def test_the_page_may_load_only_its_own(client: httpx.AsyncClient) -> None:
    """The policy is the strictest one that the page can live with."""
    assert (await client.get("/")).headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; "
        "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


async def test_a_known_version_is_not_sent_again(client: httpx.AsyncClient) -> None:
    """The browser asks with its tag and gets 304."""
    first = await client.get("/")
    again = await client.get("/", headers={"if-none-match": f'"x", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")


async def test_head_tells_the_length(client: httpx.AsyncClient) -> None:
    """HEAD is GET without the words."""
    answer = await client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "15"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../etc/passwd",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2fpages.py",
        "/static//etc/passwd",
        "/static/app.js%00",
        "/static/",
        "/static/APP.JS",
        "/../etc/passwd",
        "//etc/passwd",
        "/index.html",
    ],
)
async def test_nothing_else_is_found(client: httpx.AsyncClient, path: str) -> None:
    """No spelling of a path reaches the file system."""
    answer = await client.get(httpx.URL(f"http://localhost{path}"))
    assert answer.status_code == 404
    assert "root:" not in answer.text


def test_only_known_plain_files_are_read(tmp_path: Path) -> None:
    """Links, hidden files, sources and giants stay out; folders are walked."""
    (tmp_path / "art").mkdir()
    (tmp_path / "art" / "face.svg").write_text("<svg/>")
    (tmp_path / "style.css").write_text("a{}")
    (tmp_path / "notes.py").write_text("secret")
    (tmp_path / ".hidden.js").write_text("secret")
    (tmp_path / "linked.js").symlink_to(tmp_path / "notes.py")
    with (tmp_path / "giant.png").open("wb") as giant:
        giant.truncate(MAX_FILE_BYTES + 1)
    files = read_web_files(tmp_path)
    assert {name: file.media_type for name, file in files.items()} == {
        "art/face.svg": "image/svg+xml",
        "style.css": "text/css; charset=utf-8",
    }


def test_a_missing_folder_leaves_the_api_alone(tmp_path: Path) -> None:
    """A server without its page still answers."""
    assert read_web_files(tmp_path / "nowhere") == {}


def test_the_shipped_page_is_complete() -> None:
    """Every file that the page names is in the map."""
    files = read_web_files()
    page = files["index.html"].content.decode()
    named = [part.split('"')[0] for part in page.split('"/static/')[1:]]
    assert named
    assert set(named) <= set(files)
