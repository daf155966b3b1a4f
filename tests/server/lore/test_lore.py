"""What comes up with a user's message, and what stays where it is."""

from __future__ import annotations

import random
from typing import Any

import pytest

from server.cards.lorebook import Lorebook, LoreEntry, read_book
from server.errors import LimitExceeded
from server.lore.known import REPEAT_AFTER_TURNS
from server.lore.lore import MAX_KEYS, MAX_ROUNDS, Lore
from tests.support.lore import book, entry, scene


def lore(*entries: LoreEntry, seed: int = 1, **fields: Any) -> Lore:
    """The lore of one book."""
    return Lore([book(*entries, **fields)], seed=seed, characters_per_token=1.0)


def wake(made: Lore, *words: str, turn: int = 1, **fields: Any) -> list[str]:
    """The texts that come up."""
    return [one.text for one in made.wake(scene(*words, turn=turn, **fields))]


def test_what_was_said_wakes_an_entry() -> None:
    """Its content is what the model reads."""
    made = lore(entry("The mill is haunted.", "mill"), entry("The sea is cold.", "sea"))
    (woken,) = made.wake(scene("I went to the mill"))
    assert (woken.id, woken.text) == ("The mill is ", "The mill is haunted.")
    assert wake(made, "hello") == []


def test_an_entry_that_stands_is_not_written_again() -> None:
    """But for the turn that has left the context, and for one that is far back."""
    made = lore(entry("Haunted.", "mill"))
    assert wake(made, "the mill") == ["Haunted."]
    assert wake(made, "the mill", turn=2, standing=["i1"]) == []
    assert wake(made, "the mill", turn=3, standing=["i2"]) == ["Haunted."]
    far = 3 + REPEAT_AFTER_TURNS
    assert wake(made, "the mill", turn=far - 1, standing=["i3"]) == []
    assert wake(made, "the mill", turn=far, standing=["i3"]) == ["Haunted."]


def test_the_note_is_in_insertion_order() -> None:
    """Of equals the first of the book comes first."""
    made = lore(
        entry("late", "k", insertion_order=9),
        entry("early", "k", insertion_order=-1),
        entry("early too", "k", insertion_order=-1),
    )
    assert wake(made, "k") == ["early", "early too", "late"]


def test_only_the_newest_messages_are_searched() -> None:
    """As many as the book says, or the entry."""
    said = ("mill", "b", "c")
    assert wake(lore(entry("x", "mill"), scan_depth=2), *said) == []
    assert wake(lore(entry("x", "mill"), scan_depth=3), *said) == ["x"]
    assert wake(lore(entry("x", "mill", lines=["scan_depth 3"]), scan_depth=1), *said) == ["x"]
    assert wake(lore(entry("x", "mill"), scan_depth=0), "mill") == []
    assert wake(lore(entry("x", "mill")), "mill", "b", "c", "d", "e") == []


def test_hidden_keys_are_found_though_nobody_said_them() -> None:
    """They are given with the turn."""
    assert wake(lore(entry("x", "mill")), "hello", hidden=["mill"]) == ["x"]


def test_secondary_keys_count_only_in_selective_entries() -> None:
    """Otherwise they are passed over."""
    selective = entry("x", "mill", secondary_keys=("night",))
    assert wake(lore(selective), "the mill") == []
    assert wake(lore(selective), "the mill at night") == ["x"]
    assert wake(lore(entry("x", "mill", secondary_keys=("n",), selective=False)), "mill") == ["x"]


@pytest.mark.parametrize(
    ("logic", "woken"), [(0, "one both"), (1, "none one"), (2, "none"), (3, "both")]
)
def test_each_logic_of_secondary_keys_is_kept(logic: int, woken: str) -> None:
    """As SillyTavern numbers them."""
    extensions = {"selectiveLogic": logic}
    item = entry("x", "mill", secondary_keys=("day", "night"), extensions=extensions)
    said = {"none": "mill", "one": "mill by day", "both": "mill by day and night"}
    assert [name for name, words in said.items() if wake(lore(item), words)] == woken.split()


