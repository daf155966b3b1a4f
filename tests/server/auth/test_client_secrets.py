"""Short-lived keys for browsers."""

from __future__ import annotations

import random

import pytest

from server.auth.client_secrets import MAX_SECRETS_BYTES, ClientSecrets
from server.auth.keys import digest_of
from server.protocol.objects import SessionPatch


def mint(
    secrets: ClientSecrets, maker: bytes = b"maker", *, session: SessionPatch | None = None
) -> str:
    """A secret that is made at 100 s."""
    return secrets.mint(maker, 100.0, lifetime_s=600.0, session=session).value


def test_a_secret_lives_until_it_expires() -> None:
    """And remembers who made it."""
    secrets = ClientSecrets()
    made = secrets.mint(b"maker", 100.0, lifetime_s=60, session=None)
    assert made.value.startswith("ek_")
    assert made.expires_at == 160.0
    found = secrets.find(digest_of(made.value), 159.9)
    assert found is not None
    assert found.maker == b"maker"
    assert secrets.find(digest_of(made.value), 160.0) is None


def test_lifetimes_are_bounded() -> None:
    """Two hours at most."""
    secrets = ClientSecrets()
    assert secrets.mint(b"", 0, lifetime_s=10**9, session=None).expires_at == 7200


def test_secrets_differ() -> None:
    """No two are the same."""
    secrets = ClientSecrets()
    assert len({mint(secrets) for _ in range(100)}) == 100


def test_they_are_not_held_in_clear() -> None:
    """A dump of the object shows digests."""
    secrets = ClientSecrets()
    assert mint(secrets) not in repr(vars(secrets))


def test_their_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest give way."""
    monkeypatch.setattr("server.auth.client_secrets.MAX_LIVE_SECRETS", 2)
    secrets = ClientSecrets()
    made = [mint(secrets) for _ in range(3)]
    found = [secrets.find(digest_of(value), 100.0) is not None for value in made]
    assert found == [False, True, True]


def test_nobody_pushes_out_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who makes the most gives way, in number and in memory."""
    monkeypatch.setattr("server.auth.client_secrets.MAX_LIVE_SECRETS", 3)
    monkeypatch.setattr("server.auth.client_secrets.MAX_SECRETS_BYTES", 3000)
    large = SessionPatch(instructions="x" * 1000)
    for session in (None, large):
        secrets = ClientSecrets()
        theirs = mint(secrets, b"alice")
        made = [mint(secrets, b"eve", session=session) for _ in range(5)]
        found = [secrets.find(digest_of(value), 100.0) is not None for value in [theirs, *made]]
        assert found == [True, False, False, False, True, True]


def test_their_sessions_take_bounded_memory() -> None:
    """Large instructions push the oldest out long before their number does."""
    secrets = ClientSecrets()
    large = SessionPatch(instructions="x" * (MAX_SECRETS_BYTES // 2))
    first, second = [mint(secrets, session=large) for _ in range(2)]
    assert secrets.find(digest_of(first), 100.0) is None
    kept = secrets.find(digest_of(second), 100.0)
    assert kept is not None
    assert kept.session == large


def test_what_is_counted_is_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is made and expires, in whatever order; the bounds hold after each."""
    monkeypatch.setattr("server.auth.client_secrets.MAX_LIVE_SECRETS", 6)
    monkeypatch.setattr("server.auth.client_secrets.MAX_SECRETS_BYTES", 500)
    rng = random.Random(7)
    secrets, now = ClientSecrets(), 0.0
    made: list[tuple[bytes, float]] = []
    for _ in range(500):
        now += rng.uniform(0, 5)
        size = rng.choice([0, 10, 100, 200])
        session = SessionPatch(instructions="x" * size) if size else None
        maker = rng.choice([b"alice", b"bob", b"eve"])
        secret = secrets.mint(maker, now, lifetime_s=rng.uniform(10, 60), session=session)
        secrets.check_integrity()
        made.append((digest_of(secret.value), secret.expires_at))
        live = [found for digest, _ in made if (found := secrets.find(digest, now)) is not None]
        assert len(live) <= 6
        assert sum(one.num_bytes for one in live) <= 500
        assert all(secrets.find(digest, at) is None for digest, at in made)
