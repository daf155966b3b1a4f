"""Random histories of one session, with every promise of the wire checked after each step.

The client creates, deletes, truncates, asks, waits, speaks over, triggers, greets, reports what was
heard, changes who speaks and cancels; time passes; the engine writes, ends, fails and aborts, also
after it was told to stop. Whatever the order: a created response is done exactly once and as the
last of its events, they come in the order of the chain, its deltas add up to its text, what is
asked for is answered once, and ids rise by one.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from engine.request import FinishReason
from server.errors import ProtocolError
from server.protocol.codec import decode_client_event
from server.session.context import SessionContext
from server.session.settings import SessionLimits
from tests.server.frames import spoilt_frame
from tests.server.judge import Judge
from tests.server.talk import AOI, HARU, Event, Talk

PLAYED = ["started", "finished", "interrupted", "elsewhere"]
PIECES = ["[happy] ", "[sad]", "[ha", "ppy]", "Hello", " there", ". ", "葵", "[", "\n", ""]
PIECES += [
    "<tool_call>",
    '{"name": "f", ',
    '"arguments": {"a": ',
    '"[sad]"}}',
    "</tool_call>",
    "<to",
]
TOOLS = [{"type": "function", "name": "f"}]
PEOPLE = {character.id: character for character in (AOI, HARU)}
CARD = {
    "spec": "chara_card_v2",
    "data": {
        "name": "Mio",
        "first_mes": "[sad] Oh. It is you.",
        "post_history_instructions": "Stay in character.",
        "character_book": {
            "entries": [{"keys": ["hi"], "content": "Hello means goodbye.", "enabled": True}]
        },
    },
}
CASTS: list[dict[str, Any]] = [
    {"group": ["aoi", "haru"]},
    {"group": None},
    {"id": "haru"},
    {"id": "aoi"},
    {"id": "nobody"},
    {"card": CARD},
    {"card": {"spec": "chara_card_v2"}},
    {"expressions": ["happy"], "motions": ["wave"]},
    {"expressions": None, "motions": None},
    {"tags": {"mode": "enforced", "every": "reply"}},
    {"tags": {"mode": "off"}},
    {"tags": {"mode": "loud"}},
    {"tags": None, "user_name": "Ken"},
    {"memory": {"summary": "They have met.", "auto": False}},
    {"memory": None, "lore": False},
    {"lore": None, "greeting_index": 7},
    {"proactive": {"idle_ms": 1000, "max_per_hour": 100}},
    {"proactive": None, "visemes": {"scheme": "oculus"}},
    {"segment": {"first_min": 1, "min": 1, "max": 20}},
    {"segment": None},
]


MOST_AT_ONCE = 4
"""Items that one reply may bring."""


class History:
    """One random life of one session."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        granted = frozenset({"character.v1"} if seed % 2 else set())
        self.is_standard = not granted
        self.talk = Talk(
            "aoi" if seed % 3 else "kaiwa-demo",
            granted=granted,
            limits=SessionLimits(
                max_items=8,
                max_parallel_responses=3,
                max_conversation_bytes=400 if seed % 5 == 0 else 4000,
            ),
            context=SessionContext(
                eager_prefill=seed % 2 == 0, high_water_tokens=20, find_character=PEOPLE.get
            ),
        )
        self.judge = Judge()
        self.asked: list[str] = []
        self.accepted: set[str] = set()
        self.finished: set[str] = set()

    def step(self) -> None:
        """Let somebody do something, and judge what follows."""
        before = len(self.talk.events)
        self.rng.choice(
            [
                self.put_item,
                self.put_item,
                self.change_item,
                self.set_up,
                self.ask,
                self.ask,
                self.ask,
                self.trigger,
                self.cancel,
                self.report_playback,
                self.tell,
                self.let_time_pass,
                self.fail,
                self.end_one,
                self.end_one,
                *[self.write] * 8,
            ]
        )()
        self.check(self.talk.events[before:])

    @property
    def ids(self) -> list[str]:
        """Items that there are, and one that there is not."""
        return [*self.talk.session.conversation.item_ids, "nowhere"]

    @property
    def requests(self) -> list[str]:
        """That the engine was given."""
        return [generate.request_id for generate in self.talk.generates]

    def put_item(self) -> None:
        """Somebody has said something, or it is said of them."""
        rng = self.rng
        fields: dict[str, Any] = {"id": rng.choice(self.ids)} if rng.random() < 0.3 else {}
        if rng.random() < 0.2:
            fields |= {
                "role": "assistant",
                "content": [{"type": "output_text", "text": "[happy] Yes."}],
            }
        self.talk.user(rng.choice(["hi", "Haru?", "葵、hi", "x" * 60]), **fields)

    def change_item(self) -> None:
        """What was said is changed, or asked for."""
        rng, talk = self.rng, self.talk
        item_id = rng.choice(self.ids)
        match rng.randrange(3):
            case 0:
                talk.say("conversation.item.delete", item_id=item_id)
            case 1:
                place = {"content_index": 0, "text_end": rng.randrange(6)}
                talk.say("conversation.item.truncate", item_id=item_id, **place)
            case _:
                talk.say("conversation.item.retrieve", item_id=item_id)

    def set_up(self) -> None:
        """The session is changed."""
        rng, talk = self.rng, self.talk
        if rng.random() < 0.3:
            events = rng.choice([["character.v1"], ["character.expression"]])
            if self.is_standard:
                events = []
            talk.say("session.update", session={"character": {"events": events}})
            self.judge.forget_state()
        if rng.random() < 0.3:
            talk.say("session.update", session={"tools": rng.choice([[], TOOLS, TOOLS])})
        talk.say("session.update", session={"character": rng.choice(CASTS)})

    def ask(self) -> None:
        """A reply is asked for."""
        rng = self.rng
        self.asked.append(f"ask_{len(self.asked)}")
        wish = {
            "conversation": rng.choice(["auto", "auto", "auto", "none"]),
            "if_active": rng.choice(["error", "queue", "queue", "interrupt", "interrupt"]),
            "heard": rng.choice([None, {"item_id": rng.choice(self.ids), "text_end": 2}]),
            "continues": rng.choice([None, None, rng.choice(self.ids), self.ids[-2:][0]]),
            "character_id": rng.choice([None, None, None, "aoi", "haru"]),
            "metadata": {"asked": self.asked[-1]},
        }
        self.talk.say("response.create", event_id=self.asked[-1], response=wish)

    def trigger(self) -> None:
        """Something happens in the world."""
        wish = self.rng.choice(["error", "queue", "interrupt", "maybe"])
        details = {"count": 3} if self.rng.random() < 0.5 else {}
        self.talk.say("character.trigger", name="gift", params=details, if_active=wish)

    def cancel(self) -> None:
        """Some reply is called off, or the one with the floor."""
        requests = self.requests
        target: dict[str, Any] = {"response_id": self.rng.choice(requests)} if requests else {}
        self.talk.say("response.cancel", **(target if self.rng.random() < 0.5 else {}))

    def report_playback(self) -> None:
        """The client says how far it is; most often of what was said last."""
        rng = self.rng
        item_id = rng.choice([rng.choice(self.ids), self.ids[-2:][0]])
        played = {"text_end": rng.randrange(6), "state": rng.choice(PLAYED)}
        self.talk.say("character.playback", item_id=item_id, **played)

    def tell(self) -> None:
        """The client greets, drafts, or tells of the world."""
        rng, talk = self.rng, self.talk
        match rng.randrange(3):
            case 0:
                talk.say("character.greet", index=rng.choice([None, 0, 1]), language="ja")
            case 1:
                talk.say("character.draft", text=rng.choice(["", "Hello", "葵"]))
            case _:
                text = rng.choice(["", "It rains.", "y" * 300])
                ttl = rng.choice([None, 1, 2, 0])
                talk.say("character.context", key="sky", text=text, ttl_turns=ttl)

    def let_time_pass(self) -> None:
        """Somebody may be waited for too long."""
        if self.talk.wakes_at is not None:
            self.talk.wait()
        else:
            self.talk.carry_out(self.talk.session.wake(self.talk.now))

    def fail(self) -> None:
        """A prompt could not be made, or the model remembers less."""
        rng, talk, session = self.rng, self.talk, self.talk.session
        match rng.randrange(3):
            case 0 if self.requests:
                request_id = rng.choice(self.requests)
                self.finished.add(request_id)
                error = ProtocolError("prompt_too_long", "it is too long")
                talk.carry_out(session.fail_generation(request_id, error, talk.now))
            case 1:
                talk.carry_out(session.compacted(50, 20))
            case _:
                talk.carry_out(session.summarised("They talked.", 50, 20))
                session.note_read(rng.randrange(3))

    def end_one(self) -> None:
        """Some request ends."""
        if self.requests:
            self.end(self.rng.choice(self.requests[-3:]))

    def write(self) -> None:
        """The engine writes, most often what was asked for last."""
        if not self.requests:
            return
        request_id = self.rng.choice([self.rng.choice(self.requests), self.requests[-1]])
        if request_id not in self.finished:
            self.talk.write(self.rng.choice(PIECES), request_id=request_id)

    def end(self, request_id: str) -> None:
        """Have the engine end a request, once, in one way or another."""
        if request_id in self.finished:
            return
        self.finished.add(request_id)
        reason = self.rng.choice(list(FinishReason))
        self.talk.write(self.rng.choice(PIECES), reason, request_id=request_id)

    def close(self) -> None:
        """The session ends; whoever waits is told, and nothing is open any more."""
        talk = self.talk
        before = len(talk.events)
        error = ProtocolError("session_expired", "too old") if self.rng.random() < 0.5 else None
        talk.carry_out(talk.session.close(talk.now, error=error))
        self.check(talk.events[before:])
        assert self.judge.open_responses == set()
        assert all(self.judge.answers[asked] == 1 for asked in self.asked)
        assert talk.session.wake(talk.now + 1e6) == []

    def check(self, sent: list[Event]) -> None:
        """Judge the new events, and the session's own books."""
        for event in sent:
            self.judge.read(event)
            assert not self.is_standard or not event["type"].startswith("character.")
        session = self.talk.session
        assert self.judge.open_responses == set(session.running_responses)
        created = {
            event["response"]["id"]
            for event in self.talk.events
            if event["type"] == "response.created"
        }
        assert len(self.requests) == len(set(self.requests))
        assert set(self.requests) <= created  # a greeting needs no engine
        assert all(self.judge.answers[asked] <= 1 for asked in self.asked)
        assert set(self.requests) - set(self.talk.aborts) - self.finished == (
            self.judge.open_responses
        )
        assert len(self.talk.aborts) == len(set(self.talk.aborts))
        session.conversation.check_integrity()
        assert len(session.conversation) <= 8 + MOST_AT_ONCE
        for generate in self.talk.generates[-1:]:
            assert "speaks now" not in generate.begun
            assert "happened" not in generate.begun
            assert generate.begun[:1] not in ("h", "x")  # of what the user says
        for entry in session.conversation.messages():
            assert entry.content or entry.tool_calls


