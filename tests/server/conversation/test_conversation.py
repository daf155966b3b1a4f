"""Items in, order and messages out."""

from __future__ import annotations

import random

import pytest

from engine.chat_template import ChatMessage
from engine.tool_dialect import ToolCall
from server.conversation.conversation import Conversation
from server.conversation.entries import Entry
from server.conversation.items import accept_item
from server.errors import DuplicateItem, ItemNotFound, LimitExceeded, ProtocolError
from server.protocol.items import (
    ContentPart,
    FunctionCallItem,
    FunctionCallOutputItem,
    Item,
    MessageItem,
    Role,
)
from server.text.tag_rules import TagRules

TAGS = TagRules(expressions=("happy", "sad"))


def make(*, max_items: int = 100, max_bytes: int = 10_000) -> Conversation:
    """An empty conversation."""
    return Conversation("conv_t", max_items=max_items, max_bytes=max_bytes)


def accept(item: Item, max_bytes: int = 1000) -> Entry:
    """Take a client's item in."""
    return accept_item(item, item_id="made", tags=TAGS, max_bytes=max_bytes, path="item")


def message(item_id: str, text: str = "hi", role: Role = "user") -> Entry:
    """One message as an entry."""
    part = ContentPart(type="text", text=text)
    return accept(MessageItem(id=item_id, role=role, content=[part]))


def fill(conversation: Conversation, *entries: Entry) -> Conversation:
    """Append entries."""
    for entry in entries:
        conversation.insert(entry, None)
    return conversation


def test_items_go_to_the_end_the_start_or_after_another() -> None:
    """The three forms of ``previous_item_id``, each answered with the item before."""
    conversation = make()
    assert conversation.insert(message("b"), None) is None
    assert conversation.insert(message("d"), None) == "b"
    assert conversation.insert(message("a"), "root") is None
    assert conversation.insert(message("c"), "b") == "b"
    assert conversation.item_ids == ["a", "b", "c", "d"]
    assert conversation.previous_id("c") == "b"


def test_an_unknown_place_is_refused_and_nothing_added() -> None:
    """An unknown ``previous_item_id`` is ``item_not_found``."""
    conversation = fill(make(), message("a"))
    with pytest.raises(ItemNotFound) as caught:
        conversation.insert(message("b"), "nowhere")
    assert caught.value.param == "previous_item_id"
    assert conversation.item_ids == ["a"]


def test_an_id_is_used_once() -> None:
    """LiveKit takes this very code for success."""
    with pytest.raises(DuplicateItem) as caught:
        fill(make(), message("a"), message("a"))
    assert caught.value.code == "item_create_duplicate_item_id"


def test_deleted_items_are_gone() -> None:
    """A second delete is ``item_not_found``."""
    conversation = fill(make(), message("a"))
    conversation.delete("a")
    with pytest.raises(ItemNotFound):
        conversation.delete("a")
    assert len(conversation) == conversation.num_bytes == 0


def test_the_model_sees_tags_and_the_client_does_not() -> None:
    """An assistant's message is kept raw and clean."""
    conversation = fill(make(), message("a", "[happy] Hi [sad] you", "assistant"))
    item = conversation.entry("a").item
    assert isinstance(item, MessageItem)
    assert item.content[0].text == "Hi you"
    assert conversation.messages() == [ChatMessage("assistant", "[happy] Hi [sad] you")]


def test_a_users_brackets_are_their_own() -> None:
    """Only the character's words are searched for tags."""
    conversation = fill(make(), message("a", "[happy] to meet you"))
    assert conversation.messages() == [ChatMessage("user", "[happy] to meet you")]


def test_functions_are_shown_to_the_model() -> None:
    """A call and its output know each other."""
    conversation = fill(
        make(),
        accept(FunctionCallItem(id="f", name="roll", arguments='{"n":6}', call_id="c1")),
        accept(FunctionCallOutputItem(id="g", call_id="c1", output="")),
        accept(FunctionCallOutputItem(id="h", call_id="gone", output="5")),
    )
    assert conversation.messages() == [
        ChatMessage("assistant", "", (ToolCall("c1", "roll", '{"n":6}'),)),
        ChatMessage("tool", "", (), "c1", "roll"),
        ChatMessage("tool", "5", (), "gone"),
    ]


