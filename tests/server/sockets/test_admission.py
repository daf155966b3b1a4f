"""Who is let in, in which order things are asked, and what is told to whom."""

from __future__ import annotations

import json

import pytest

from server.auth.authenticator import Authenticator
from server.auth.keys import ANONYMOUS
from server.characters.catalog import Catalog
from server.characters.character import Character
from server.config_loader import load_settings
from server.protocol.objects import SessionPatch
from server.sockets.admission import Admission, HandshakeHead, Refusal, admit
from server.state import ServerState
from tests.support.fake_engine import FakeEngine
from tests.support.keys import plain_key

GOOD = "/v1/realtime?model=aoi"


def make_state(engine: FakeEngine | None = None, *, key: str | None = None) -> ServerState:
    """A server with one character and, where named, one key."""
    return ServerState(
        settings=load_settings(
            command_line={"auth.allowed_origins": ["https://a.example"]}
        ).settings,
        catalog=Catalog("fake", [Character.from_prompt("aoi", "You are Aoi.")]),
        auth=Authenticator([plain_key("alice", key)] if key else []),
        engine=engine or FakeEngine(),
    )


def knock(state: ServerState, target: str = GOOD, **head: object) -> Admission:
    """Judge a handshake to this host."""
    return admit(state, HandshakeHead(target=target, **{"hosts": ["x"], **head}), 0.0)  # type: ignore[arg-type]


def secret_of(state: ServerState, key: str, session: SessionPatch | None = None) -> str:
    """A bearer header with a client secret that was made with a key."""
    maker = state.auth.authenticate(key, 0.0)
    return f"Bearer {state.auth.mint(maker, 0.0, session=session).value}"


def refusal(state: ServerState, target: str = GOOD, **head: object) -> Refusal:
    """How a handshake is turned away."""
    with pytest.raises(Refusal) as refused:
        knock(state, target, **head)
    return refused.value


def test_a_good_handshake_names_principal_and_model() -> None:
    """And hands the query on."""
    admission = knock(make_state(), GOOD + "&events=character.v1")
    assert admission.principal == "anonymous"
    assert admission.model.character is not None
    assert admission.query["events"] == "character.v1"


@pytest.mark.parametrize("model", ["aoi", "fake", "fake%40aoi"])
def test_characters_and_engine_can_be_named(model: str) -> None:
    """Alone, or one with the other."""
    assert knock(make_state(), f"/v1/realtime?model={model}").model.engine == "fake"


def test_an_uploaded_character_is_its_owners_alone() -> None:
    """Others are told what there is for them."""
    state = make_state(key="sk-1")
    state.auth = Authenticator([plain_key("alice", "sk-1"), plain_key("bob", "sk-2")])
    state.catalog.put_upload(Character.from_prompt("mika", "You are Mika."), "alice")
    target = "/v1/realtime?model=mika"
    admitted = knock(state, target, authorization="Bearer sk-1")
    assert admitted.model.character is state.catalog.find("mika", "alice")
    refused = refusal(state, target, authorization="Bearer sk-2")
    assert (refused.status, refused.code) == (404, "model_not_found")
    assert refused.message.endswith("choose one of aoi, fake")


def test_a_client_secret_may_be_for_an_uploaded_character() -> None:
    """It is then for no other."""
    state = make_state(key="sk-1")
    state.catalog.put_upload(Character.from_prompt("mika", "You are Mika."), "alice")
    key = secret_of(state, "sk-1", SessionPatch(type="realtime", model="mika"))
    admitted = knock(state, "/v1/realtime", authorization=key)
    assert admitted.model.model == "mika"
    assert refusal(state, GOOD, authorization=key).code == "client_secret_not_allowed"


def test_the_page_is_judged_before_the_key() -> None:
    """A foreign page learns nothing about keys."""
    state = make_state(key="good")
    assert refusal(state, origins=["https://evil.example"]).status == 403


def test_the_key_is_judged_before_the_model() -> None:
    """Who has no key learns no names."""
    refused = refusal(make_state(key="good"), "/v1/realtime?model=nobody")
    assert refused.status == 401
    assert "aoi" not in refused.message


def test_a_listed_origin_passes() -> None:
    """As the operator has written it."""
    assert knock(make_state(), origins=["https://a.example"]).principal


