"""Keys in front of the API, and metrics for the house."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
from starlette.routing import Route

from server.auth.keys import DEFAULT_SCOPES, ApiKey, Scope, digest_of
from server.config.access import AuthConfig
from server.http.app import build_http_app
from tests.server.http.conftest import PAGE
from tests.server.http.rooms import SpellingEngine, chat_body, make_state
from tests.support.fake_engine import FakeEngine

KEYS = [("alice", "sk-alice")]


def client_for(
    keys: Sequence[tuple[str, str] | ApiKey], host: str = "127.0.0.1"
) -> httpx.AsyncClient:
    """A client at this address of a server with these keys."""
    app = build_http_app(make_state(FakeEngine(), keys=keys), web_files=PAGE)
    transport = httpx.ASGITransport(app, client=(host, 50000))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.fixture
async def locked() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that needs keys."""
    async with client_for(KEYS) as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/aoi", "/v1/characters", "/v1/engine/live"]
)
async def test_lists_need_a_key(locked: httpx.AsyncClient, path: str) -> None:
    """Everything under /v1 does."""
    answer = await locked.get(path)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/realtime/client_secrets"])
@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic sk-alice", "Bearer"])
async def test_posts_need_a_good_key(locked: httpx.AsyncClient, path: str, header: str) -> None:
    """A wrong one is none."""
    answer = await locked.post(path, json=chat_body(), headers={"authorization": header})
    assert answer.status_code == 401
    assert "sk-alice" not in answer.text


