"""Round trips lose nothing, hostile cards are refused, and the figures would show it otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from server.cards.read import read_card
from server.errors import CardError
from tools import card_figures
from tools.card_figures import flatten, refusals, round_trips
from tools.cards.attacks import Attack, attacks
from tools.cards.damage import mutations
from tools.cards.samples import make_samples

SAMPLES = make_samples(4, per_kind=1)
SLOW = {"text chunk", "too many or too long", "depth", "broken picture"}
QUICK = [attack for attack in attacks() if attack.kind not in SLOW]


def test_samples_are_the_same_for_a_seed() -> None:
    """And others for another."""
    assert make_samples(4, per_kind=1) == SAMPLES
    assert make_samples(5, per_kind=1) != SAMPLES


def test_nothing_is_lost_on_any_way() -> None:
    """Through each format, and through every two in a row."""
    ways = round_trips(SAMPLES[::4])
    assert [name for way in ways for name in way.lost] == []
    assert sum(way.compared for way in ways) > 1_000


def test_what_is_lost_is_told() -> None:
    """A sample that says of itself what is not in the file fails on every way."""
    sample = SAMPLES[0]
    false = replace(sample, raw={**sample.raw, "x_top": "else"}, files={"a": b"1"})
    ways = round_trips([false])
    assert all(
        {f"{sample.name}: /'x_top'", f"{sample.name}: files/'a'"} <= set(w.lost) for w in ways
    )


def test_values_differ_by_type() -> None:
    """One, 1.0 and true are three values, and so are nothing and an empty list."""
    assert len({flatten(value)[""] for value in (1, 1.0, True, None)}) == 4
    assert flatten({"a": [1, {}], "b": []}) == {
        "/'a'/0": ("int", 1),
        "/'a'/1": ("dict", {}),
        "/'b'": ("list", []),
    }


@pytest.mark.parametrize("attack", QUICK, ids=lambda attack: f"{attack.kind}: {attack.name}")
def test_hostile_cards_are_refused(attack: Attack) -> None:
    """By the code that was foreseen, in a message of bearable length."""
    with pytest.raises(CardError) as caught:
        read_card(attack.make(), file="hostile")
    assert caught.value.code == attack.code
    assert len(str(caught.value)) < 400


def test_damaged_files_never_fail_otherwise() -> None:
    """They are read, or refused by a code."""
    outcomes = set()
    for data in mutations(SAMPLES, 8, 400):
        try:
            read_card(data, file="damaged")
            outcomes.add("read")
        except CardError as error:
            outcomes.add(error.code)
    assert {"card_bad_json", "card_bad_checksum", "card_bad_container"} <= outcomes


@pytest.mark.slow
def test_all_classes_are_refused_within_bounds() -> None:
    """Also the large ones, without taking more memory than a few times the largest card."""
    for row in refusals(num_mutations=100):
        assert row.unexpected == []
        assert row.most_kib < 128 * 1024
        assert row.kind == "damaged sound file" or row.refused == row.files


@pytest.mark.slow
def test_figures_are_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As two tables, and as JSON."""
    file = tmp_path / "figures.json"
    options = ["--json", str(file), "--per-kind", "1", "--mutations", "20"]
    monkeypatch.setattr("sys.argv", ["card_figures", *options])
    assert card_figures.main() == 0
    assert ", 0 lost" in capsys.readouterr().out
    figures = json.loads(file.read_text())
    assert figures["round_trips"]
    assert figures["refusals"]