def test_calls_belong_to_the_words_before_them() -> None:
    """One message of the assistant's, as models learned it; a result ends it."""
    conversation = fill(
        make(),
        message("a", "Well.", role="assistant"),
        *(accept(FunctionCallItem(id=i, name=i, arguments="{}", call_id=i)) for i in "bc"),
        accept(FunctionCallOutputItem(id="d", call_id="b", output="1")),
        accept(FunctionCallItem(id="e", name="e", arguments="{}", call_id="e")),
    )
    calls = [ToolCall(i, i, "{}") for i in "bce"]
    assert conversation.messages() == [
        ChatMessage("assistant", "Well.", tuple(calls[:2])),
        ChatMessage("tool", "1", (), "b", "b"),
        ChatMessage("assistant", "", (calls[2],)),
    ]


def test_a_call_that_broke_off_is_not_shown_to_the_model() -> None:
    """Its arguments are no JSON, and nobody will answer it."""
    conversation = make()
    item = FunctionCallItem(id="f", status="in_progress", name="roll", arguments="", call_id="c")
    conversation.insert(Entry(item), None)
    assert conversation.messages() == []
    broken = FunctionCallItem(id="f", status="incomplete", name="r", arguments='{"', call_id="c")
    conversation.finish_reply(broken, "")
    assert conversation.messages() == []
    assert conversation.num_bytes == len('r{"c')
    conversation.check_integrity()


def test_audio_is_kept_as_its_transcript() -> None:
    """The bytes are thrown away, the words are read."""
    part = ContentPart(type="input_audio", audio="AAAA", transcript="hi")
    entry = accept(MessageItem(id="a", role="user", content=[part]))
    assert isinstance(entry.item, MessageItem)
    assert entry.item.content[0].audio is None
    assert fill(make(), entry).messages() == [ChatMessage("user", "hi")]


@pytest.mark.parametrize(
    ("role", "part", "code", "param"),
    [
        ("user", ContentPart(type="output_text", text="x"), "invalid_value", "content[0].type"),
        ("assistant", ContentPart(type="input_text", text="x"), "invalid_value", "content[0].type"),
        ("user", ContentPart(type="input_text"), "missing_required_parameter", "content[0].text"),
        ("user", ContentPart(type="input_image"), "unsupported_modality", "content[0].type"),
        ("user", ContentPart(type="input_audio"), "unsupported_modality", "content[0].type"),
        ("user", ContentPart(type="input_text", text="é" * 600), "limit_exceeded", None),
    ],
)
def test_a_part_that_cannot_be_is_refused(
    role: Role, part: ContentPart, code: str, param: str | None
) -> None:
    """Wrong for the role, without words, or too large: named by its path."""
    with pytest.raises(ProtocolError) as caught:
        accept(MessageItem(role=role, content=[part]))
    assert caught.value.code == code
    assert caught.value.param == (f"item.{param}" if param else "item")


@pytest.mark.parametrize("item_id", ["", "root", "x" * 129])
def test_an_id_that_cannot_be_is_refused(item_id: str) -> None:
    """``root`` has a meaning of its own, and ids have a length."""
    with pytest.raises(ProtocolError) as caught:
        message(item_id)
    assert caught.value.param == "item.id"


def test_a_client_without_an_id_gets_one() -> None:
    """The server's choice is used where the client has none."""
    assert accept(MessageItem(role="user", content=[])).id == "made"


def test_truncation_keeps_what_was_heard() -> None:
    """Clean text is cut at the code point, the model's text at the same place, tags kept."""
    conversation = fill(make(), message("a", "[happy] Hello. [sad] Oh no.", "assistant"))
    conversation.truncate("a", 0, 6)
    item = conversation.entry("a").item
    assert isinstance(item, MessageItem)
    assert item.content[0].text == "Hello."
    assert conversation.messages() == [ChatMessage("assistant", "[happy] Hello.")]
    conversation.check_integrity()


def test_truncation_to_nothing_leaves_the_model_nothing() -> None:
    """An unheard message is an item still, and no words."""
    conversation = fill(make(), message("a", "[happy] Hello.", "assistant"))
    conversation.truncate("a", 0, 0)
    assert conversation.messages() == []


