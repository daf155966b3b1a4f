"""A journal merges what waits, numbers what leaves, and can tell again what may have been lost."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from server.resume.journal import Journal
from server.resume.told import MAX_LOST_ENDS, MAX_LOST_ITEMS
from tests.support.said import Said, make_rules

ROOM = 10**6


def make(max_told_bytes: int = ROOM) -> Journal[Said]:
    """An empty one."""
    return Journal(make_rules(), max_told_bytes=max_told_bytes)


def add(journal: Journal[Said], *events: Said) -> None:
    """Let events wait."""
    for event in events:
        journal.add(event)


class TestWaiting:
    """What is merged while it waits, and what is not."""

    def test_text_of_one_item_merges(self) -> None:
        """Adjacent deltas of an item leave as one."""
        journal = make()
        add(journal, Said("a", "item"), Said("b", "item"), Said("c", "item"))
        assert journal.take(0) == [b"1:abc"]
        assert journal.num_merged == 2

    def test_items_do_not_mix(self) -> None:
        """Interleaved deltas of two items merge each with their own."""
        journal = make()
        add(journal, *(Said(*one) for one in (("a", "x"), ("1", "y"), ("b", "x"), ("2", "y"))))
        assert journal.take(0) == [b"1:ab", b"2:12"]

    def test_no_text_moves_past_another_event(self) -> None:
        """An event between two deltas keeps its place."""
        journal = make()
        add(journal, Said("a", "x"), Said("smile"), Said("b", "x"))
        assert journal.take(0) == [b"1:a", b"2:smile", b"3:b"]

    def test_a_waiting_event_is_told_as_it_was(self) -> None:
        """What an event describes may change while it waits; the message does not."""
        journal = make()
        journal.add(event := Said("in progress"))
        event.text = "completed"
        assert journal.take(0) == [b"1:in progress"]

    def test_nothing_waits_after_it_was_taken(self) -> None:
        """Later text starts a new delta."""
        journal = make()
        add(journal, Said("a", "x"))
        journal.take(0)
        assert (journal.has_untold, journal.num_untold_bytes) == (False, 0)
        add(journal, Said("b", "x"))
        assert journal.take(0) == [b"2:b"]

    def test_a_hold_keeps_what_is_behind_it(self) -> None:
        """What came before leaves; what came after, and text that would merge, waits."""
        journal = make()
        add(journal, Said("a", "x"))
        hold = journal.hold()
        add(journal, Said("b", "x"), Said("safe"))
        assert journal.take(0) == [b"1:a"]
        assert journal.take(0) == []
        hold.is_open = True
        assert journal.take(0) == [b"2:b", b"3:safe"]

    def test_holds_open_in_order(self) -> None:
        """One that is opened early waits for those before it."""
        journal = make()
        first = journal.hold()
        add(journal, Said("one"))
        second = journal.hold()
        add(journal, Said("two"))
        second.is_open = True
        assert journal.take(0) == []
        first.is_open = True
        assert journal.take(0) == [b"1:one", b"2:two"]

    def test_what_waits_can_be_dropped(self) -> None:
        """Nothing of it is told."""
        journal = make()
        journal.hold()
        add(journal, Said("a"), Said("b", "x"))
        journal.drop_untold()
        journal.check_integrity()
        assert not journal.has_untold


class TestComingBack:
    """What a client that comes back is told."""

    def test_what_was_seen_is_not_told_again(self) -> None:
        """Numbers go on from the last that was seen."""
        journal = make()
        for word in ("one", "two", "three"):
            journal.tell(Said(word), 0)
        assert journal.rewind(1) is None
        assert journal.take(0) == [b"2:two", b"3:three"]

    def test_deltas_merge_when_they_are_told_again(self) -> None:
        """Also with text that nobody has heard yet, and half of a row may have been seen."""
        journal = make()
        for word in "abcd":
            journal.tell(Said(word, "x"), 0)
        add(journal, Said("e", "x"))
        journal.pass_over(0)
        assert journal.rewind(2) is None
        assert journal.take(0) == [b"3:cde"]
        assert journal.last_number == 3

    def test_the_greeting_comes_first(self) -> None:
        """It takes the number behind the last that was seen."""
        journal = make()
        for word in ("one", "two"):
            journal.tell(Said(word), 0)
        journal.rewind(1)
        journal.put_first([Said("hello"), Said("again")])
        assert journal.take(0) == [b"2:hello", b"3:again", b"4:two"]

    def test_a_greeting_is_for_one_socket(self) -> None:
        """One that was lost is not told on the next socket, whether or not it was written."""
        journal = make()
        journal.tell(Said("one"), 0)
        for token in ("a", "b"):
            journal.rewind(0)
            journal.put_first([Said(f"hello {token}", is_greeting=True)])
        journal.take(0)
        journal.rewind(0)
        journal.check_integrity()
        journal.put_first([Said("hello c", is_greeting=True)])
        assert journal.take(0) == [b"1:hello c", b"2:one"]

    def test_text_goes_on_behind_what_is_told_again(self) -> None:
        """A delta that comes before anything was written joins the last."""
        journal = make()
        journal.tell(Said("a", "x"), 0)
        journal.rewind(0)
        add(journal, Said("b", "x"))
        assert journal.take(0) == [b"1:ab"]

    def test_what_is_held_stays_held(self) -> None:
        """Coming back opens no hold."""
        journal = make()
        journal.tell(Said("one"), 0)
        hold = journal.hold()
        add(journal, Said("two"))
        journal.rewind(0)
        assert journal.take(0) == [b"1:one"]
        hold.is_open = True
        assert journal.take(0) == [b"2:two"]

    @pytest.mark.parametrize("number", [-1, 3, 10**9])
    def test_a_number_that_was_never_told_is_refused(self, number: int) -> None:
        """And nothing is changed by it."""
        journal = make()
        journal.tell(Said("one"), 0)
        journal.tell(Said("two"), 0)
        with pytest.raises(ValueError, match=str(number)):
            journal.rewind(number)
        assert not journal.has_untold


class TestForgetting:
    """What becomes of a client whose place is forgotten."""

    def test_what_is_told_is_bounded(self) -> None:
        """The oldest goes; the books agree."""
        journal = make(2000)
        for number in range(100):
            journal.tell(Said("x" * 100, "item" if number % 3 else None), 0)
            journal.check_integrity()
        journal.rewind(0)
        assert journal.num_untold_bytes <= 2000

    def test_what_is_old_is_forgotten(self) -> None:
        """By the time at which it was told."""
        journal = make()
        journal.tell(Said("old", about="x"), 1)
        journal.tell(Said("new"), 5)
        journal.forget(5)
        gap = journal.rewind(0)
        assert gap is not None
        assert gap.items == frozenset("x")
        assert journal.take(0) == [b"1:new"]

    def test_a_client_that_saw_it_has_no_gap(self) -> None:
        """Forgetting what was seen costs nobody anything."""
        journal = make()
        journal.tell(Said("old"), 1)
        journal.tell(Said("new"), 5)
        journal.forget(5)
        assert journal.rewind(1) is None

    def test_what_was_told_of_an_item_with_a_gap_is_not_told_again(self) -> None:
        """What the item is now holds it; what others say is told, also behind a hold."""
        journal = make()
        journal.tell(Said("lost", "x"), 1)
        journal.tell(Said("face", about="x"), 5)
        journal.tell(Said("kept", "x"), 5)
        journal.tell(Said("other", "y"), 5)
        journal.hold().is_open = True
        add(journal, Said("waits", "x"))
        journal.forget(5)
        gap = journal.rewind(0)
        assert gap is not None
        assert gap.items == frozenset("x")
        assert journal.take(0) == [b"1:other"]

    def test_ends_are_told_also_when_they_were_forgotten(self) -> None:
        """Somebody waits for them; the newest few are kept."""
        journal = make()
        for number in range(MAX_LOST_ENDS + 3):
            journal.tell(Said(f"end {number}", is_end=True), 1)
        journal.forget(5)
        assert journal.rewind(0) is not None
        assert len(journal.take(0)) == MAX_LOST_ENDS

    def test_a_client_that_does_not_know_its_place_hears_no_text_twice(self) -> None:
        """Every item that was spoken of is told anew, and only ends are told again."""
        journal = make()
        journal.tell(Said("added", about="x"), 0)
        journal.tell(Said("text", "x"), 0)
        journal.tell(Said("end", is_end=True), 0)
        gap = journal.rewind(None)
        assert gap is not None
        assert gap.items == frozenset("x")
        assert journal.take(0) == [b"4:end"]

    def test_a_gap_is_there_until_its_greeting_was_seen(self) -> None:
        """A greeting that was lost took what it told of the items along; that is told anew."""
        journal = make()
        journal.tell(Said("lost", "x"), 1)
        journal.forget(5)
        journal.tell(Said("text", "x"), 9)
        for state in ("early", "late"):
            gap = journal.rewind(0)
            assert gap is not None
            assert gap.items == frozenset("x")
            journal.put_first([Said("hello", is_greeting=True), Said(state, about="x")])
            journal.check_integrity()
        journal.take(9)
        assert journal.rewind(1) is None
        assert journal.take(9) == [b"2:late"]

    @pytest.mark.parametrize(("after", "missed"), [(1, "yz"), (2, "z"), (None, "xyz")])
    def test_a_client_that_goes_back_behind_what_it_has_seen_has_a_gap(
        self, after: int | None, missed: str
    ) -> None:
        """What it once said it had seen is not kept for it, but what it was about is known."""
        journal = make()
        journal.tell(Said("one", about="x"), 1)
        journal.tell(Said("two", about="y"), 1)
        for text in "ab":
            journal.tell(Said(text, "z"), 1)
        assert journal.rewind(3) is None
        gap = journal.rewind(after)
        assert gap is not None
        assert gap.items == frozenset(missed)
        assert journal.take(2) == []
        again = journal.rewind(None)
        assert again is not None
        assert again.items == frozenset("xyz")

    def test_a_client_that_goes_back_behind_a_gap_is_told_of_it_again(self) -> None:
        """It had heard the greeting that was told with it, or says so."""
        journal = make()
        journal.tell(Said("one"), 1)
        journal.tell(Said("lost", about="x"), 1)
        for after in (None, 3):
            journal.rewind(after)
            if after is None:
                journal.put_first([Said("hello", is_greeting=True), Said("now", about="x")])
            else:
                journal.put_first([Said("hello again", is_greeting=True)])
            journal.take(1)
        gap = journal.rewind(1)
        assert gap is not None
        assert gap.items == frozenset("x")

    def test_what_is_held_comes_also_to_a_client_that_does_not_know_its_place(self) -> None:
        """It cannot have seen what was never told."""
        journal = make()
        journal.tell(Said("one"), 1)
        hold = journal.hold()
        journal.add(Said("two", about="x"))
        assert journal.rewind(None) is not None
        hold.is_open = True
        assert journal.take(2) == [b"2:two"]

    def test_too_many_forgotten_items_are_any(self) -> None:
        """Beyond the bound nobody knows which they were."""
        journal = make()
        for number in range(MAX_LOST_ITEMS + 1):
            journal.tell(Said("said", about=f"item {number}"), 1)
        journal.forget(5)
        gap = journal.rewind(0)
        assert gap is not None
        assert gap.items is None


@dataclass
class Client:
    """Hears what comes, over any number of sockets.

    Attributes:
        last: The last number that it has heard.
        texts: What it has of each item.
        others: Other events, in order.
    """

    last: int = 0
    texts: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def hear(self, payload: bytes) -> None:
        """Take one message; numbers rise by one."""
        number, _, rest = payload.decode().partition(":")
        assert int(number) == self.last + 1
        self.last += 1
        kind, _, text = rest.partition("=")
        if kind in ("x", "y"):
            self.texts[kind] = self.texts.get(kind, "") + text
        else:
            self.others.append(rest)


def delta(item: str, text: str) -> Said:
    """A delta that says whose it is, once at the beginning of a message."""
    return Said(text, item)


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_lost_and_nothing_comes_twice(seed: int) -> None:
    """Whatever waits, is held or is lost with a socket: the client has it all, once, in order."""
    rng = random.Random(seed)
    rules = make_rules()
    object.__setattr__(
        rules,
        "encode",
        lambda event, name: f"{name}:{event.item or 'event'}={event.text}".encode(),
    )
    journal: Journal[Said] = Journal(rules, max_told_bytes=ROOM)
    client, holds = Client(), []
    said: dict[str, str] = {}
    others: list[str] = []
    for number in range(400):
        match rng.randrange(8):
            case 0 | 1 | 2 | 3:
                item = rng.choice("xy")
                event = delta(item, f"<{number}>")
                said[item] = said.get(item, "") + event.text
                journal.add(event)
            case 4:
                others.append(f"event={number}")
                journal.add(Said(str(number)))
            case 5:
                wire = journal.take(number)
                heard = rng.randint(0, len(wire)) if rng.random() < 0.4 else len(wire)
                for payload in wire[:heard]:
                    client.hear(payload)
                if heard < len(wire):
                    journal.add(Said("gone", about="z"))
                    others.append("event=gone")
                    journal.pass_over(number)
                    assert journal.rewind(client.last) is None
            case 6:
                holds.append(journal.hold())
            case 7:
                while holds:
                    holds.pop().is_open = True
        journal.check_integrity()
    for hold in holds:
        hold.is_open = True
    journal.rewind(client.last)
    for payload in journal.take(0):
        client.hear(payload)
    assert client.texts == said
    assert client.others == others