async def test_a_good_key_opens(locked: httpx.AsyncClient) -> None:
    """As OpenAI's SDKs send it."""
    headers = {"authorization": "Bearer sk-alice"}
    assert (await locked.get("/v1/models", headers=headers)).status_code == 200
    answer = await locked.post("/v1/chat/completions", json=chat_body(), headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/livez", "/readyz"])
async def test_the_page_and_the_probes_are_open(locked: httpx.AsyncClient, path: str) -> None:
    """Neither browsers nor orchestrators have a key yet."""
    assert (await locked.get(path)).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.8.8"])
async def test_metrics_are_open_to_this_machine(host: str) -> None:
    """A scraper beside the server needs no key."""
    async with client_for(KEYS, host) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert "kaiwa_num_requests_running" in answer.text


async def test_metrics_from_elsewhere_need_a_key() -> None:
    """With keys configured, one of them opens."""
    async with client_for(KEYS, "192.0.2.7") as client:
        assert (await client.get("/metrics")).status_code == 401
        headers = {"authorization": "Bearer sk-alice"}
        assert (await client.get("/metrics", headers=headers)).status_code == 200


@pytest.mark.parametrize("host", ["192.0.2.7", "testclient", ""])
async def test_metrics_from_elsewhere_stay_closed_without_keys(host: str) -> None:
    """Where no key can be shown, nobody else gets in."""
    async with client_for([], host) as client:
        assert (await client.get("/metrics")).status_code == 403


async def test_a_proxy_on_this_machine_is_somebody_else() -> None:
    """A forwarding header says that loopback is not where the request comes from."""
    async with client_for([]) as client:
        answer = await client.get("/metrics", headers={"x-forwarded-for": "192.0.2.7"})
    assert answer.status_code == 403


async def test_prefixes_are_shared_per_key() -> None:
    """Who shares a key shares a cache, and nobody else."""
    engine = SpellingEngine()
    app = build_http_app(make_state(engine, keys=KEYS), web_files={})
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        headers = {"authorization": "Bearer sk-alice"}
        await client.post("/v1/chat/completions", json=chat_body(), headers=headers)
    assert engine.salts == ["alice"]


@pytest.mark.parametrize("path", ["/", "/livez", "/metrics", "/v1/models", "/v1/engine/live"])
async def test_a_rebound_name_reads_nothing(path: str) -> None:
    """On loopback every route asks for a loopback name, whatever the page's origin."""
    async with client_for([]) as client:
        answer = await client.get(path, headers={"host": "rebound.example:8000"})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "host_not_allowed"


async def test_a_rebound_page_may_not_post() -> None:
    """Its origin matches its host, but the host is not this machine's."""
    headers = {"host": "rebound.example", "origin": "http://rebound.example"}
    async with client_for([]) as client:
        answer = await client.post("/v1/chat/completions", json=chat_body(), headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"])
async def test_loopback_names_are_ours(host: str) -> None:
    """In any spelling, with and without a port."""
    async with client_for([]) as client:
        answer = await client.get("/v1/models", headers={"host": host})
    assert answer.status_code == 200


async def test_a_proxy_may_pass_the_host_of_an_allowed_origin_on() -> None:
    """The operator has vouched for that name."""
    auth = AuthConfig(allowed_origins=("https://kaiwa.example",))
    app = build_http_app(make_state(FakeEngine(), auth=auth), web_files=PAGE)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://kaiwa.example") as client:
        assert (await client.get("/v1/models")).status_code == 200


ROUTES = [
    ("GET", "/v1/models", None),
    ("GET", "/v1/models/aoi", None),
    ("GET", "/v1/characters", None),
    ("GET", "/v1/characters/aoi", None),
    ("GET", "/v1/characters/aoi/picture", None),
    ("GET", "/v1/characters/aoi/card", None),
    ("POST", "/v1/characters", Scope.CHARACTERS_WRITE),
    ("DELETE", "/v1/characters/aoi", Scope.CHARACTERS_WRITE),
    ("GET", "/v1/conversations", Scope.CONVERSATIONS),
    ("DELETE", "/v1/conversations", Scope.CONVERSATIONS),
    ("GET", "/v1/conversations/export", Scope.CONVERSATIONS),
    ("GET", "/v1/conversations/conv_1", Scope.CONVERSATIONS),
    ("DELETE", "/v1/conversations/conv_1", Scope.CONVERSATIONS),
    ("GET", "/v1/engine/live", Scope.REALTIME),
    ("POST", "/v1/chat/completions", Scope.CHAT),
    ("POST", "/v1/realtime/client_secrets", Scope.REALTIME),
    ("GET", "/v1/admin/keys", Scope.ADMIN),
]
"""Every route under ``/v1``, and what its key must be allowed."""


def key_with(scopes: frozenset[Scope], **times: float) -> ApiKey:
    """A key of alice's, ``sk-alice``."""
    return ApiKey(name="alice", digest=digest_of("sk-alice"), scopes=scopes, **times)  # type: ignore[arg-type]


def test_the_list_of_routes_is_complete() -> None:
    """A new route is given its scope here, or its lack of one."""
    app = build_http_app(make_state(FakeEngine()), web_files=PAGE)
    served = set()
    for route in app.routes:
        assert isinstance(route, Route)
        path = route.path.replace("{model:path}", "aoi").replace("{id}", "aoi")
        path = path.replace("{conversation_id}", "conv_1")
        if path.startswith("/v1/"):
            served |= {(method, path) for method in (route.methods or set()) - {"HEAD"}}
    assert served == {(method, path) for method, path, _ in ROUTES}


@pytest.mark.parametrize(("method", "path", "scope"), [one for one in ROUTES if one[2]])
async def test_a_key_without_the_scope_is_told_which_it_lacks(
    method: str, path: str, scope: Scope
) -> None:
    """403, before anything is looked up; a key with that scope alone passes."""
    headers = {"authorization": "Bearer sk-alice"}
    async with client_for([key_with(frozenset(Scope) - {scope})]) as client:
        answer = await client.request(method, path, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "insufficient_scope"
        assert f"the scope {scope};" in answer.json()["error"]["message"]
    if path != "/v1/engine/live":  # it never ends
        async with client_for([key_with(frozenset({scope}))]) as client:
            answer = await client.request(method, path, headers=headers)
            assert "insufficient_scope" not in answer.text


@pytest.mark.parametrize(("method", "path"), [one[:2] for one in ROUTES if one[2] is None])
async def test_lists_take_any_good_key(method: str, path: str) -> None:
    """Whoever may do anything needs to know what there is."""
    headers = {"authorization": "Bearer sk-alice"}
    async with client_for([key_with(frozenset())]) as client:
        answer = await client.request(method, path, headers=headers)
    assert answer.status_code in (200, 404)  # 404: that character has no picture


async def test_metrics_from_elsewhere_need_their_scope() -> None:
    """A key for chat is none for them."""
    async with client_for([key_with(frozenset({Scope.CHAT}))], "192.0.2.7") as client:
        headers = {"authorization": "Bearer sk-alice"}
        answer = await client.get("/metrics", headers=headers)
    assert answer.json()["error"]["code"] == "insufficient_scope"


@pytest.mark.parametrize(
    ("times", "code"),
    [({"expires": 1.0}, "api_key_expired"), ({"not_before": 1e12}, "api_key_not_yet_valid")],
)
async def test_a_key_out_of_its_time_is_told_so(times: dict[str, float], code: str) -> None:
    """To who holds it."""
    async with client_for([key_with(DEFAULT_SCOPES, **times)]) as client:
        answer = await client.get("/v1/models", headers={"authorization": "Bearer sk-alice"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)


async def test_a_key_in_the_query_is_not_taken(locked: httpx.AsyncClient) -> None:
    """The answer says why, and does not say the key again."""
    answer = await locked.get("/v1/models?api_key=sk-alice")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "in the address (api_key)" in answer.json()["error"]["message"]
    assert "sk-alice" not in answer.text


async def test_two_authorization_headers_are_none(locked: httpx.AsyncClient) -> None:
    """Nobody can know which one a proxy has looked at."""
    twice = [("authorization", "Bearer sk-alice"), ("authorization", "Bearer sk-alice")]
    assert (await locked.get("/v1/models", headers=twice)).status_code == 401
