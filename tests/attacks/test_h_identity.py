"""H: origins and keys, 20 cases: who is let in, and what is told to who is not."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.attacks.harness import SECRET, Target, answer_to, message, session, target
from tests.support.keys import ALG_NONE, ALICE, EVE, EXPIRED, FUTURE, entry, write_keys
from tests.support.raw_http import Answer, exchange, upgrade_head
from tests.support.realtime import receive, receive_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.wire(only="uvloop"),
    pytest.mark.asyncio(loop_scope="module"),
]

PAGE = "https://app.example"
MALLORY = "kw_mallory-0123456789-abcdef"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key file, which cases change under the server."""
    return write_all(tmp_path_factory.mktemp("keys"))


def write_all(folder: Path, *more: str) -> Path:
    """Everybody's keys: two of tenants, one too old, one too young, and what a case needs."""
    file = folder / "keys.toml"
    tables = (
        entry("alice", ALICE),
        entry("eve", EVE),
        entry("expired", EXPIRED, "expires = 2020-01-01"),
        entry("future", FUTURE, "not_before = 2120-01-01"),
        *more,
    )
    write_keys(file, "".join(tables))
    return file


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kaiwa(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Target]:
    """A server with keys, where one page may call."""
    async with target(
        tmp_path_factory.mktemp("target"),
        key=EVE,
        auth__api_keys_file=str(keys),
        auth__reload_interval_s=0.1,
        auth__allowed_origins=[PAGE],
        outbox__watch_interval_s=0.1,
        resume__window_s=1.0,
    ) as running:
        yield running


async def shake(there: Target, query: str = "model=aoi", **headers: str) -> Answer:
    """A handshake with headers of one's own."""
    answer = await answer_to(there, upgrade_head(f"/v1/realtime?{query}", **headers))
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        pytest.param("", 101, id="H01-none-as-programs-send"),
        pytest.param("https://evil.example", 403, id="H02-evil"),
        pytest.param("null", 403, id="H03-null"),
        pytest.param(f"{PAGE}.evil.example", 403, id="H04-suffix"),
        pytest.param(f"{PAGE}:8443", 403, id="H05-port"),
        pytest.param("http://app.example", 403, id="H06-scheme"),
        pytest.param("HTTPS://APP.EXAMPLE", 403, id="H07-case"),
        pytest.param("https://xn--pp-6kc.example", 403, id="H08-homograph"),
        pytest.param(PAGE, 101, id="H08b-the-page-itself"),
    ],
)
async def test_an_origin_is_the_same_or_another(kaiwa: Target, origin: str, status: int) -> None:
    """Compared exactly, before any key is looked at; programs send none."""
    async with kaiwa.attacked():
        answer = await shake(kaiwa, Origin=origin, Authorization=f"Bearer {ALICE}")
        stranger = await shake(kaiwa, Origin=origin, Authorization="Bearer kw_no")
    assert answer.status == status
    assert stranger.status == (401 if status == 101 else 403)
    if status == 403:
        assert answer.error["code"] == "origin_not_allowed"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        pytest.param("", "invalid_api_key", id="H09-missing"),
        pytest.param(f"Bearer {MALLORY}", "invalid_api_key", id="H10-wrong"),
        pytest.param("Bearer ", "invalid_api_key", id="H11a-empty"),
        pytest.param("Bearer", "invalid_api_key", id="H11b-a-word-alone"),
        pytest.param(f"Bearer {ALICE[:-1]}", "invalid_api_key", id="H12-truncated"),
        pytest.param(f"Bearer {EXPIRED}", "api_key_expired", id="H13-expired"),
        pytest.param(f"Bearer {FUTURE}", "api_key_not_yet_valid", id="H14-not-yet-valid"),
        pytest.param(f"Bearer {ALG_NONE}", "invalid_api_key", id="H15-alg-none"),
        pytest.param(f"Basic {ALICE}", "invalid_api_key", id="another-scheme"),
        pytest.param(f"Bearer {ALICE} {ALICE}", "invalid_api_key", id="two-words"),
        pytest.param("Bearer alice", "invalid_api_key", id="a-name"),
        pytest.param("Bearer ek_" + "0" * 40, "invalid_api_key", id="a-made-up-secret"),
    ],
)
async def test_a_bad_key_opens_nothing(kaiwa: Target, authorization: str, code: str) -> None:
    """401 on both wires, with the same code, and nothing of the key in answer or log."""
    async with kaiwa.attacked():
        start = kaiwa.log.stat().st_size
        head = f"Authorization: {authorization}\r\n" if authorization else ""
        asked = f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n{head}Connection: close\r\n\r\n"
        models = await exchange(kaiwa.address, asked.encode())
        answer = await shake(kaiwa, Authorization=authorization)
        log = kaiwa.log.read_bytes()[start:].decode()
    for one in (models, answer):
        assert (one.status, one.error["code"]) == (401, code)
        assert one.headers["www-authenticate"].startswith("Bearer")
        for word in authorization.split()[1:]:
            assert word not in one.body.decode()
            assert word not in log