def test_a_browser_key_is_taken_from_the_subprotocols() -> None:
    """And ``realtime`` alone is echoed."""
    offered = ["realtime", "openai-insecure-api-key.good"]
    admission = knock(make_state(key="good"), subprotocols=offered)
    assert (admission.principal, admission.subprotocol) == ("alice", "realtime")


def test_a_key_in_the_query_is_not_taken() -> None:
    """Query strings end up in logs."""
    assert refusal(make_state(key="good"), GOOD + "&api_key=good").status == 401


def test_a_client_secret_opens_a_session() -> None:
    """A browser comes with what its page was given."""
    state = make_state(key="good")
    assert knock(state, authorization=secret_of(state, "good")).principal == "alice"


@pytest.mark.parametrize(
    "broken",
    [
        {"is_draining": True},
        {"engine": None},
        {"engine": FakeEngine(is_alive=False)},
    ],
    ids=["draining", "loading", "dead"],
)
def test_a_server_that_cannot_says_when_to_come_back(broken: dict[str, object]) -> None:
    """503 and ``Retry-After``, which SDKs obey."""
    state = make_state()
    for name, value in broken.items():
        setattr(state, name, value)
    refused = refusal(state)
    assert refused.status == 503
    assert refused.headers()["Retry-After"] == "2"


def test_who_comes_back_gets_in_while_the_engine_is_stuck() -> None:
    """It will be replaced, and replies go on."""
    state = make_state()
    state.engine = FakeEngine(seconds_since_progress=60.0)
    assert knock(state).principal == ANONYMOUS


def test_a_refusal_has_the_shape_that_sdks_read() -> None:
    """One ``error`` object with message, type, param and code."""
    refused = refusal(make_state(), "/v1/realtime")
    error = json.loads(refused.body())["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == "model"
    assert set(error) == {"message", "type", "param", "code"}


def test_two_keys_in_two_headers_are_none() -> None:
    """What cannot be said plainly is not guessed; the head then holds no authorization."""
    assert refusal(make_state(key="good"), authorization=None).status == 401


@pytest.mark.parametrize(
    ("query", "status", "code", "param"),
    [
        ("", 400, "missing_required_parameter", "model"),
        ("?model=", 400, "missing_required_parameter", "model"),
        ("?model=nobody", 404, "model_not_found", "model"),
        ("?model=aoi&call_id=c1", 400, "unsupported", "call_id"),
        ("?model=aoi&intent=transcription", 400, "unsupported", "intent"),
        ("?model=aoi&record=true", 400, "invalid_value", "record"),
        ("?model=%ff", 400, "invalid_value", None),
    ],
)
def test_a_query_that_cannot_be_served_is_refused_by_its_parameter(
    query: str, status: int, code: str, param: str | None
) -> None:
    """The sentence names what is there instead."""
    refused = refusal(make_state(), f"/v1/realtime{query}")
    assert (refused.status, refused.code, refused.param) == (status, code, param)


def test_while_draining_newcomers_are_told_when_to_come_back() -> None:
    """503 with ``Retry-After``, in OpenAI's error shape."""
    state = make_state()
    state.is_draining = True
    refused = refusal(state)
    assert refused.status == 503
    assert int(refused.headers()["Retry-After"]) > 0
    assert json.loads(refused.body())["error"]["type"] == "server_error"


def test_while_draining_who_comes_back_is_let_in() -> None:
    """What runs may be heard to its end; whether it waits is the roster's to say."""
    state = make_state()
    state.is_draining = True
    assert knock(state, "/v1/realtime?model=aoi&resume=res_x").query["resume"] == "res_x"


def test_a_missing_key_is_asked_for_as_http_does() -> None:
    """401 carries ``WWW-Authenticate``."""
    assert refusal(make_state(key="good")).headers()["WWW-Authenticate"] == "Bearer"


def test_a_secrets_session_comes_with_the_handshake() -> None:
    """Its model answers when the URL names none, and no other may be named."""
    state = make_state(key="good")
    session = SessionPatch(model="aoi", instructions="Be brief.")
    bearer = {"authorization": secret_of(state, "good", session)}
    admission = knock(state, "/v1/realtime", **bearer)
    assert (admission.model.model, admission.session) == ("aoi", session)
    assert refusal(state, "/v1/realtime?model=fake", **bearer).status == 403
    assert knock(state, GOOD, authorization="Bearer good").session is None