def test_additional_and_excluded_keys_have_their_say() -> None:
    """One of each list must be said, and none of the others."""
    item = entry(
        "x", "mill", lines=["additional_keys a,b", "additional_keys c", "exclude_keys no,never"]
    )
    said = {"mill a": 0, "mill a b": 0, "mill b c": 1, "a c": 0, "mill a c never": 0}
    assert {words: len(wake(lore(item), words)) for words in said} == said


def test_switched_off_entries_stay_away() -> None:
    """By field, by decorator, and where there is nothing to read."""
    off = entry("x", "k", enabled=False, lines=["activate"])
    never, empty = entry("x", "k", lines=["dont_activate"]), entry(" ", "k")
    assert wake(lore(off, never, empty), "k") == []


def test_an_activated_entry_needs_no_key() -> None:
    """Also where it is forbidden otherwise."""
    assert wake(lore(entry("x", lines=["dont_activate", "activate"])), "hello") == ["x"]


def test_constant_entries_are_woken_only_where_something_forbids_them() -> None:
    """Those that nothing forbids stand in the head."""
    made = lore(
        entry("head", constant=True), entry("x", constant=True, lines=["activate_only_after 2"])
    )
    assert len(made) == 1
    assert [wake(made, "hello", turn=turn) for turn in (1, 2, 3)] == [[], [], ["x"]]


def test_replies_are_counted() -> None:
    """Not before so many, and only at multiples; by the words where nobody has counted."""
    after, every = entry("a", "k", lines=["activate_only_after 2"]), None
    every = entry("e", "k", lines=["activate_only_every 3"])
    woken = [wake(lore(after, every), "k", num_replies=number) for number in range(7)]
    assert woken == [["e"], [], ["a"], ["a", "e"], ["a"], ["a"], ["a", "e"]]
    assert wake(lore(after), "1", "x", "2", "x", "k", num_replies=None) == ["a"]
    assert wake(lore(after), "2", "x", "k", num_replies=None) == []


def test_an_entry_of_one_greeting_stays_away_under_others() -> None:
    """Where the greeting is known."""
    item = entry("x", "k", lines=["is_greeting 1"])
    assert [wake(lore(item), "k", greeting=index) for index in (0, 1, None)] == [[], ["x"], ["x"]]


def test_some_entries_come_once_and_some_again() -> None:
    """``dont_activate_after_match`` and ``keep_activate_after_match``."""
    made = lore(
        entry("once", "k", lines=["dont_activate_after_match"]),
        entry("kept", "k", lines=["keep_activate_after_match"]),
    )
    assert wake(made, "hello") == []
    assert wake(made, "k", turn=2) == ["once", "kept"]
    assert wake(made, "k", turn=3, standing=["i2"]) == []
    assert wake(made, "hello", turn=4) == ["kept"]


def test_a_sticky_entry_goes_on_and_then_rests() -> None:
    """Counted in messages, of which a turn has two."""
    made = lore(entry("x", "k", extensions={"sticky": 4, "cooldown": 4}))
    assert wake(made, "k", turn=1) == ["x"]
    assert [wake(made, "hello", turn=turn) for turn in (2, 3)] == [["x"], ["x"]]
    assert [wake(made, "k", turn=turn) for turn in (4, 5, 6)] == [[], [], ["x"]]


def test_a_delayed_entry_waits_for_messages() -> None:
    """So many must there be."""
    made = lore(entry("x", "k", extensions={"delay": 4}))
    assert [wake(made, "k", turn=turn) for turn in (1, 2, 3)] == [[], [], ["x"]]


