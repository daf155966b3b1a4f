"""Which pages may connect, and where keys are needed."""

from __future__ import annotations

import pytest

from engine.errors import ConfigError
from server.auth.origins import check_exposure, is_host_ours, is_origin_allowed, may_page_call
from server.config.access import AuthConfig, ListenConfig


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
            ("https://friend.example:444", False),
            ("https://friend.example.", False),
            ("https://FRIEND.example", False),
            ("https://fri\u0435nd.example", False),  # Cyrillic
            ("https://xn--frind-s5a.example", False),
            ("https://friend.example/", False),
            ("https://x@friend.example", False),
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
        check_exposure(ListenConfig(), AuthConfig(), requires_key=False)

    def test_elsewhere_keys_are_needed(self) -> None:
        """The refusal names both ways out."""
        with pytest.raises(ConfigError, match=r"--api-keys.*--insecure"):
            check_exposure(ListenConfig(host="0.0.0.0"), AuthConfig(), requires_key=False)

    def test_keys_or_an_explicit_word_are_enough(self) -> None:
        """With keys, or with ``insecure``, it listens anywhere."""
        everywhere = ListenConfig(host="0.0.0.0")
        check_exposure(everywhere, AuthConfig(), requires_key=True)
        check_exposure(everywhere, AuthConfig(insecure=True), requires_key=False)


class TestHosts:
    """Which names are this server's."""

    def test_on_loopback_a_name_made_to_point_here_is_not_ours(self) -> None:
        """But an allowed page's is, since a proxy passes it on."""
        auth = AuthConfig(allowed_origins=("https://friend.example",))
        hosts = ["localhost:8000", "friend.example", "rebound.example"]
        assert [is_host_ours(ListenConfig(), auth, host) for host in hosts] == [True, True, False]

    def test_elsewhere_any_name_may_lead_here(self) -> None:
        """The operator knows them, the server does not."""
        assert is_host_ours(ListenConfig(host="0.0.0.0"), AuthConfig(), "any.example")

    def test_a_page_is_judged_by_how_the_server_listens(self) -> None:
        """Its address says whether names count."""
        origin, host = "http://kaiwa.example", "kaiwa.example"
        auth = AuthConfig()
        assert may_page_call(ListenConfig(host="0.0.0.0"), auth, origin=origin, host=host)
        assert not may_page_call(ListenConfig(), auth, origin=origin, host=host)