def test_truncating_audio_drops_its_transcript() -> None:
    """Nobody knows which words were heard of so many milliseconds."""
    part = ContentPart(type="output_audio", transcript="Hello.")
    entry = accept(MessageItem(id="a", role="assistant", content=[part]))
    conversation = fill(make(), entry)
    conversation.truncate("a", 0, None)
    assert conversation.messages() == []


@pytest.mark.parametrize(
    ("item_id", "content_index", "text_end", "param"),
    [
        ("nobody", 0, 1, "item_id"),
        ("u", 0, 1, "item_id"),
        ("a", 1, 1, "content_index"),
        ("a", -1, 1, "content_index"),
        ("a", 0, 99, "text_end"),
        ("a", 0, -1, "text_end"),
        ("a", 0, None, "audio_end_ms"),
    ],
)
def test_a_truncation_that_cannot_be_is_refused(
    item_id: str, content_index: int, text_end: int | None, param: str
) -> None:
    """Nothing changes, and the field at fault is named."""
    conversation = fill(make(), message("u"), message("a", "Hello.", "assistant"))
    with pytest.raises(ProtocolError) as caught:
        conversation.truncate(item_id, content_index, text_end)
    assert caught.value.param == param
    assert conversation.messages()[1].content == "Hello."


def test_room_is_made_from_the_oldest_and_never_of_system_items() -> None:
    """The oldest words go first; the frame of the scene and the place asked for stay."""
    conversation = fill(
        make(max_items=4), message("s", role="system"), message("a"), message("b"), message("c")
    )
    assert conversation.make_room(message("d"), keep="a", evict=True) == ["b"]
    assert conversation.item_ids == ["s", "a", "c"]


def test_turns_leave_whole() -> None:
    """No answer outlives its question, and a new answer does not push its own question out."""
    turns = [message("q1"), message("a1", role="assistant"), message("q2")]
    conversation = fill(make(max_items=3), *turns)
    answer = message("a2", role="assistant")
    assert conversation.make_room(answer, keep=None, evict=True) == ["q1", "a1"]
    conversation.insert(answer, None)
    conversation.insert(message("b2", role="assistant"), None)
    with pytest.raises(LimitExceeded):
        conversation.make_room(message("c2", role="assistant"), keep=None, evict=True)
    assert conversation.item_ids == ["q2", "a2", "b2"]


def test_no_room_is_made_where_that_is_not_allowed() -> None:
    """With truncation disabled the refusal names number, limit and way out; nothing is lost."""
    conversation = fill(make(max_items=2), message("a"), message("b"))
    with pytest.raises(LimitExceeded, match=r"would be 3, and the limit is 2; delete") as caught:
        conversation.make_room(message("c"), keep=None, evict=False)
    assert (caught.value.value, caught.value.limit) == (3, 2)
    assert len(conversation) == 2


def test_bytes_are_bounded_as_items_are() -> None:
    """A large item pushes out as many old ones as it needs."""
    conversation = fill(make(max_bytes=100), message("a", "x" * 50), message("b", "y" * 50))
    assert conversation.make_room(message("c", "z" * 60), keep=None, evict=True) == ["a", "b"]
    with pytest.raises(LimitExceeded):
        conversation.check_insert(message("d", "z" * 101), None)


def test_the_books_agree_after_any_history() -> None:
    """Random inserts, deletes, truncations and evictions keep order, ids and bytes in step."""
    rng = random.Random(11)
    conversation = make(max_items=12, max_bytes=300)
    for step in range(2_000):
        ids = conversation.item_ids
        place = rng.choice([None, "root", "nowhere", *ids])
        try:
            match rng.randrange(4):
                case 0 if ids:
                    conversation.delete(rng.choice(ids))
                case 1 if ids:
                    conversation.truncate(rng.choice(ids), 0, rng.randrange(9))
                case _:
                    role: Role = rng.choice(["user", "assistant", "system"])
                    entry = message(f"i{rng.randrange(step + 1)}", "[sad] hé " * 3, role)
                    conversation.check_insert(entry, place)
                    conversation.make_room(entry, keep=place, evict=rng.random() < 0.8)
                    conversation.insert(entry, place)
        except ProtocolError:
            pass
        conversation.check_integrity()
        assert len(conversation) <= 12
        assert conversation.num_bytes <= 300


