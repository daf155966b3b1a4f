"""What a key file may hold, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ConfigError
from server.auth.key_file import parse_lines, parse_toml, read_key_file, read_keys
from server.auth.keys import DEFAULT_SCOPES, KeyLimits, Scope, digest_of, hash_text
from server.config.access import AuthConfig

HASH = hash_text(digest_of("kw_alice"))
OTHER = hash_text(digest_of("kw_other"))


def table(**fields: object) -> str:
    """One ``[[key]]``; values are TOML already."""
    given = {"name": '"alice"', "hash": f'"{HASH}"', **fields}
    return "[[key]]\n" + "".join(
        f"{name} = {value}\n" for name, value in given.items() if value is not None
    )


def written(folder: Path, text: str, *, name: str = "keys", mode: int = 0o600) -> Path:
    """A file with keys."""
    file = folder / name
    file.write_text(text)
    file.chmod(mode)
    return file


class TestLines:
    """A key per line."""

    def test_hashes_and_keys_may_have_names(self) -> None:
        """What has none is known by its digest, wherever its line stands."""
        text = f"# the house's\n\nalice: {HASH}  # hers\n{OTHER}\nbob: kw_bobs-key-of-old-times\n"
        parsed = parse_lines(text, "keys")
        names = [key.name for key in parsed.keys]
        assert names == ["alice", f"key:{digest_of('kw_other').hex()}", "bob"]
        digests = [digest_of(key) for key in ("kw_alice", "kw_other", "kw_bobs-key-of-old-times")]
        assert [key.digest for key in parsed.keys] == digests
        assert {key.scopes for key in parsed.keys} == {DEFAULT_SCOPES}

    def test_keys_in_clear_are_taken_with_a_warning(self) -> None:
        """It names lines, never what stands in them."""
        (warning,) = parse_lines(f"alice:{HASH}\n\nbob:kw_a-long-enough-key\n", "keys").warnings
        assert "in clear (line 3)" in warning
        assert "kaiwa key hash" in warning
        assert "long-enough" not in warning
        assert parse_lines(f"alice:{HASH}", "keys").warnings == ()

    def test_keys_that_may_be_guessed_are_told(self) -> None:
        """A fast hash does not protect them."""
        _, warning = parse_lines("".join(f"hunter{n}\n" for n in range(7)), "keys").warnings
        assert "(lines 1, 2, 3, 4, 5 and 2 more)" in warning
        assert "hunter" not in warning

    def test_a_key_may_hold_colons_behind_its_name(self) -> None:
        """Only the first one counts."""
        assert parse_lines("alice:a:b", "keys").keys[0].digest == digest_of("a:b")

    def test_the_same_line_twice_is_one_key(self) -> None:
        """It does no harm."""
        assert len(parse_lines(f"alice:{HASH}\nalice:{HASH}\n", "keys").keys) == 1

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("# nothing yet\n\n", "keys holds no API key"),
            ("alice:", "line 1: there is a name, but no key"),
            ("alice:sha256:12", "line 1: a hash is sha256: and 64"),
            ("sha256:kw_secret", "line 1: a hash is"),
            ("\x1b[0m:kw_secret", "line 1: a name is 1 to 64 printable"),
            ("a" * 65 + ":kw_secret", "line 1: a name is 1 to 64 printable"),
            ("anonymous:kw_secret", "line 1: anonymous is who comes without a key"),
            (f"alice:{HASH}\nbob:kw_alice", "twice, for alice and bob"),
        ],
    )
    def test_a_wrong_line_is_refused_and_its_key_not_repeated(
        self, text: str, message: str
    ) -> None:
        """The whole file is, so that nobody is left out unseen."""
        with pytest.raises(ConfigError, match=message) as refused:
            parse_lines(text, "keys")
        assert "secret" not in refused.value.message
        assert refused.value.param == "auth.api_keys_file"


class TestTables:
    """What each key may do."""

    def test_a_table_says_everything_of_a_key(self) -> None:
        """Scopes, times and limits."""
        text = table(
            scopes='["realtime", "characters:write"]',
            not_before="1970-01-01T00:01:00Z",
            expires="1970-01-02",
            max_connections=3,
            tokens_per_min=1000,
        )
        (key,) = parse_toml(text, "keys.toml").keys
        assert (key.name, key.digest) == ("alice", digest_of("kw_alice"))
        assert key.scopes == {Scope.REALTIME, Scope.CHARACTERS_WRITE}
        assert (key.not_before, key.expires) == (60.0, 86_400.0)
        assert key.limits == KeyLimits(max_connections=3, tokens_per_min=1000)

    def test_what_is_left_out_is_the_usual(self) -> None:
        """All scopes but admin, for ever, as the server's settings say."""
        (key,) = parse_toml(table(), "keys.toml").keys
        assert (key.scopes, key.limits) == (DEFAULT_SCOPES, KeyLimits())
        assert (key.not_before, key.expires) == (None, None)

    def test_a_time_without_a_zone_is_utc(self) -> None:
        """And one with a zone is what it says."""
        for time in ("1970-01-01T01:00:00", "1970-01-01T03:00:00+02:00"):
            assert parse_toml(table(expires=time), "keys.toml").keys[0].expires == 3600.0

    def test_no_scope_at_all_can_be_said(self) -> None:
        """Such a key reads lists of models and no more."""
        assert parse_toml(table(scopes="[]"), "keys.toml").keys[0].scopes == frozenset()

    def test_keys_of_one_name_share_their_limits(self) -> None:
        """A new key beside the old one lets nobody have twice as much."""
        same = table(max_connections=1) + table(max_connections=1, hash=f'"{OTHER}"')
        assert len(parse_toml(same, "keys.toml").keys) == 2
        other = table(max_connections=1) + table(max_connections=2, hash=f'"{OTHER}"')
        with pytest.raises(ConfigError, match="keys of alice have different limits"):
            parse_toml(other, "keys.toml")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "holds no API key"),
            ("[[key]", "is not valid TOML"),
            ("x = " + "[" * 100_000, "nested too deeply|not valid TOML"),
            ("x = " + "9" * 5000, "is not valid TOML"),
            ("keys = []", "unknown field `keys`"),
            (table(name=None), "missing required field `name`"),
            (table(hash=None), "missing required field `hash`"),
            (table(key='"kw_secret"'), "unknown field `key`"),
            (table(hash='"kw_secret"'), "key 1: a hash is sha256:"),
            (table(name='"a:b"'), "key 1: a name is"),
            (
                table(scopes='["root"]'),
                "there is no scope 'root'; there are admin, characters:write, chat",
            ),
            (table(scopes='"chat"'), "Expected `array"),
            (table(expires='"soon"'), "RFC3339|datetime"),
            (table(expires="1970-01-01", not_before="1970-01-01"), "must lie behind not_before"),
            (table(max_connections=0), "key 1: max_connections is 0; it must be 1 or more"),
            (table(max_connections="true"), "Expected `int"),
            (table(tokens_per_min=1.5), "Expected `int"),
            (table() + table(scopes="[]"), "twice, for alice"),
        ],
    )
    def test_a_wrong_file_is_refused_and_its_key_not_repeated(
        self, text: str, message: str
    ) -> None:
        """In one sentence that names the place."""
        with pytest.raises(ConfigError, match=message) as refused:
            parse_toml(text, "keys.toml")
        assert "secret" not in refused.value.message
        assert "\n" not in refused.value.message


