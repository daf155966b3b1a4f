"""Keys, client secrets and origins."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ConfigError
from server.auth import (
    ANONYMOUS,
    MAX_SECRETS_BYTES,
    Authenticator,
    check_exposure,
    is_origin_allowed,
    key_from_bearer,
    key_from_subprotocols,
)
from server.config import AuthConfig, ListenConfig
from server.protocol.objects import SessionPatch


@pytest.fixture
def auth(tmp_path: Path) -> Authenticator:
    """Two keys, one with a name."""
    file = tmp_path / "keys"
    file.write_text("# the house's keys\n\nalice: key-of-alice  # hers\nplain-key\n")
    return Authenticator.from_file(file)


class TestKeys:
    """Whose a key is."""

    def test_a_known_key_names_its_owner(self, auth: Authenticator) -> None:
        """A named key goes by its name, another by its line."""
        assert auth.check("key-of-alice", 0) == "alice"
        assert auth.check("plain-key", 0) == "key-4"

    @pytest.mark.parametrize(
        "key", [None, "", "key-of-alic", "key-of-alice ", "# the", "alice", "\ud800"]
    )
    def test_any_other_key_is_refused(self, auth: Authenticator, key: str | None) -> None:
        """Nearly right is wrong."""
        assert auth.check(key, 0) is None

    def test_without_keys_everybody_is_welcome(self) -> None:
        """Development needs no key, and takes any."""
        assert Authenticator().check(None, 0) == ANONYMOUS
        assert Authenticator().check("sk-anything", 0) == ANONYMOUS

    def test_all_principals_are_known(self, auth: Authenticator) -> None:
        """Each once; where no key is needed, everybody is one."""
        assert auth.principals == ("alice", "key-4")
        assert Authenticator([("a", "1"), ("a", "2")]).principals == ("a",)
        assert Authenticator().principals == (ANONYMOUS,)

    def test_what_is_kept_does_not_go_to_another_key(self, auth: Authenticator) -> None:
        """A key without a name is known by itself, wherever its line stands."""
        moved = Authenticator([("key-1", "new-key"), ("key-2", "plain-key"), ("alice", "x")])
        assert auth.owner_of("key-4") == moved.owner_of("key-2") != moved.owner_of("key-1")
        assert auth.owner_of("alice") == moved.owner_of("alice") == "alice"
        assert Authenticator().owner_of(ANONYMOUS) == ANONYMOUS
        assert "plain-key" not in auth.owner_of("key-4")

    def test_keys_are_not_held_in_clear(self, auth: Authenticator) -> None:
        """A dump of the object shows digests."""
        assert "key-of-alice" not in repr(vars(auth))

    def test_a_file_without_keys_is_refused(self, tmp_path: Path) -> None:
        """An empty file must not open the door."""
        file = tmp_path / "keys"
        file.write_text("# nothing yet\n\n")
        with pytest.raises(ConfigError, match="holds no API key"):
            Authenticator.from_file(file)

    def test_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        """Nor must a missing one."""
        with pytest.raises(ConfigError, match="cannot read"):
            Authenticator.from_file(tmp_path / "nowhere")


class TestClientSecrets:
    """Short-lived keys for browsers."""

    def test_a_secret_works_until_it_expires(self, auth: Authenticator) -> None:
        """It stands for whoever asked for it, for its lifetime."""
        secret = auth.mint("alice", 100.0, lifetime_s=60)
        assert secret.value.startswith("ek_")
        assert secret.expires_at == 160.0
        assert auth.check(secret.value, 159.9) == "alice"
        assert auth.check(secret.value, 160.0) is None

    def test_lifetimes_are_bounded(self, auth: Authenticator) -> None:
        """Ten seconds at least, two hours at most."""
        assert auth.mint("alice", 0, lifetime_s=1).expires_at == 10
        assert auth.mint("alice", 0, lifetime_s=10**9).expires_at == 7200

    def test_secrets_differ(self, auth: Authenticator) -> None:
        """No two are the same."""
        assert len({auth.mint("alice", 0).value for _ in range(100)}) == 100

    def test_their_number_is_bounded(
        self, auth: Authenticator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The oldest give way."""
        monkeypatch.setattr("server.auth.MAX_LIVE_SECRETS", 2)
        first, second, third = [auth.mint("alice", 0).value for _ in range(3)]
        assert auth.check(first, 0) is None
        assert auth.check(second, 0) == auth.check(third, 0) == "alice"

    def test_their_sessions_take_bounded_memory(self, auth: Authenticator) -> None:
        """Large instructions push the oldest out long before their number does."""
        large = SessionPatch(instructions="x" * (MAX_SECRETS_BYTES // 2))
        first, second = [auth.mint("alice", 0, session=large).value for _ in range(2)]
        assert auth.session_of(first, 0) is None
        assert auth.session_of(second, 0) == large


class TestWhereKeysAre:
    """Headers and subprotocols."""

    @pytest.mark.parametrize(
        ("header", "key"),
        [
            ("Bearer abc", "abc"),
            ("bearer  abc ", "abc"),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("", None),
            (None, None),
        ],
    )
    def test_a_bearer_header_holds_a_key(self, header: str | None, key: str | None) -> None:
        """Only the bearer scheme counts."""
        assert key_from_bearer(header) == key

    def test_a_browser_offers_its_key_as_a_subprotocol(self) -> None:
        """The SDKs' prefix is taken off, others are ignored."""
        offered = ["realtime", "openai-organization.x", "openai-insecure-api-key.sk-1"]
        assert key_from_subprotocols(offered) == "sk-1"
        assert key_from_subprotocols(["realtime", "openai-insecure-api-key."]) is None


class TestOrigins:
    """Which pages may connect."""

    @pytest.mark.parametrize(
        ("origin", "allowed"),
        [
            (None, True),
            ("http://kaiwa.example:8000", True),
            ("https://kaiwa.example:8000", True),
            ("http://kaiwa.example", False),
            ("http://kaiwa.example:8001", False),
            ("http://kaiwa.example:8000.evil.example", False),
            ("http://evil.example", False),
            ("http://KAIWA.example:8000", False),
            ("null", False),
            ("", False),
            ("file://", False),
            ("https://friend.example", True),
            ("http://friend.example", False),
            ("https://friend.example.evil.example", False),
        ],
    )
    def test_same_origin_or_listed(self, origin: str | None, allowed: bool) -> None:
        """The comparison is exact."""
        verdict = is_origin_allowed(
            origin, "kaiwa.example:8000", allowed=("https://friend.example",)
        )
        assert verdict is allowed

    def test_with_tls_of_our_own_plain_pages_are_foreign(self) -> None:
        """A page that came over plain HTTP did not come from us."""
        assert not is_origin_allowed("http://kaiwa.example", "kaiwa.example", tls=True)
        assert is_origin_allowed("https://kaiwa.example", "kaiwa.example", tls=True)

    @pytest.mark.parametrize(
        ("host", "allowed"),
        [
            ("127.0.0.1:8000", True),
            ("localhost:8000", True),
            ("kaiwa.localhost", True),
            ("[::1]:8000", True),
            ("rebound.example:8000", False),
            ("127.0.0.1.evil.example", False),
            ("192.0.2.1:8000", False),
            ("[::", False),
        ],
    )
    def test_on_loopback_only_loopback_names_are_ours(self, host: str, allowed: bool) -> None:
        """A name made to point here does not make a page ours."""
        assert is_origin_allowed(f"http://{host}", host, loopback=True) is allowed

    def test_a_page_needs_a_host_to_be_compared_with(self) -> None:
        """Without a Host header no page is ours."""
        assert not is_origin_allowed("http://", None)


class TestExposure:
    """Where it may listen without keys."""

    def test_loopback_needs_no_keys(self) -> None:
        """On this machine anybody may talk."""
        check_exposure(ListenConfig(), AuthConfig(), Authenticator())

    def test_elsewhere_keys_are_needed(self) -> None:
        """The refusal names both ways out."""
        with pytest.raises(ConfigError, match=r"--api-keys.*--insecure"):
            check_exposure(ListenConfig(host="0.0.0.0"), AuthConfig(), Authenticator())

    def test_keys_or_an_explicit_word_are_enough(self, auth: Authenticator) -> None:
        """With keys, or with ``insecure``, it listens anywhere."""
        everywhere = ListenConfig(host="0.0.0.0")
        check_exposure(everywhere, AuthConfig(), auth)
        check_exposure(everywhere, AuthConfig(insecure=True), Authenticator())