async def test_h16_another_tenants_things_are_not_there(kaiwa: Target) -> None:
    """H16: session, conversation and list of items of another key look like those of nobody."""
    async with kaiwa.attacked():
        async with session(kaiwa, key=ALICE) as client:
            await client.send(json.dumps(message(SECRET)))
            await receive_until(client, "conversation.item.done")
            await client.send(json.dumps({"type": "session.update", "session": {}}))
            shown = (await receive_until(client, "session.updated"))[-1]["session"]
            conversation_id = shown["conversation"]["id"]
        for query, code in (
            (f"model=aoi&conversation={conversation_id}", "conversation_not_found"),
            (f"model=aoi&resume={await token_of(kaiwa, ALICE)}", "session_not_resumed"),
        ):
            async with session(kaiwa, query, key=EVE) as client:
                error = await receive(client)
                assert error["error"]["code"] == code
                assert SECRET not in json.dumps(error)
        for method in ("GET", "DELETE"):
            head = f"{method} /v1/conversations/{conversation_id} HTTP/1.1\r\nHost: localhost\r\n"
            rest = f"Authorization: Bearer {EVE}\r\nConnection: close\r\n\r\n"
            answer = await exchange(kaiwa.address, (head + rest).encode())
            assert (answer.status, answer.error["code"]) == (404, "conversation_not_found")


async def token_of(there: Target, key: str) -> str:
    """A token with which a session could be come back to."""
    headers = {"Authorization": f"Bearer {key}"}
    async with connect(there.socket_url(), additional_headers=headers) as client:
        token: str = (await receive(client))["session"]["resume"]["token"]
    return token


@pytest.mark.parametrize("name", ["api_key", "key", "token", "access_token", "authorization"])
async def test_h17_a_key_in_the_address_is_no_key(kaiwa: Target, name: str) -> None:
    """H17: addresses are written into logs on their way; ours has none of it."""
    async with kaiwa.attacked():
        start = kaiwa.log.stat().st_size
        answer = await shake(kaiwa, f"model=aoi&{name}={ALICE}")
        log = kaiwa.log.read_bytes()[start:].decode()
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert ALICE not in log


async def end_of(client: ClientConnection) -> int | None:
    """Read to the end; the close code."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.recv()
    return client.close_code


async def test_h18_a_key_that_is_taken_away_ends_its_sessions(kaiwa: Target, keys: Path) -> None:
    """H18: 4401 in the middle of a reply, 401 for whoever comes again; others stay."""
    async with kaiwa.attacked():
        write_all(keys.parent, entry("mallory", MALLORY))
        await until_good(kaiwa, MALLORY)
        async with session(kaiwa, "model=kaiwa-demo", key=MALLORY) as client:
            await client.send(json.dumps(message("go on and on")))
            await client.send(json.dumps({"type": "response.create"}))
            await receive_until(client, "response.output_text.delta")
            write_all(keys.parent)
            assert await end_of(client) == 4401
        again = await shake(kaiwa, Authorization=f"Bearer {MALLORY}")
    assert (again.status, again.error["code"]) == (401, "invalid_api_key")


async def until_good(there: Target, key: str) -> None:
    """Wait for a key to be known."""
    async with asyncio.timeout(10):
        while (await shake(there, Authorization=f"Bearer {key}")).status != 101:
            pass


async def test_h19_a_key_that_expires_ends_its_streams(kaiwa: Target, keys: Path) -> None:
    """H19: 4401 at its time, also while a reply is being written."""
    async with kaiwa.attacked():
        at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=4)
        write_all(keys.parent, entry("mallory", MALLORY, f"expires = {at:%Y-%m-%dT%H:%M:%SZ}"))
        await until_good(kaiwa, MALLORY)
        async with session(kaiwa, "model=kaiwa-demo", key=MALLORY) as client:
            await client.send(json.dumps(message("go on and on")))
            await client.send(json.dumps({"type": "response.create"}))
            assert await end_of(client) == 4401
        again = await shake(kaiwa, Authorization=f"Bearer {MALLORY}")
        write_all(keys.parent)
    assert (again.status, again.error["code"]) == (401, "api_key_expired")


async def test_h20_nothing_tells_how_near_a_guess_was(kaiwa: Target) -> None:
    """H20: whatever is right about a wrong key, the answer is the same, byte for byte."""
    guesses = [ALICE[:length] + "#" * (len(ALICE) - length) for length in range(len(ALICE))]
    async with kaiwa.attacked():
        answers = [await shake(kaiwa, Authorization=f"Bearer {guess}") for guess in guesses]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1
