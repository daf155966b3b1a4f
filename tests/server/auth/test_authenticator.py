"""Whose a key is, and for how long."""

from __future__ import annotations

import contextlib
import hmac
from dataclasses import replace

import pytest

from server.auth import authenticator
from server.auth.authenticator import Authenticator, BadKey, BadKeyCode, Credential
from server.auth.keys import (
    ANONYMOUS,
    DEFAULT_SCOPES,
    NO_LIMITS,
    ApiKey,
    KeyLimits,
    Scope,
    digest_of,
)
from server.protocol.objects import SessionPatch
from tests.support.keys import plain_key

ALICE = plain_key("alice", "key-of-alice")
BOB = ApiKey(
    name="bob",
    digest=digest_of("key-of-bob"),
    scopes=frozenset({Scope.CHAT}),
    limits=KeyLimits(max_connections=2),
    not_before=100.0,
    expires=200.0,
)


@pytest.fixture
def auth() -> Authenticator:
    """Alice's key, and Bob's from 100 s to 200 s, for chat only."""
    return Authenticator([ALICE, BOB])


def why_not(auth: Authenticator, key: str | None, now: float = 150.0) -> BadKeyCode:
    """Why a key is refused."""
    with pytest.raises(BadKey) as refused:
        auth.authenticate(key, now)
    return refused.value.code


