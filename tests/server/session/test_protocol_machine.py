"""The protocol as a state machine: whatever client, engine and clock do, its promises hold.

Hypothesis makes up sequences, and makes a failing one as short as it can. A client draws its own
picture of the conversation from the wire, a store another from the changes that it is told; after
each step both are held against the session itself. Everything is derandomised: a run is the same
on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from engine.request import FinishReason
from server.conversation.entries import render_messages
from server.errors import ProtocolError
from server.protocol.codec import encode_server_event
from server.session.context import SessionContext
from server.session.effects import Send
from server.session.settings import SessionLimits
from server.text.tags import strip_tags
from tests.server.judge import Judge
from tests.server.mirror import Mirror, Notebook, as_told
from tests.server.talk import AOI, HARU, V1, Event, Talk, text_of
from tests.support.machines import run_machine

Thing = TypeVar("Thing")

PEOPLE = {character.id: character for character in (AOI, HARU)}
TOOL = {"type": "function", "name": "f"}
PIECES = ["[happy] ", "[sad]", "[ha", "ppy]", "Hello", " there", ". ", "葵", "[", "\n", "", "  "]
CALL = ["<tool_call>", '{"name": "f", "arguments": {"a": ', '"x"}}', "</tool_call>", "<to"]
PIECES += [*CALL, "".join(CALL[:4]), "".join(CALL[:4])]
TURNS = ["t1", "t2", "t3"]
GRANTS: list[list[str] | None] = [None, ["character.v1"], ["character.segment"], []]

index = st.integers(0, 7)
"""Chooses among whatever there is."""
words = st.sampled_from(["hi", "Haru?", "葵、hi", "[happy] Yes.", "x" * 60, ""])
wish = st.sampled_from(["error", "queue", "interrupt"])

SPOILT: list[Event] = [
    {"type": "conversation.item.create"},
    {"type": "conversation.item.create", "item": {"type": "message", "role": "judge"}},
    {"type": "conversation.item.create", "item": {"type": "message", "role": "user"}},
    {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_image"}]},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "c", "output": "5", "id": "root"},
    },
    {
        "type": "conversation.item.create",
        "previous_item_id": "nowhere",
        "item": {"type": "function_call_output", "call_id": "c", "output": "5"},
    },
    {"type": "conversation.item.delete", "item_id": "nowhere"},
    {"type": "conversation.item.retrieve", "item_id": 5},
    {"type": "conversation.item.truncate", "item_id": "nowhere", "text_end": 0},
    {"type": "response.create", "response": {"temperature": "hot"}},
    {"type": "response.create", "response": {"temperature": -3}},
    {"type": "response.create", "response": {"turn_id": ""}},
    {"type": "response.create", "response": {"turn_id": "t1", "conversation": "none"}},
    {"type": "response.create", "response": {"if_active": "maybe"}},
    {"type": "response.create", "response": {"input": [{"type": "item_reference", "id": "no"}]}},
    {"type": "response.cancel", "response_id": "resp_none"},
    {"type": "session.update", "session": {"model": "kaiwa-demo", "max_output_tokens": 0}},
    {"type": "session.update", "session": {"instructions": "x", "tools": [{"type": "f"}]}},
    {"type": "session.update", "session": {"character": {"id": "nobody"}}},
    {"type": "character.playback", "item_id": "nowhere", "text_end": 0, "state": "started"},
    {"type": "character.trigger", "name": ""},
    {"type": "character.greet", "index": 99},
    {"type": "character.context", "key": "", "text": "x"},
    {"type": "character.draft", "text": "x" * 100_000},
    {"type": "resume"},
    {},
]


class ProtocolMachine(RuleBasedStateMachine):
    """One conversation, in one session after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.num_said = 0
        self.num_sessions = 0
        self.sent_items: list[Event] = []  # as they were sent, of those that were taken
        self.asked: dict[str, Event] = {}  # requests for replies, by their event ids
        self.answers: dict[str, int] = {}  # to each of them
        self.finished: set[str] = set()  # what the engine has ended
        self.mirror = Mirror()
        self.notebook = Notebook()

    @initialize(
        model=st.sampled_from(["aoi", "kaiwa-demo"]),
        is_v1=st.booleans(),
        is_eager=st.booleans(),
        is_small=st.booleans(),
        has_tools=st.booleans(),
    )
    def connect(
        self, model: str, is_v1: bool, is_eager: bool, is_small: bool, has_tools: bool
    ) -> None:
        """A client is there."""
        self.options: dict[str, Any] = {
            "model": model,
            "granted": V1 if is_v1 else frozenset(),
            "limits": SessionLimits(
                max_items=6,
                max_parallel_responses=2,
                max_conversation_bytes=300 if is_small else 4000,
            ),
            "context": SessionContext(
                eager_prefill=is_eager, high_water_tokens=20, find_character=PEOPLE.get
            ),
        }
        self._open()
        if has_tools:
            self._say("session.update", session={"tools": [TOOL]})

    # What the client does.

    @rule(text=words, name=st.sampled_from([None, None, "a", "b", "c"]), role=index, place=index)
    def put_item(self, text: str, name: str | None, role: int, place: int) -> None:
        """Somebody says something, most often the user, most often at the end."""
        items: list[Event] = [
            {"type": "function_call_output", "call_id": "c", "output": text},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            message("system", text),
            message("assistant", text),
        ]
        item = items[role] if role < len(items) else message("user", text)
        self._send_item(item if name is None else {**item, "id": name}, place)

    @precondition(lambda self: self.sent_items)
    @rule(which=index, changes=st.booleans())
    def send_item_again(self, which: int, changes: bool) -> None:
        """A client does not know whether an item was taken, or takes its id for another one."""
        item = choose(self.sent_items, which)
        if changes:
            item = {**message("user", "Something else."), "id": item["id"]}
        is_known = item["id"] in self.mirror.ids
        before = self._state()
        known = self.mirror.item(item["id"]) if is_known else {}
        is_same = is_sent(item, known)
        sent = self._send_item(item, 7)
        if is_known and is_same:
            assert [event["type"] for event in sent] == [
                "conversation.item.added",
                "conversation.item.done",
            ]
            assert all(event["item"] == known for event in sent)
            assert self._state() == before
        elif is_known and is_same is not None:
            assert sent[0]["error"]["code"] == "item_create_duplicate_item_id"

    @precondition(lambda self: self.mirror.items)
    @rule(which=index)
    def send_back_what_was_told(self, which: int) -> None:
        """A client that goes on elsewhere sends the items that it has."""
        item = choose(self.mirror.items, which)
        if item["status"] == "in_progress":
            return
        before = self._state()
        sent = self._say("conversation.item.create", item=item)
        assert [event["item"] for event in sent] == [item, item]
        assert self._state() == before

    @rule(which=index, what=st.sampled_from(["delete", "truncate", "retrieve"]), end=index)
    def touch_item(self, which: int, what: str, end: int) -> None:
        """An item is changed, or asked for."""
        place = {"content_index": 0, "text_end": end} if what == "truncate" else {}
        self._say(f"conversation.item.{what}", item_id=self._item_id(which), **place)

    @rule(
        if_active=wish,
        conversation=st.sampled_from(["auto", "auto", "none"]),
        heard=st.none() | st.tuples(index, index),
        continues=st.none() | index,
        turn_id=st.none() | st.sampled_from(TURNS),
    )
    def ask(
        self,
        if_active: str,
        conversation: str,
        heard: tuple[int, int] | None,
        continues: int | None,
        turn_id: str | None,
    ) -> None:
        """A reply is asked for, now and then of a turn that has a name."""
        wish: Event = {"if_active": if_active, "conversation": conversation}
        if heard is not None:
            wish["heard"] = {"item_id": self._item_id(heard[0]), "text_end": heard[1]}
        if continues is not None:
            wish["continues"] = self._item_id(continues)
        if turn_id is not None:
            wish["turn_id"] = turn_id
        self._ask(wish)

    @precondition(lambda self: not self.talk.session.running_responses)
    @rule(
        turn_id=st.sampled_from(TURNS),
        text=words,
        pieces=st.lists(st.sampled_from(PIECES), max_size=4),
        keeps=st.booleans(),
    )
    def take_a_turn(self, turn_id: str, text: str, pieces: list[str], keeps: bool) -> None:
        """Somebody says something and is answered, without any trouble."""
        self._send_item(message("user", text), 7)
        self._ask({"turn_id": turn_id})
        for request_id in self.talk.session.running_responses:
            for piece in pieces:
                self._do(partial(self.talk.write, piece, request_id=request_id))
            if keeps:
                self.keep()
            self.finished.add(request_id)
            stop = partial(self.talk.write, "", FinishReason.STOP, request_id=request_id)
            self._do(stop)

    @rule(turn_id=st.sampled_from(TURNS), if_active=wish)
    def ask_again(self, turn_id: str, if_active: str) -> None:
        """A client does not know whether its turn was taken."""
        self._ask({"turn_id": turn_id, "if_active": if_active})

    @rule(which=st.none() | index)
    def cancel(self, which: int | None) -> None:
        """Some reply is called off, or the one with the floor."""
        running = self.talk.session.running_responses
        named = {} if which is None or not running else {"response_id": choose(running, which)}
        self._say("response.cancel", **named)

    @rule(which=index, end=index, state=st.sampled_from(["started", "finished", "interrupted"]))
    def play(self, which: int, end: int, state: str) -> None:
        """The client says what was heard."""
        played = {"text_end": end, "state": state}
        self._say("character.playback", item_id=self._item_id(which), **played)

    @rule(text=st.sampled_from(["", "Hello", "葵"]))
    def draft(self, text: str) -> None:
        """The user types."""
        self._say("character.draft", text=text)

    @rule(text=words, ttl=st.sampled_from([None, 1, 2]))
    def tell_context(self, text: str, ttl: int | None) -> None:
        """The character knows something."""
        self._say("character.context", key="sky", text=text, ttl_turns=ttl)

    @rule(if_active=wish)
    def trigger(self, if_active: str) -> None:
        """Something happens in the world."""
        event_id = f"gift_{self.num_said}"
        self.answers[event_id] = 0  # where it begins, nothing names it
        self._say("character.trigger", name="gift", if_active=if_active, event_id=event_id)

    @rule()
    def greet(self) -> None:
        """The character says its greeting."""
        self._say("character.greet")

    @rule(events=st.sampled_from(GRANTS), what=st.integers(0, 9))
    def set_up(self, events: list[str] | None, what: int) -> None:
        """The session is changed."""
        changes: list[Event] = [
            {"tools": [TOOL]},
            {"tools": [TOOL], "tool_choice": "required"},
            {"tools": []},
            {"character": {"group": ["aoi", "haru"]}},
            {"character": {"group": None}},
            {"character": {"proactive": {"idle_ms": 1000, "max_per_hour": 100}}},
            {"truncation": "disabled"},
            {"character": {"expressions": ["angry"], "tags": {"mode": "prompt"}}},
            {"character": {"expressions": None, "tags": {"mode": "off"}}},
            {"character": {"memory": {"summary": "They have met."}}},
        ]
        self._say("session.update", session=choose(changes, what))
        if events is not None:
            self._say("session.update", session={"character": {"events": events}})
            self.judge.forget_state()

    @rule(event=st.sampled_from(SPOILT))
    def talk_nonsense(self, event: Event) -> None:
        """What cannot be done is refused, and that is all."""
        before = self._state()
        fields = {key: value for key, value in event.items() if key != "type"}
        (sent,) = self._say(event.get("type"), **fields)
        assert sent["type"] == "error"
        assert self._state() == before

    # What the engine does.

    @precondition(lambda self: self.talk.generates)
    @rule(texts=st.lists(st.sampled_from(PIECES), min_size=1, max_size=3), which=index)
    def write(self, texts: list[str], which: int) -> None:
        """It writes, also of what was called off."""
        request_id = self._request(which)
        if request_id in self.finished:
            return
        is_running = request_id in self.talk.session.running_responses
        for text in texts:
            sent = self._do(partial(self.talk.write, text, request_id=request_id))
            assert is_running or not sent

    @precondition(lambda self: self.talk.generates)
    @rule(
        text=st.sampled_from(PIECES),
        reason=st.sampled_from([FinishReason.STOP, FinishReason.STOP, *FinishReason]),
        which=index,
    )
    def end(self, text: str, reason: FinishReason, which: int) -> None:
        """A request ends, once, in one way or another."""
        request_id = self._request(which)
        if request_id in self.finished:
            return
        self.finished.add(request_id)
        self._do(lambda: self.talk.write(text, reason, request_id=request_id))

    @precondition(lambda self: self.talk.session.running_responses)
    @rule(which=index)
    def fail(self, which: int) -> None:
        """A prompt could not be made."""
        request_id = choose(self.talk.session.running_responses, which)
        self.finished.add(request_id)
        error = ProtocolError("prompt_too_long", "it is too long")
        session, now = self.talk.session, self.talk.now
        self._do(lambda: self.talk.carry_out(session.fail_generation(request_id, error, now)))

    @rule()
    def lose_the_listener(self) -> None:
        """Nobody has listened for long; what there is of a reply is kept, and the session lives."""
        session, now = self.talk.session, self.talk.now
        self._do(lambda: self.talk.carry_out(session.abandon(now)))
        assert session.running_responses == []

    @rule(writes_summary=st.booleans())
    def remember_less(self, writes_summary: bool) -> None:
        """The model's memory was made shorter."""
        session = self.talk.session
        effects = session.compacted(50, 20)
        if writes_summary:
            effects = session.summarised("They talked.", 50, 20)
        session.note_read(2)
        self._do(lambda: self.talk.carry_out(effects))

    # What else happens.

    @rule()
    def let_time_pass(self) -> None:
        """Until somebody wants to speak by itself, if ever."""
        if self.talk.wakes_at is not None:
            self._do(self.talk.wait, is_asked=False)

    @rule()
    def keep(self) -> None:
        """A store asks what has changed."""
        conversation = self.talk.session.conversation
        self.notebook.apply(self.talk.session.take_changes())
        assert self.notebook.entries == [
            entry for entry in conversation.entries if not entry.is_in_progress
        ]

    @rule()
    def go_on_elsewhere(self) -> None:
        """The session ends, and another goes on with what the store has."""
        self._close()
        before = self.talk.session.conversation
        self._open(self.notebook)
        conversation = self.talk.session.conversation
        kept = [entry for entry in self.notebook.entries if entry.id in conversation]
        if len(kept) == len(before):
            assert render_messages(conversation.entries) == render_messages(before.entries)
        assert kept == self.notebook.entries[len(self.notebook.entries) - len(kept) :]
        self.notebook.entries = kept  # a reply may run over the bounds, and a store keeps that
        gone = set(self.mirror.ids) - set(conversation.item_ids)
        for item_id in gone:
            self.mirror.read({"type": "conversation.item.deleted", "item_id": item_id}, V1)

    def teardown(self) -> None:
        """The socket goes."""
        if hasattr(self, "talk"):
            self._close()

    # What always holds.

    @invariant()
    def pictures_are_true(self) -> None:
        """Client and books agree with the session."""
        if not hasattr(self, "talk"):
            return
        session = self.talk.session
        session.conversation.check_integrity()
        assert self.mirror.ids == session.conversation.item_ids
        for entry, item in zip(session.conversation.entries, self.mirror.items, strict=True):
            assert entry.is_in_progress or as_told(entry.item) == item
            if entry.raw_texts and not entry.is_in_progress:
                faces, motions = entry.tags.shown_expressions, entry.tags.shown_motions
                clean = [strip_tags(text, faces, motions) for text in entry.raw_texts]
                assert "\n".join(clean) == entry.words
        assert self.judge.open_responses == set(session.running_responses)
        requests = [generate.request_id for generate in self.talk.generates]
        assert len(set(requests)) == len(requests)
        assert set(requests) - set(self.talk.aborts) - self.finished == self.judge.open_responses
        assert all(count <= 1 for count in self.answers.values())

    # How all of it is done.

    def _open(self, notebook: Notebook | None = None) -> None:
        self.num_sessions += 1
        stem = f"s{self.num_sessions}"
        self.talk = Talk(session_id=f"sess_{stem}", **self.options)
        self.judge = Judge(stem)
        self.finished = set()
        if notebook is not None:
            kept = notebook.entries
            self.talk.session.restore("conv_kept", kept, notebook.summary)
        self._do(self.talk.open)

    def _close(self) -> None:
        session, now = self.talk.session, self.talk.now
        self._do(lambda: self.talk.carry_out(session.close(now)))
        assert self.judge.open_responses == set()
        assert all(self.answers[asked] == 1 for asked in self.asked)
        self.keep()

    def _do(
        self, act: Callable[[], list[Event]], event_id: str | None = None, *, is_asked: bool = True
    ) -> list[Event]:
        """Do something, and read what is sent.

        Args:
            act: What.
            event_id: Of the client's event.
            is_asked: False where nobody has asked for it.
        """
        sent = act()
        for event in sent:
            if event["type"] == "error" and is_asked:
                named = event["error"]["event_id"]
                assert named == event_id or named in self.answers
        for event in sent:
            self.judge.read(event)
            self.mirror.read(event, self.talk.session.granted_events)
            if event["type"] == "response.created":
                self._note_answer((event["response"]["metadata"] or {}).get("asked"))
            if event["type"] == "error":
                self._note_answer(event["error"]["event_id"])
        return sent

    def _note_answer(self, event_id: str | None) -> None:
        if event_id in self.answers:
            self.answers[event_id] += 1

    def _say(self, type: str | None, **fields: Any) -> list[Event]:
        """Send an event; what is refused must have changed nothing."""
        self.num_said += 1
        event_id = fields.setdefault("event_id", f"said_{self.num_said}")
        before = self._state()
        sent = self._do(lambda: self.talk.say(type, **fields), event_id)  # type: ignore[arg-type]
        if sent and sent[0]["type"] == "error" and sent[0]["error"]["event_id"] == event_id:
            assert len(sent) == 1
            assert self._state() == before
        return sent

    def _send_item(self, item: Event, place: int) -> list[Event]:
        ids = ["root", *self.mirror.ids]
        fields: Event = {"previous_item_id": ids[place]} if place < min(4, len(ids)) else {}
        sent = self._say("conversation.item.create", item=item, **fields)
        added = [event for event in sent if event["type"] == "conversation.item.added"]
        if added:
            self.sent_items.append({**item, "id": added[0]["item"]["id"]})
        return sent

    def _ask(self, wish: Event) -> None:
        event_id = f"ask_{len(self.asked)}"
        turn_id = wish.get("turn_id", "")
        alive = self.mirror.alive(turn_id)
        text = "".join(as_words(self.mirror.item(item_id)) for item_id in alive)
        is_waiting = any(
            self.answers[asked] == 0 and wanted.get("turn_id") == turn_id
            for asked, wanted in self.asked.items()
        )
        is_running = turn_id in self.mirror.running_turns or (bool(turn_id) and is_waiting)
        self.asked[event_id], self.answers[event_id] = wish, 0
        before = self._state()
        metadata = {"asked": event_id}
        response = {**wish, "metadata": metadata}
        sent = self._say("response.create", event_id=event_id, response=response)
        is_refused = bool(sent) and sent[0]["type"] == "error"
        code = sent[0]["error"]["code"] if is_refused else ""
        if turn_id and wish.get("conversation") == "none":
            assert code == "unsupported"
        elif alive:
            assert sent[0]["response"]["replayed"] is True
            assert text_of(sent) == text
            assert self._state() == before
        else:
            assert (code == "turn_already_running") == is_running
            assert not any(event.get("response", {}).get("replayed") for event in sent)

    def _state(self) -> Any:
        """Everything that anybody could notice later."""
        talk, session = self.talk, self.talk.session
        described = [
            encode_server_event(effect.event)
            for effect in session.open(talk.now)
            if isinstance(effect, Send)
        ]
        return (
            [(entry.id, repr(entry)) for entry in session.conversation.entries],
            session.conversation.messages(),
            session.conversation.num_bytes,
            session.running_responses,
            session.granted_events,
            described,
            len(talk.generates),
            len(talk.aborts),
            len(talk.ahead),
            len(talk.heard),
            talk.wakes_at,
        )

    def _item_id(self, which: int) -> str:
        """One of the newest items, most often the newest; now and then none."""
        newest = [*reversed(self.mirror.ids), "nowhere"]
        return newest[min(which, len(newest) - 1)]

    def _request(self, which: int) -> str:
        """One of the newest requests, most often the newest."""
        newest = self.talk.generates[::-1]
        return newest[which if which < min(3, len(newest)) else 0].request_id


def message(role: str, text: str) -> Event:
    """A message as clients send it."""
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def choose(things: list[Thing], which: int) -> Thing:
    """One of them."""
    return things[which % len(things)]


def is_sent(item: Event, known: Event) -> bool | None:
    """Whether what is sent is what is there; ``None`` where only the server can say so."""
    if item.get("role") == known.get("role") == "assistant":
        return None  # it knows of tags, and what was heard
    return all(known.get(key) == value for key, value in item.items())


def as_words(item: Event) -> str:
    """What the deltas of an item come to."""
    if item["type"] == "message":
        return "".join(part["text"] for part in item["content"])
    arguments: str = item["arguments"]
    return arguments


def test_any_sequence_keeps_the_promises_of_the_protocol() -> None:
    """A few short ones, each time."""
    run_machine(ProtocolMachine, num_sequences=30, num_steps=15)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_sequences_keep_the_promises_of_the_protocol() -> None:
    """Many longer ones."""
    run_machine(ProtocolMachine, num_sequences=1000, num_steps=40)
