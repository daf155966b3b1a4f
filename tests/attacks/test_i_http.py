"""I: HTTP endpoints, 11 cases: paths that lead elsewhere, methods, probes."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.http.pages import read_web_files
from tests.attacks.harness import Target, answer_to, get, target
from tests.support.raw_http import dialled

pytestmark = [
    pytest.mark.slow,
    pytest.mark.wire(only="uvloop"),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/../etc/passwd", 404, id="I01a-up-from-the-root"),
        pytest.param("/static/../../../etc/passwd", 404, id="I01b-up-from-the-page"),
        pytest.param("/%2e%2e/%2e%2e/etc/passwd", 404, id="I02a-escaped-dots"),
        pytest.param("/static/%2e%2e/pages.py", 404, id="I02b-escaped-dots-from-the-page"),
        pytest.param("//etc/passwd", 404, id="I03a-two-slashes"),
        pytest.param("/static//etc/passwd", 404, id="I03b-an-absolute-path"),
        pytest.param("/static/app.js%00.png", 404, id="I04a-escaped-NUL"),
        pytest.param("/static/app.js\0.png", 400, id="I04b-bare-NUL"),
        pytest.param("/static%2f..%2fapp.py", 404, id="I05a-escaped-slash"),
        pytest.param("/static/..%2f..%2fserver%2fauth.py", 404, id="I05b-escaped-slashes"),
        pytest.param("/static/..%5c..%5cserver", 404, id="I05c-backslashes"),
        pytest.param("/v1/characters/..%2faoi/card", 404, id="I05d-a-character-elsewhere"),
        pytest.param("/v1/models/..%2f..%2fetc", 404, id="I05e-a-model-elsewhere"),
    ],
)
async def test_no_path_leads_out_of_the_page(kaiwa: Target, path: str, status: int) -> None:
    """Addresses are looked up as they stand; none is ever joined to a folder."""
    async with kaiwa.attacked():
        answer = await get(kaiwa, path)
    assert answer is not None
    assert answer.status == status
    assert answer.error["code"] in ("not_found", "bad_request", "model_not_found")
    assert b"root:" not in answer.body


async def test_i06_a_symbolic_link_is_not_part_of_the_page(tmp_path: Path) -> None:
    """I06: neither a linked file nor what lies in a linked folder is read."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("<p>")
    (page / "linked.txt").symlink_to(outside / "secret.txt")
    (page / "folder").symlink_to(outside)
    assert list(read_web_files(page)) == ["index.html"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("HEAD", "/", 200, id="I07a-HEAD-of-the-page"),
        pytest.param("HEAD", "/livez", 200, id="I07b-HEAD-of-a-probe"),
        pytest.param("HEAD", "/v1/chat/completions", 405, id="I07c-HEAD-of-a-POST"),
        pytest.param("HEAD", "/v1/nothing", 404, id="I07d-HEAD-of-nothing"),
        pytest.param("OPTIONS", "/v1/chat/completions", 405, id="I08a-OPTIONS"),
        pytest.param("OPTIONS", "*", 404, id="I08b-OPTIONS-of-the-server"),
        pytest.param("TRACE", "/", 405, id="I08c-TRACE"),
    ],
)
async def test_methods_are_those_that_an_address_has(
    kaiwa: Target, method: str, path: str, status: int
) -> None:
    """HEAD has the head of GET and no body; nobody is told what other pages may do."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with kaiwa.attacked(), dialled(kaiwa.address) as (reader, writer):
        writer.write(head.encode())
        answer, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"access-control-allow-origin" not in answer.lower()
    assert (body == b"") == (method == "HEAD")


async def test_i09_a_huge_query_is_refused_and_a_large_one_ignored(kaiwa: Target) -> None:
    """I09: the head has one bound for everybody, and what is within it means nothing here."""
    async with kaiwa.attacked():
        large = await get(kaiwa, "/livez?" + "a=b&" * 2_000)
        huge = await get(kaiwa, "/livez?" + "a=b&" * 20_000)
    assert large is not None
    assert large.status == 200
    assert huge is not None
    assert (huge.status, huge.error["code"]) == (431, "head_too_large")


@pytest.mark.parametrize("header", ["X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1"])
async def test_i10_metrics_are_not_for_who_comes_through_a_proxy(
    kaiwa: Target, header: str
) -> None:
    """I10: they are this machine's own; whoever is forwarded needs a key."""
    head = f"GET /metrics HTTP/1.1\r\nHost: localhost\r\n{header}\r\nConnection: close\r\n\r\n"
    async with kaiwa.attacked():
        answer = await answer_to(kaiwa, head.encode())
    assert answer is not None
    assert (answer.status, answer.error["code"]) == (403, "metrics_not_allowed")


async def test_i11_a_stuck_engine_is_not_ready(kaiwa: Target) -> None:
    """I11: `/readyz` says 503 while there is no progress, `/livez` 200, and both 200 after it."""
    async with kaiwa.attacked():
        await kaiwa.ask("script", seconds_since_progress=31.0)
        stuck = await get(kaiwa, "/readyz")
        await kaiwa.is_alive()
        await kaiwa.ask("script", seconds_since_progress=0.0)
        ready = await get(kaiwa, "/readyz")
    assert stuck is not None
    assert stuck.status == 503
    assert stuck.headers["retry-after"]
    assert ready is not None
    assert ready.status == 200


async def test_i11_a_server_without_its_engine_says_so_until_it_leaves(tmp_path: Path) -> None:
    """I11: never 200 for an engine that is gone; the process ends with 70 when it stays away."""
    async with target(tmp_path) as there:
        await there.ask("die")
        answer = await get(there, "/readyz")
        assert answer is None or answer.status == 503
        assert await there.process.wait() == 70