def test_a_conversation_goes_on_from_what_was_kept() -> None:
    """Under its old name, with entries of its own, and nothing to be written down."""
    old = [message("a"), message("r", "Hello there.", "assistant")]
    conversation = make()
    conversation.restore("conv_9", old, "It rains.")
    assert (conversation.id, conversation.item_ids) == ("conv_9", ["a", "r"])
    assert conversation.take_changes() == []
    assert conversation.messages()[0].content == "It rains."
    conversation.check_integrity()
    conversation.truncate("r", 0, 5)
    assert old[1].raw_texts == ["Hello there."]
    assert len(conversation.take_changes()) == 1


def test_of_too_much_that_was_kept_the_oldest_is_left_out() -> None:
    """The bounds may have been set lower since."""
    few = make(max_items=8)
    few.restore("conv_9", [message(f"i{number}") for number in range(20)])
    assert few.item_ids == [f"i{number}" for number in range(12, 20)]
    short = make(max_bytes=5)
    short.restore("conv_9", [message(f"i{number}") for number in range(4)])
    assert short.item_ids == ["i2", "i3"]
    short.check_integrity()


def test_a_note_goes_behind_the_last_item() -> None:
    """A second one behind the first; the client's items stay as they are."""
    conversation = fill(make(), message("a"), message("b", "yes", "assistant"), message("c", "so"))
    shown = conversation.entry("c").item
    conversation.add_note("one")
    conversation.add_note("")
    conversation.add_note("two")
    assert conversation.messages()[-2:] == [
        ChatMessage("user", "so"),
        ChatMessage("system", "one\n\ntwo"),
    ]
    assert conversation.entry("c").item is shown
    assert conversation.num_bytes == 2 + 3 + 2 + 8
    conversation.check_integrity()


def test_a_note_before_the_first_item_is_read_first_and_stays() -> None:
    """Also once the items behind it are gone."""
    conversation = make()
    conversation.add_note("first")
    fill(conversation, message("a"))
    conversation.delete("a")
    assert conversation.messages() == [ChatMessage("system", "first")]
    assert conversation.num_bytes == 5
    conversation.check_integrity()


def test_a_note_goes_with_its_item_and_survives_its_truncation() -> None:
    """It belongs to the item, not to its words."""
    conversation = fill(make(), message("a"), message("b", "[happy] Hi there.", "assistant"))
    conversation.add_note("note")
    conversation.truncate("b", 0, 2)
    assert conversation.messages()[-1] == ChatMessage("system", "note")
    conversation.check_integrity()
    conversation.delete("b")
    assert conversation.messages() == [ChatMessage("user", "hi")]
    conversation.check_integrity()


def test_a_note_that_is_too_large_is_refused_before_it_is_written() -> None:
    """With the bound; the newest turn stays, and a conversation that may not be cut stays whole."""
    conversation = fill(make(max_bytes=10), message("z", "old"), message("a", "hello"))
    for note, evict, value in (("1234567", True, 15), ("123", False, 11)):
        with pytest.raises(LimitExceeded) as caught:
            conversation.make_room_for_reply(note, evict=evict)
        assert (caught.value.value, caught.value.limit) == (value, 10)
        assert conversation.item_ids == ["z", "a"]
    assert conversation.make_room_for_reply("12345", evict=True) == ["z"]
    conversation.check_integrity()


def test_a_reply_may_run_over_the_bounds_and_the_next_one_makes_room() -> None:
    """Nobody knows how long it will be; the question that it answers stays."""
    conversation = fill(make(max_items=2), message("a"), message("b"))
    assert conversation.make_room_for_reply("", evict=True) == []
    fill(conversation, message("r1", "yes", "assistant"))
    assert conversation.make_room_for_reply("", evict=True) == ["a"]
    fill(conversation, message("r2", "yes", "assistant"))
    with pytest.raises(LimitExceeded, match="items in the conversation would be 3"):
        conversation.make_room_for_reply("", evict=True)
    conversation.check_integrity()


def test_an_item_makes_room_for_its_note_too() -> None:
    """Where it has the note before it is inserted."""
    conversation = fill(make(max_bytes=20), message("a", "0123456789"), message("b", "01234"))
    newest = message("c", "hi")
    newest.add_note("0123456789")
    assert conversation.make_room(newest, keep=None, evict=True) == ["a"]
    conversation.insert(newest, None)
    assert conversation.num_bytes == 17
    conversation.check_integrity()
