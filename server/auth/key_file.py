"""The file with the API keys, in either of two forms.

``*.toml`` holds hashes only, and what each key may do::

    [[key]]
    name = "alice"
    hash = "sha256:…"                       # `kaiwa key new` or `kaiwa key hash` prints it
    scopes = ["realtime", "chat"]           # all but admin when left out
    not_before = 2026-01-01T00:00:00Z
    expires = 2027-01-01
    max_connections = 20                    # and the other fields of `KeyLimits`

Any other file holds a key per line: ``name:sha256:…``, ``name:key``, ``sha256:…`` or ``key``; ``#``
starts a comment. A key in clear is taken, with a warning. What is said of a file names lines, never
what stands in them.
"""

from __future__ import annotations

import datetime
import os
import stat
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import msgspec

from engine.errors import ConfigError
from server.auth.keys import (
    ANONYMOUS,
    DEFAULT_SCOPES,
    HASH_PREFIX,
    MIN_KEY_CHARS,
    ApiKey,
    KeyLimits,
    Scope,
    digest_of,
    parse_hash,
    unnamed_principal,
)
from server.config.access import AuthConfig
from server.errors import shorten

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_KEYS = 10_000
"""Every one of them is compared with whatever is shown."""

PARAM = "auth.api_keys_file"
MAX_NAME_CHARS = 64


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What a file says.

    Attributes:
        keys: At least one; none stands for there being no file.
        warnings: Sentences for the operator.
    """

    keys: tuple[ApiKey, ...] = ()
    warnings: tuple[str, ...] = ()


class _KeyTable(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: str
    hash: str
    scopes: list[str] | None = None
    not_before: datetime.datetime | None = None
    expires: datetime.datetime | None = None
    max_connections: int | None = None
    max_concurrent_responses: int | None = None
    requests_per_min: int | None = None
    tokens_per_min: int | None = None


class _Tables(msgspec.Struct, forbid_unknown_fields=True):
    key: list[_KeyTable] = []


def read_keys(config: AuthConfig) -> KeyFile:
    """Read the configured file; no keys when none is configured. See ``read_key_file``."""
    return KeyFile() if config.api_keys_file is None else read_key_file(config.api_keys_file)


def read_key_file(file: Path) -> KeyFile:
    """Read a file, and look at who else may read it.

    Raises:
        ConfigError: It cannot be read, holds no key, or something that is none.
    """
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            data = opened.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ConfigError(f"{file} has over {MAX_FILE_BYTES} bytes of API keys", param=PARAM)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the API keys in {file}: {error}", param=PARAM) from None
    parsed = parse_toml(text, str(file)) if file.suffix == ".toml" else parse_lines(text, str(file))
    others = stat.S_IRWXG | stat.S_IRWXO
    if not mode & others & ~(stat.S_IXGRP | stat.S_IXOTH):
        return parsed
    warning = f"{file} can be read or written by other users of this machine; chmod 600 ends that"
    return KeyFile(parsed.keys, (*parsed.warnings, warning))


def parse_toml(text: str, file: str) -> KeyFile:
    """Read the form with tables.

    Args:
        text: The file's.
        file: Its name, for messages.

    Raises:
        ConfigError: It is not of this form, or holds no key.
    """
    try:
        raw = tomllib.loads(text)
    except ValueError as error:  # also of a number with thousands of digits
        raise ConfigError(f"{file} is not valid TOML: {error}", param=PARAM) from None
    except RecursionError:
        raise ConfigError(f"{file} is nested too deeply", param=PARAM) from None
    try:
        tables = msgspec.convert(_with_times(raw), _Tables).key
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {error}", param=PARAM) from None
    keys = []
    for number, table in enumerate(tables, start=1):
        try:
            keys.append(_from_table(table))
        except ValueError as error:
            raise ConfigError(f"{file}, key {number}: {error}", param=PARAM) from None
    return KeyFile(_checked(keys, file), ())


def parse_lines(text: str, file: str) -> KeyFile:
    """Read the form with lines; see ``parse_toml``."""
    keys, plain, short = [], [], []
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        try:
            name, key = _from_line(entry)
            if key.startswith(HASH_PREFIX):
                digest = parse_hash(key)
            else:
                digest = digest_of(key)
                plain.append(number)
                short += [number] if len(key) < MIN_KEY_CHARS else []
        except ValueError as error:
            raise ConfigError(f"{file}, line {number}: {error}", param=PARAM) from None
        keys.append(ApiKey(name=name or unnamed_principal(digest), digest=digest))
    return KeyFile(_checked(keys, file), tuple(_warnings_of(file, plain, short)))


def _from_line(entry: str) -> tuple[str, str]:
    """Name and key, or hash; the name is empty where there is none."""
    if entry.startswith(HASH_PREFIX) or ":" not in entry:
        return "", entry
    name, _, key = (part.strip() for part in entry.partition(":"))
    if not key:
        raise ValueError("there is a name, but no key behind the colon")
    return _checked_name(name) if name else "", key


def _from_table(table: _KeyTable) -> ApiKey:
    begins = None if table.not_before is None else table.not_before.timestamp()
    ends = None if table.expires is None else table.expires.timestamp()
    if begins is not None and ends is not None and begins >= ends:
        raise ValueError("expires must lie behind not_before")
    return ApiKey(
        name=_checked_name(table.name),
        digest=parse_hash(table.hash),
        scopes=DEFAULT_SCOPES if table.scopes is None else parse_scopes(table.scopes),
        limits=KeyLimits(**{one.name: getattr(table, one.name) for one in fields(KeyLimits)}),
        not_before=begins,
        expires=ends,
    )


def parse_scopes(names: Sequence[str]) -> frozenset[Scope]:
    """Read scopes by their names.

    Raises:
        ValueError: One is unknown.
    """
    known = frozenset(Scope)
    for name in names:
        if name not in known:
            raise ValueError(
                f"there is no scope {shorten(name)}; there are {', '.join(sorted(known))}"
            )
    return frozenset(map(Scope, names))


def _checked_name(name: str) -> str:
    if not 0 < len(name) <= MAX_NAME_CHARS or ":" in name or not name.isprintable():
        raise ValueError(f"a name is 1 to {MAX_NAME_CHARS} printable characters without a colon")
    if name == ANONYMOUS:
        raise ValueError(f"{ANONYMOUS} is who comes without a key; choose another name")
    return name


def _with_times(value: object) -> object:
    """TOML's dates as points in time: a date is its midnight in UTC, and so is a zone left out."""
    if isinstance(value, dict):
        return {name: _with_times(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_times(one) for one in value]
    if isinstance(value, datetime.datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=datetime.UTC)
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day, tzinfo=datetime.UTC)
    return value