class TestKeys:
    """Whose a key is."""

    def test_a_known_key_names_its_owner(self, auth: Authenticator) -> None:
        """With what it opens."""
        alice, bob = (auth.authenticate(f"key-of-{one}", 150.0) for one in ("alice", "bob"))
        assert (alice.principal, alice.scopes) == ("alice", DEFAULT_SCOPES)
        assert (bob.principal, bob.scopes) == ("bob", frozenset({Scope.CHAT}))

    @pytest.mark.parametrize(
        "key",
        [
            None,
            "",
            "key-of-alic",
            "key-of-alice ",
            "key-of-alicee",
            "KEY-OF-ALICE",
            "alice",
            digest_of("key-of-alice").hex(),
            "sha256:" + digest_of("key-of-alice").hex(),
            "ek_" + "A" * 32,
            # {"alg":"none"}.{"sub":"alice"}. and the same with a signature of nothing
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.AAAA",
            "\ud800",
            "x" * 100_000,
        ],
    )
    def test_any_other_key_is_refused(self, auth: Authenticator, key: str | None) -> None:
        """Nearly right is wrong, and so is what stands in the key file."""
        assert why_not(auth, key) is BadKeyCode.INVALID_API_KEY

    def test_a_key_that_is_missing_is_asked_for(self, auth: Authenticator) -> None:
        """With the place where it belongs."""
        with pytest.raises(BadKey, match="Authorization: Bearer"):
            auth.authenticate(None, 0)

    def test_a_key_is_refused_before_and_after_its_time(self, auth: Authenticator) -> None:
        """Who holds it is told why."""
        assert why_not(auth, "key-of-bob", 99.9) is BadKeyCode.API_KEY_NOT_YET_VALID
        assert why_not(auth, "key-of-bob", 200.0) is BadKeyCode.API_KEY_EXPIRED

    def test_every_key_is_compared_on_every_check(
        self, auth: Authenticator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whichever is right, and whether any is: time tells nothing."""
        compared = 0

        def counting(a: bytes, b: bytes) -> bool:
            nonlocal compared
            compared += 1
            return hmac.compare_digest(a, b)

        monkeypatch.setattr(authenticator, "compare_digest", counting)
        counts = []
        for key in ("key-of-alice", "key-of-bob", "wrong", "", None):
            compared = 0
            with contextlib.suppress(BadKey):
                auth.authenticate(key, 150.0)
            counts.append(compared)
        assert counts == [2, 2, 2, 2, 2]

    def test_without_keys_everybody_is_welcome(self) -> None:
        """Development needs no key, takes any, and makes nobody an operator."""
        for key in (None, "sk-anything"):
            credential = Authenticator().authenticate(key, 0)
            assert credential == Credential()
            assert (credential.principal, credential.scopes) == (ANONYMOUS, DEFAULT_SCOPES)

    def test_all_principals_are_known(self, auth: Authenticator) -> None:
        """Each once; where no key is needed, everybody is one."""
        assert auth.principals == ("alice", "bob")
        twice = Authenticator([plain_key("a", "1"), plain_key("a", "2")])
        assert (twice.principals, len(twice.keys)) == (("a",), 2)
        assert Authenticator().principals == (ANONYMOUS,)
        assert not Authenticator().requires_key

    def test_keys_are_not_held_in_clear(self, auth: Authenticator) -> None:
        """A dump of the object shows digests."""
        assert "key-of-alice" not in repr(vars(auth))

    def test_limits_are_a_principals(self, auth: Authenticator) -> None:
        """Whoever has none of its own takes the server's."""
        assert auth.limits_of("bob").max_connections == 2
        assert auth.limits_of("alice") == auth.limits_of("nobody") == NO_LIMITS


class TestClientSecrets:
    """What a key lends to browsers."""

    def test_a_secret_stands_for_who_made_it(self, auth: Authenticator) -> None:
        """For sessions only, and with what was settled for them."""
        session = SessionPatch(instructions="Be brief.")
        maker = auth.authenticate("key-of-alice", 100.0)
        secret = auth.mint(maker, 100.0, lifetime_s=60, session=session)
        credential = auth.authenticate(secret.value, 159.9)
        assert (credential.principal, credential.scopes) == ("alice", frozenset({Scope.REALTIME}))
        assert (credential.session, credential.is_secret) == (session, True)
        assert why_not(auth, secret.value, 160.0) is BadKeyCode.INVALID_API_KEY

    def test_a_secret_can_do_no_more_than_its_key(self, auth: Authenticator) -> None:
        """Who may not open sessions lends nothing."""
        secret = auth.mint(auth.authenticate("key-of-bob", 150.0), 150.0)
        assert auth.authenticate(secret.value, 150.0).scopes == frozenset()

    def test_a_secret_ends_with_its_key(self, auth: Authenticator) -> None:
        """Expired or taken away."""
        bobs = auth.mint(auth.authenticate("key-of-bob", 150.0), 150.0).value
        alices = auth.mint(auth.authenticate("key-of-alice", 150.0), 150.0).value
        auth.replace_keys([ALICE, replace(BOB, expires=180.0)])
        assert why_not(auth, bobs, 180.0) is BadKeyCode.API_KEY_EXPIRED
        auth.replace_keys([BOB])
        assert why_not(auth, alices, 150.0) is BadKeyCode.INVALID_API_KEY
        assert auth.authenticate(bobs, 150.0).principal == "bob"

    def test_a_secret_is_not_promised_for_longer_than_its_key(self, auth: Authenticator) -> None:
        """Bob's key ends at 200 s."""
        maker = auth.authenticate("key-of-bob", 150.0)
        assert auth.mint(maker, 150.0, lifetime_s=600).expires_at == 200.0
        assert auth.mint(maker, 150.0, lifetime_s=20).expires_at == 170.0
        assert auth.mint(maker, 197.0, lifetime_s=600).expires_at == 200.0

    def test_where_no_key_is_needed_a_secret_still_settles_its_session(self) -> None:
        """And settles nothing more once it has expired."""
        auth, session = Authenticator(), SessionPatch(model="aoi")
        secret = auth.mint(Credential(), 0.0, lifetime_s=60, session=session)
        assert auth.authenticate(secret.value, 59.9).session == session
        assert auth.authenticate(secret.value, 60.0) == Credential()


class TestWhatLasts:
    """Whether what was opened may go on."""

    def test_an_unchanged_key_stays_good(self, auth: Authenticator) -> None:
        """Until it expires."""
        alice, bob = (auth.authenticate(f"key-of-{one}", 150.0) for one in ("alice", "bob"))
        auth.replace_keys([BOB, ALICE])
        assert auth.is_still_good(alice, 1e12)
        assert auth.is_still_good(bob, 199.9)
        assert not auth.is_still_good(bob, 200.0)

    def test_a_key_that_is_gone_ends_it(self, auth: Authenticator) -> None:
        """Or that goes by another name now."""
        alice = auth.authenticate("key-of-alice", 0.0)
        auth.replace_keys([plain_key("alice", "another")])
        assert not auth.is_still_good(alice, 0.0)
        auth.replace_keys([plain_key("carol", "key-of-alice")])
        assert not auth.is_still_good(alice, 0.0)

    def test_a_scope_that_is_gone_ends_it(self, auth: Authenticator) -> None:
        """Where it is still needed."""
        alice = auth.authenticate("key-of-alice", 0.0)
        less = ApiKey(name="alice", digest=ALICE.digest, scopes=frozenset({Scope.CHAT}))
        auth.replace_keys([less])
        assert auth.is_still_good(alice, 0.0, Scope.CHAT)
        assert not auth.is_still_good(alice, 0.0, Scope.REALTIME)

    def test_what_a_secret_opened_outlives_the_secret_but_not_its_key(
        self, auth: Authenticator
    ) -> None:
        """As OpenAI has it."""
        maker = auth.authenticate("key-of-alice", 0.0)
        opened = auth.authenticate(auth.mint(maker, 0.0, lifetime_s=10).value, 5.0)
        assert auth.is_still_good(opened, 10_000.0, Scope.REALTIME)
        auth.replace_keys([BOB])
        assert not auth.is_still_good(opened, 150.0, Scope.REALTIME)

    def test_where_no_key_is_needed_everything_may_go_on(self) -> None:
        """There is nothing to take away."""
        assert Authenticator().is_still_good(Credential(), 0.0, Scope.REALTIME)
