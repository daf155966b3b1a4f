"""Operators see which keys there are, and nobody sees what they are."""

from __future__ import annotations

import httpx

from server.auth.keys import ApiKey, KeyLimits, Scope, digest_of
from server.http.app import build_http_app
from tests.server.http.conftest import PAGE
from tests.server.http.rooms import make_state
from tests.support.fake_engine import FakeEngine
from tests.support.keys import plain_key

ROOT = ApiKey(
    name="root",
    digest=digest_of("sk-root"),
    scopes=frozenset({Scope.ADMIN}),
    limits=KeyLimits(max_connections=2),
    not_before=0.0,
    expires=1e12,
)
OLD = ApiKey(name="old", digest=digest_of("sk-old"), expires=1.0)


async def test_an_operator_sees_what_each_key_may_do() -> None:
    """And whether it is good, but nothing that tells the key."""
    app = build_http_app(make_state(FakeEngine(), keys=[ROOT, OLD]), web_files=PAGE)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/v1/admin/keys", headers={"authorization": "Bearer sk-root"})
    first, second = answer.json()["data"]
    assert first == {
        "object": "key",
        "name": "root",
        "scopes": ["admin"],
        "limits": {
            "max_connections": 2,
            "max_concurrent_responses": None,
            "requests_per_min": None,
            "tokens_per_min": None,
        },
        "not_before": 0,
        "expires": 10**12,
        "is_good": True,
    }
    assert (second["name"], second["is_good"]) == ("old", False)
    assert ROOT.digest.hex() not in answer.text


async def test_nobody_else_does() -> None:
    """A usual key is no operator's, and where no key is needed nobody is one."""
    for keys, headers in (([plain_key("a", "sk")], {"authorization": "Bearer sk"}), ([], {})):
        app = build_http_app(make_state(FakeEngine(), keys=keys), web_files=PAGE)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.get("/v1/admin/keys", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")