def _checked(keys: Sequence[ApiKey], file: str) -> tuple[ApiKey, ...]:
    if not keys:
        raise ConfigError(
            f"{file} holds no API key; write one per line, or leave {PARAM} out", param=PARAM
        )
    if len(keys) > MAX_KEYS:
        raise ConfigError(f"{file} holds {len(keys)} keys; at most {MAX_KEYS} fit", param=PARAM)
    known: dict[bytes, ApiKey] = {}
    limits: dict[str, KeyLimits] = {}
    for key in keys:
        if known.setdefault(key.digest, key) != key:
            names = " and ".join(sorted({known[key.digest].name, key.name}))
            raise ConfigError(
                f"{file}: the same key stands there twice, for {names}; make another", param=PARAM
            )
        if limits.setdefault(key.name, key.limits) != key.limits:
            raise ConfigError(
                f"{file}: keys of {key.name} have different limits, but limits are its owner's; "
                "give them the same",
                param=PARAM,
            )
    return tuple(known.values())


def _warnings_of(file: str, plain: Sequence[int], short: Sequence[int]) -> Iterator[str]:
    if plain:
        yield (
            f"{file} holds keys in clear ({_lines(plain)}); `kaiwa key hash` says what to write "
            "instead"
        )
    if short:
        yield (
            f"{file} holds keys of under {MIN_KEY_CHARS} characters ({_lines(short)}), which may "
            "be guessed; `kaiwa key new` makes better ones"
        )


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"line{'s' if len(numbers) > 1 else ''} {shown}{more}"
