"""Keys are made, shown once, and what is to be kept of them is what the server reads."""

from __future__ import annotations

import io

import pytest

from server.auth.key_file import parse_lines, parse_toml
from server.auth.keys import KeyLimits, Scope, digest_of
from server.key_command import EXIT_USAGE, main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Run it, and return what it prints."""
    assert main(arguments) == 0
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


def test_a_new_key_opens_what_is_kept_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """As a table and as a line; the key itself stands in neither."""
    lines = run(capsys, "new", "--name", "alice")
    key, kept = lines[1], lines[2:]
    table = "\n".join(kept[1:4])
    (from_table,) = parse_toml(table, "keys.toml").keys
    (from_line,) = parse_lines(kept[-1], "keys").keys
    assert from_table == from_line
    assert (from_table.name, from_table.digest) == ("alice", digest_of(key))
    assert key not in "".join(kept)


def test_no_two_keys_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """They are random."""
    assert run(capsys, "new", "--name", "a")[1] != run(capsys, "new", "--name", "a")[1]


def test_what_a_key_may_do_stands_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Which is the only form that can say it."""
    lines = run(
        capsys,
        *("new", "--name", 'the "bot"', "--scopes", "chat,realtime", "--expires", "1970-01-02"),
        *("--not-before", "1970-01-01T01:00:00", "--max-connections", "2"),
        *("--tokens-per-min", "100"),
    )
    (key,) = parse_toml("\n".join(lines[3:]), "keys.toml").keys
    assert key.name == 'the "bot"'
    assert key.scopes == {Scope.CHAT, Scope.REALTIME}
    assert (key.not_before, key.expires) == (3600.0, 86_400.0)
    assert key.limits == KeyLimits(max_connections=2, tokens_per_min=100)


def test_a_key_is_hashed_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not said again."""
    monkeypatch.setattr("sys.stdin", io.StringIO("kw_a-key-that-is-there-already\n"))
    assert main(["hash", "--name", "alice"]) == 0
    told = capsys.readouterr()
    line = told.out.splitlines()[-1].strip()
    assert parse_lines(line, "keys").keys[0].digest == digest_of("kw_a-key-that-is-there-already")
    assert "already" not in told.out + told.err


def test_a_short_key_is_hashed_with_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hash does not hide it."""
    monkeypatch.setattr("sys.stdin", io.StringIO("hunter2"))
    assert main(["hash", "--name", "alice"]) == 0
    told = capsys.readouterr()
    assert "may be guessed" in told.err
    assert "hunter2" not in told.out + told.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hash", "--name", "alice"], "no key on standard input"),
        (["new", "--name", "a:b"], "without a colon"),
        (["new", "--name", ""], "a name is"),
        (["new", "--name", "a\nb"], "a name is"),
        (["new", "--name", "anonymous"], "choose another name"),
        (["new", "--name", "alice", "--scopes", "root"], "no scope 'root'"),
        (["new", "--name", "alice", "--max-connections", "0"], "must be 1 or more"),
        (
            ["new", "--name", "a", "--expires", "2020-01-01", "--not-before", "2021-01-01"],
            "expires must lie behind",
        ),
    ],
)
def test_what_the_server_would_refuse_is_refused_here(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And no key is shown for it."""
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert main(arguments) == EXIT_USAGE
    told = capsys.readouterr()
    assert message in told.err
    assert told.out == ""


def test_a_date_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With what one looks like."""
    with pytest.raises(SystemExit):
        main(["new", "--name", "alice", "--expires", "soon"])
    assert "2027-01-01" in capsys.readouterr().err