class TestFiles:
    """Files as they lie there."""

    def test_the_name_says_which_form_it_is(self, tmp_path: Path) -> None:
        """Tables in ``*.toml``, lines in all others."""
        tables = written(tmp_path, table(), name="keys.toml")
        lines = written(tmp_path, f"alice:{HASH}\n")
        assert read_key_file(tables) == read_key_file(lines)

    def test_a_byte_order_mark_is_no_part_of_a_key(self, tmp_path: Path) -> None:
        """Some editors write one."""
        assert read_key_file(written(tmp_path, f"\ufeffalice:{HASH}")).keys[0].name == "alice"

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
    def test_a_file_that_others_may_open_is_told(self, tmp_path: Path, mode: int) -> None:
        """With the command that ends it."""
        file = written(tmp_path, f"alice:{HASH}\n", mode=mode)
        (warning,) = read_key_file(file).warnings
        assert "chmod 600" in warning
        file.chmod(0o600)
        assert read_key_file(file).warnings == ()

    def test_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        """It must not open the door."""
        with pytest.raises(ConfigError, match="cannot read the API keys"):
            read_key_file(tmp_path / "nowhere")

    def test_a_file_that_is_no_text_is_refused(self, tmp_path: Path) -> None:
        """Nor must another's."""
        file = tmp_path / "keys"
        file.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ConfigError, match="cannot read the API keys"):
            read_key_file(file)

    def test_files_are_bounded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """In bytes and in keys."""
        file = written(tmp_path, f"alice:{HASH}\nbob:{OTHER}\n")
        monkeypatch.setattr("server.auth.key_file.MAX_KEYS", 1)
        with pytest.raises(ConfigError, match="holds 2 keys; at most 1 fit"):
            read_key_file(file)
        monkeypatch.setattr("server.auth.key_file.MAX_FILE_BYTES", 10)
        with pytest.raises(ConfigError, match="has over 10 bytes"):
            read_key_file(file)

    def test_without_a_file_there_are_no_keys(self, tmp_path: Path) -> None:
        """And with one there are."""
        assert read_keys(AuthConfig()).keys == ()
        file = written(tmp_path, f"alice:{HASH}\n")
        assert len(read_keys(AuthConfig(api_keys_file=file)).keys) == 1