def test_chance_is_drawn_by_seed_and_turn() -> None:
    """The same conversation has the same lore; of many turns about the share comes up."""
    item = entry("x", "k", extensions={"probability": 30, "useProbability": True})

    def history(seed: int) -> list[bool]:
        made = lore(item, seed=seed)
        return [bool(wake(made, "k", turn=turn)) for turn in range(1, 401)]

    assert history(1) == history(1) != history(2)
    assert 80 < sum(history(1)) < 160
    never = entry("x", "k", extensions={"probability": 0})
    assert wake(lore(never), "k") == []


def test_entries_wake_others_where_the_book_says_so() -> None:
    """As far as words lead, hidden ones too."""
    chain = [
        entry("The mill belongs to Otto.", "mill"),
        entry("Otto has a dog. {{hidden_key:ghost}}", "Otto"),
        entry("The dog is called Rex.", "dog"),
        entry("Boo.", "ghost"),
    ]
    assert len(wake(lore(*chain), "the mill")) == 1
    assert len(wake(lore(*chain, recursive_scanning=True), "the mill")) == 4


def test_an_entry_that_stands_still_wakes_others() -> None:
    """It is as if it had been said again."""
    made = lore(
        entry("Otto's.", "mill"), entry("A dog.", "Otto", extensions={"delay": 2}),
        recursive_scanning=True,
    )  # fmt: skip
    assert wake(made, "the mill") == ["Otto's."]
    assert wake(made, "the mill", turn=2, standing=["i1"]) == ["A dog."]


def test_recursion_is_limited_by_entries() -> None:
    """Some only hear words, some wake nobody, some wait for others."""
    mill = entry("Otto's.", "mill")
    deaf = entry("x", "Otto", extensions={"exclude_recursion": True})
    waits = entry("y", "mill", "Otto", extensions={"delay_until_recursion": 1})
    made = lore(mill, deaf, waits, recursive_scanning=True)
    assert wake(made, "the mill") == ["Otto's.", "y"]
    assert wake(made, "Otto?", turn=2, standing=["i1"]) == ["x"]
    mute = entry("Otto's.", "mill", extensions={"prevent_recursion": True})
    assert wake(lore(mute, entry("x", "Otto"), recursive_scanning=True), "mill") == ["Otto's."]


def test_recursion_ends() -> None:
    """After so many rounds, however long the chain, and in a circle at once."""
    chain = [entry(f"k{n + 1}", f"k{n}") for n in range(40)]
    assert len(wake(lore(*chain, recursive_scanning=True), "k0")) == MAX_ROUNDS
    circle = [entry("b", "a"), entry("a", "b")]
    assert wake(lore(*circle, recursive_scanning=True), "a") == ["b", "a"]


def test_a_budget_leaves_the_least_important_out() -> None:
    """By priority, then by insertion order; what was left out may come another time."""
    entries = [
        entry("low.", "k", priority=1, insertion_order=50),
        entry("high", "k", priority=9, insertion_order=1),
        entry("mid1", "k", priority=5, insertion_order=1),
        entry("mid2", "k", priority=5, insertion_order=2),
    ]
    made = lore(*entries, token_budget=8)
    assert wake(made, "k") == ["high", "mid2"]
    assert wake(made, "k", turn=2, standing=["i1"]) == ["mid1", "low."]
    first = entry("gone", "k", priority=99, lines=["ignore_on_max_context"])
    free = entry("free", "k", priority=-5, extensions={"ignore_budget": True})
    assert wake(lore(first, *entries, free, token_budget=8), "k") == ["high", "mid2", "free"]
    assert wake(lore(*entries, token_budget=0), "k") == []


def test_what_is_left_out_wakes_nobody() -> None:
    """It has not been said."""
    made = lore(
        entry("A long tale of Otto.", "mill"), entry("dog", "Otto"), recursive_scanning=True,
        token_budget=10,
    )  # fmt: skip
    assert wake(made, "the mill") == []


