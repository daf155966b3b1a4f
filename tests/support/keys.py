"""A key file with keys of every kind, and the headers that show them."""

from __future__ import annotations

from pathlib import Path

from server.auth.keys import ApiKey, digest_of, hash_text

ALICE = "kw_alice-0123456789abcdef"
EVE = "kw_eve-0123456789abcdef"
EXPIRED = "kw_expired-0123456789abcdef"
FUTURE = "kw_future-0123456789abcdef"
CHAT_ONLY = "kw_chat-only-0123456789abcdef"

ALG_NONE = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhbGljZSJ9."
"""``{"alg":"none","typ":"JWT"}.{"sub":"alice"}.`` and no signature."""

_ENTRIES = {
    "alice": (ALICE, ""),
    "eve": (EVE, ""),
    "expired": (EXPIRED, "expires = 2020-01-01"),
    "future": (FUTURE, "not_before = 2120-01-01"),
    "chat-only": (CHAT_ONLY, 'scopes = ["chat"]'),
}


def plain_key(name: str, key: str) -> ApiKey:
    """A key as the server holds it, with every usual scope and no limits of its own."""
    return ApiKey(name=name, digest=digest_of(key))


def bearer(key: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {key}"}


def entry(name: str, key: str, more: str = "") -> str:
    """One table of a key file."""
    return f'[[key]]\nname = "{name}"\nhash = "{hash_text(digest_of(key))}"\n{more}\n'


def write_keys(file: Path, text: str) -> None:
    """Put a key file in its place in one go, for nobody else to read."""
    new = file.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o600)
    new.replace(file)


def make_keys(folder: Path, *, without: str = "") -> Path:
    """All the keys above, but for one."""
    file = folder / "keys.toml"
    tables = (entry(name, *rest) for name, rest in _ENTRIES.items() if name != without)
    write_keys(file, "".join(tables))
    return file