@pytest.mark.parametrize("seed", range(40))
def test_any_history_keeps_the_promises_of_the_wire(seed: int) -> None:
    """Sixty steps of client and engine, and then the socket goes."""
    history = History(seed)
    history.talk.open()
    history.check(history.talk.events)
    for _ in range(60):
        history.step()
    history.close()


@pytest.mark.slow
def test_no_frame_whatever_it_holds_breaks_a_session() -> None:
    """Spoilt frames end as events or errors; the engine's parameters can always be sent on."""
    rng = random.Random(17)
    talk, judge = Talk(), Judge()
    for _ in range(10_000):
        before = len(talk.events)
        now = talk.now
        try:
            event = decode_client_event(spoilt_frame(rng))
        except ProtocolError as error:
            talk.carry_out(talk.session.refuse(error, now))
        else:
            talk.carry_out(talk.session.receive(event, now))
        judge.forget_state()  # frames say which events are wanted
        for sent in talk.events[before:]:
            judge.read(sent)
        while talk.generates:
            msgspec.msgpack.encode(talk.generates.pop())


@pytest.mark.slow
def test_many_long_histories_keep_the_promises_of_the_wire() -> None:
    """As above, many more and longer."""
    for seed in range(100, 250):
        history = History(seed)
        for _ in range(200):
            history.step()
        history.close()