def test_of_a_group_one_comes_up() -> None:
    """And while that stands, no other."""
    members = [entry(name, "k", extensions={"group": "mood"}) for name in ("a", "b", "c")]
    made = lore(*members)
    (first,) = wake(made, "k")
    assert wake(made, "k", turn=2, standing=["i1"]) == []
    assert first in "abc"
    drawn = {wake(lore(*members, seed=seed), "k")[0] for seed in range(40)}
    assert drawn == {"a", "b", "c"}


def test_macros_are_filled_in_keys_and_contents() -> None:
    """With what they stand for in this turn."""
    item = entry("{{char}} likes tea.", "{{char}}")

    def fill(text: str) -> str:
        return text.replace("{{char}}", "Aoi")

    assert wake(lore(item), "Who is Aoi?", fill=fill) == ["Aoi likes tea."]


def test_a_text_of_which_nothing_is_left_is_not_written() -> None:
    """It may wake others all the same."""
    made = lore(entry("{{// mill}}", "k"), recursive_scanning=True)
    assert wake(made, "k", fill=lambda text: text.replace("{{// mill}}", "")) == []


def test_several_books_have_budgets_of_their_own() -> None:
    """And depths."""
    books: list[Lorebook] = [
        book(entry("aaaa", "k"), token_budget=4, scan_depth=1),
        book(entry("bbbb", "k"), token_budget=4, scan_depth=3),
    ]
    made = Lore(books, seed=1, characters_per_token=1.0)
    assert wake(made, "k") == ["aaaa", "bbbb"]
    assert wake(made, "k", "x", "y", turn=2) == ["bbbb"]


def test_bad_patterns_are_told_once() -> None:
    """The others of the entry still count."""
    made = lore(entry("x", "/(/", "mill"))
    assert wake(made, "the mill") == ["x"]
    assert len(made.take_problems()) == 1
    assert wake(made, "the mill", turn=2) == ["x"]
    assert made.take_problems() == []


def test_a_book_from_sillytavern_works_as_it_did_there() -> None:
    """It says ``use_regex`` of every entry, and writes patterns between slashes."""
    raw = {
        "entries": [
            {
                "keys": ["old mill", "/drag(on|oness)/i"],
                "secondary_keys": ["night"],
                "selective": True,
                "content": "x",
                "use_regex": True,
                "insertion_order": 1,
                "extensions": {"selectiveLogic": 0, "prevent_recursion": False},
            }
        ]
    }
    made = Lore([read_book(raw)], seed=1)
    said = {"the Old Mill at night": 1, "a DRAGONESS by night": 1, "the old mill": 0, "night": 0}
    woken = {words: len(wake(made, words, turn=n)) for n, words in enumerate(said, start=1)}
    assert woken == said


def test_too_many_keys_are_refused() -> None:
    """With the number, the limit and the way out."""
    many = entry("x", *(f"k{n}" for n in range(MAX_KEYS)), secondary_keys=("s",))
    with pytest.raises(LimitExceeded, match="switch lore off") as caught:
        lore(many)
    assert (caught.value.value, caught.value.limit) == (MAX_KEYS + 1, MAX_KEYS)


@pytest.mark.parametrize("seed", range(10))
def test_any_history_is_told_once_and_can_be_told_again(seed: int) -> None:
    """Nothing that stands is doubled, nothing that is said is missing, twice the same."""
    words = [f"word{n}" for n in range(12)]
    entries = [entry(f"About {word}.", word) for word in words]

    def history() -> list[list[str]]:
        draw = random.Random(seed)
        made = lore(*entries, scan_depth=1)
        standing: dict[str, list[str]] = {}
        told = []
        for turn in range(1, 30):
            said = draw.sample(words, 3)
            known = {text for texts in standing.values() for text in texts}
            woken = wake(made, " ".join(said), turn=turn, standing=list(standing))
            assert not known & set(woken)
            assert known | set(woken) >= {f"About {word}." for word in said}
            standing[f"i{turn}"] = woken
            if draw.random() < 0.3:
                del standing[draw.choice(list(standing))]
            told.append(woken)
        return told

    assert history() == history()
