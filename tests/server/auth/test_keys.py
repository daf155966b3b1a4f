"""Keys, their hashes, times and limits."""

from __future__ import annotations

import pytest

from server.auth.keys import (
    ANONYMOUS,
    DEFAULT_SCOPES,
    KEY_BYTES,
    MIN_KEY_CHARS,
    ApiKey,
    KeyLimits,
    Scope,
    cache_salt_of,
    digest_of,
    hash_text,
    missing_scope,
    new_key,
    parse_hash,
    tenant_of,
    unnamed_principal,
)
from tests.support.keys import plain_key


def test_a_new_key_spells_all_its_randomness() -> None:
    """256 bits, behind a prefix that scanners know."""
    key = new_key(bytes(range(32)))
    assert key == "kw_" + bytes(range(32)).hex()
    assert len(key) > MIN_KEY_CHARS


def test_a_new_key_takes_no_less_randomness() -> None:
    """Half a key is none."""
    with pytest.raises(ValueError, match=f"takes {KEY_BYTES} random bytes, not 16"):
        new_key(bytes(16))


def test_a_hash_is_read_as_it_was_written() -> None:
    """In either case of its digits."""
    digest = digest_of("kw_1")
    assert parse_hash(hash_text(digest)) == digest
    assert parse_hash("sha256:" + digest.hex().upper()) == digest


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:12", "sk-secret", "a" * 64, "sha256:" + "g" * 64, "md5:1"]
)
def test_what_is_no_hash_is_refused_and_not_repeated(text: str) -> None:
    """It may be somebody's key."""
    with pytest.raises(ValueError, match="kaiwa key hash") as refused:
        parse_hash(text)
    assert "secret" not in str(refused.value)


def test_a_key_is_good_from_its_beginning_to_its_end() -> None:
    """The beginning belongs to it, the end does not."""
    key = ApiKey(name="alice", digest=b"", not_before=10, expires=20)
    assert [key.is_good(now) for now in (9.9, 10, 19.9, 20)] == [False, True, True, False]
    assert plain_key("alice", "x").is_good(0)


@pytest.mark.parametrize("limits", [{"max_connections": 0}, {"tokens_per_min": -1}])
def test_limits_that_let_nothing_through_are_refused(limits: dict[str, int]) -> None:
    """Taking the key out is how that is said."""
    with pytest.raises(ValueError, match=f"{next(iter(limits))} is .*; it must be 1 or more"):
        KeyLimits(**limits)


def test_admin_is_never_given_by_default() -> None:
    """Whatever else is."""
    assert frozenset(Scope) - DEFAULT_SCOPES == {Scope.ADMIN}
    assert plain_key("alice", "x").scopes == DEFAULT_SCOPES


def test_a_refusal_names_the_scope() -> None:
    """As it is written in the file."""
    assert "lacks the scope characters:write;" in missing_scope(Scope.CHARACTERS_WRITE)


def test_keys_without_names_are_told_apart_by_themselves() -> None:
    """A colon keeps them apart from every name."""
    first, second = (unnamed_principal(digest_of(key)) for key in ("a", "b"))
    assert first != second
    assert first.startswith("key:")


def test_clients_are_told_apart_by_key_or_address() -> None:
    """By addresses where nobody needs a key."""
    assert tenant_of("mio", "192.0.2.1") == "mio"
    assert tenant_of(ANONYMOUS, "192.0.2.1") == "192.0.2.1"


def test_a_principal_shares_no_cached_tokens() -> None:
    """Everybody does where nobody needs a key."""
    assert cache_salt_of("mio") == "mio"
    assert cache_salt_of(ANONYMOUS) == ""
