"""Requests for replies: what each comes to, and when it begins.

A client asks (``response.create``), something happens (``character.trigger``), it is the greeting's
turn, or nobody has spoken for long. Whatever it is, it is checked whole before anything changes:
a reply that is refused makes no room, interrupts nobody and notes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from server.conversation.conversation import Conversation
from server.conversation.entries import Entry
from server.conversation.retries import reply_of
from server.errors import InvalidValue, LimitExceeded, ProtocolError, shorten
from server.protocol.character_events import CharacterQueued
from server.protocol.client_events import CharacterGreet, CharacterTrigger
from server.protocol.items import MessageItem
from server.protocol.objects import ResponseParams
from server.protocol.server_events import ServerEvent
from server.session.ahead import Ahead
from server.session.effects import Effect, Generate, Send
from server.session.failures import refusal
from server.session.floor import Floor, send
from server.session.happenings import describe_trigger
from server.session.repeated_reply import RepeatedReply
from server.session.response_plan import (
    Accept,
    ResponsePlan,
    check_if_active,
    plan_response,
    read_metadata,
    read_turn_id,
)
from server.session.setup import Setup
from server.session.silence import USUAL_INSTRUCTIONS, Silence
from server.session.waiting_line import Wanted
from server.tools.reply_form import ReplyForm

MAX_GREETING = 10_000
"""Characters; all of it is performed at once, while everybody else waits."""


class Requests:
    """Those of one session."""

    def __init__(
        self,
        setup: Setup,
        *,
        conversation: Conversation,
        floor: Floor,
        ahead: Ahead,
        silence: Silence,
        accept: Accept,
    ) -> None:
        """Start with none.

        Args:
            setup: How the session is set up; it may change.
            conversation: What is said.
            floor: Where replies are written.
            ahead: What was prepared for them.
            silence: Ends with each.
            accept: Makes entries of the client's items.
        """
        self._setup = setup
        self._conversation = conversation
        self._floor = floor
        self._ahead = ahead
        self._silence = silence
        self._accept = accept

    def want(self, wanted: Wanted, now: float) -> list[Effect]:
        """Begin a reply, or let it wait for the floor; a turn that is answered is told again.

        Raises:
            ProtocolError: It is refused; nothing is changed.
        """
        turn_id = read_turn_id(wanted.params)
        if turn_id:
            answered = reply_of(self._conversation.entries, turn_id)
            if answered:
                return send(self._tell_again(answered, turn_id, wanted.params, now))
            self._floor.check_turn(turn_id)
        plan = self._plan(wanted.params)
        if not self._floor.check(plan):
            position = self._floor.line.join(wanted)
            queued = CharacterQueued(
                position=position, reason="active", client_event_id=wanted.event_id
            )
            return [Send(queued)]
        effects = self._floor.make_room(plan, wanted)
        if plan.is_default:
            if plan.if_active == "interrupt":
                effects += self.send_line_home("somebody spoke over it")
            self._ahead.take()
            self._silence.end()
        effects += self._floor.clear_for(plan, now)

        def generate(response_id: str) -> Generate:
            return self._generate(response_id, plan)

        return [*effects, *self._floor.begin(plan, wanted, now, generate)]

    def trigger(self, event: CharacterTrigger, now: float) -> list[Effect]:
        """Have the character speak of what has happened.

        Raises:
            ProtocolError: See ``want``.
        """
        params = ResponseParams(if_active=check_if_active(event.if_active, "if_active"))
        note = describe_trigger(event.name, event.params)
        wanted = Wanted(params=params, reason="trigger", note=note, event_id=event.event_id)
        return self.want(wanted, now)

    def greet(self, event: CharacterGreet, now: float) -> list[Effect]:
        """Have the character say its greeting; in a room of several the first one's.

        Raises:
            ProtocolError: There is no such greeting, or a reply is being written.
        """
        cast = self._setup.settings.cast
        if cast.persona is None or not cast.persona.greetings:
            raise InvalidValue("type", "character.greet: this character has no greeting")
        index = cast.greeting_index if event.index is None else event.index
        cast.check_greeting("index", index)
        if event.language not in (None, "en", "ja"):
            raise InvalidValue(
                "language", f"language is {shorten(event.language)}; it must be 'en' or 'ja'"
            )
        greeting = cast.persona.greetings[index]
        text = greeting.ja if event.language == "ja" and greeting.ja else greeting.en
        if len(text) > MAX_GREETING:
            raise LimitExceeded(
                "the length of the greeting",
                len(text),
                MAX_GREETING,
                "say another one, or have the character make one up",
                param="index",
            )
        plan = replace(self._plan(ResponseParams()), speaker=cast.character, form=ReplyForm())
        self._floor.check(plan)
        effects = self._floor.make_room(plan, Wanted(params=ResponseParams()))
        told, greeted = self._floor.recite(plan, text, now)
        self._silence.begin(greeted.speaks_until(now))
        return [*effects, *told, *self._ahead.discard()]

    def speak_up(self, now: float) -> list[Effect]:
        """Have the character speak by itself; where that is refused the client hears why."""
        self._silence.spoke(now)
        proactive = self._setup.settings.cast.proactive
        note = (proactive.instructions if proactive else "") or USUAL_INSTRUCTIONS
        wanted = Wanted(params=ResponseParams(), reason="proactive", note=note)
        try:
            return self.want(wanted, now)
        except ProtocolError as error:
            return [refusal(error)]

    def cancel(self, response_id: str | None, now: float) -> list[Effect]:
        """Stop one reply, or, where none is named, the one with the floor and all that wait.

        Raises:
            NoActiveResponse: There is none.
        """
        chosen = self._floor.choose(response_id)
        had_floor = chosen == self._floor.active_id
        effects: list[Effect] = []
        if response_id is None:
            effects += self.send_line_home("was called off with it")
        effects += self._floor.cancel(chosen, now, by="cancelled")
        if had_floor:
            self._silence.begin(now)
            effects += self.give_floor(now)
        return effects

    def give_floor(self, now: float) -> list[Effect]:
        """Let whoever waits begin; what cannot begin any more is refused."""
        effects: list[Effect] = []
        while self._floor.active_id is None and (wanted := self._floor.line.next()) is not None:
            try:
                effects += self.want(wanted, now)
            except ProtocolError as error:
                name_response_create(error)
                error.event_id = wanted.event_id
                effects.append(refusal(error))
        return effects

    def send_line_home(self, why: str) -> list[Effect]:
        """Refuse all who wait."""
        return [
            refusal(
                ProtocolError(
                    "response_superseded",
                    f"response.create waited for the reply before it, and {why}; ask again",
                    event_id=wanted.event_id,
                )
            )
            for wanted in self._floor.line.clear()
        ]

    def next_one(self) -> Generate | None:
        """What a plain ``response.create`` would ask for now; ``None`` if it would be refused."""
        try:
            return self._generate("", self._plan(ResponseParams()))
        except ProtocolError:
            return None  # said when it is asked for

    def _tell_again(
        self, answered: list[Entry], turn_id: str, params: ResponseParams, now: float
    ) -> list[ServerEvent]:
        """Tell a reply once more; it needs no floor, and whoever has that goes on."""
        setup, cast = self._setup, self._setup.settings.cast
        items = (entry.item for entry in answered)
        said_by = {item.character_id for item in items if isinstance(item, MessageItem)}
        room = cast.characters if cast.is_group else ()
        told = RepeatedReply(
            self._floor.new_response_id(),
            answered,
            conversation=self._conversation,
            show=cast.show(setup.granted),
            turn_id=turn_id,
            speaker=next((one for one in room if one.id in said_by), None),
            max_output_tokens=setup.settings.max_output_tokens,
            metadata=read_metadata(params, setup.limits),
            now=now,
        )
        return told.tell(now)

    def _plan(self, params: ResponseParams) -> ResponsePlan:
        setup = self._setup
        return plan_response(
            params,
            settings=setup.settings,
            conversation=self._conversation,
            limits=setup.limits,
            accept=self._accept,
            dialect=setup.context.tool_dialect,
            granted=setup.granted,
        )

    def _generate(self, request_id: str, plan: ResponsePlan) -> Generate:
        setup, persona = self._setup, plan.settings.cast.persona
        return Generate(
            request_id=request_id,
            messages=plan.build_messages(self._conversation),
            params=plan.sampling,
            max_output_tokens=plan.settings.max_output_tokens,
            truncation=plan.settings.truncation,
            cache_salt=setup.context.cache_salt,
            tenant=setup.context.tenant,
            conversation_id=self._conversation.id if plan.is_default else "",
            persona=persona.head if persona else "",
            listener=setup.listener,
            tools=plan.form.tools,
            begun=plan.begun(self._conversation),
            summary=setup.settings.summary if plan.is_default else "",
        )


def name_response_create(error: ProtocolError) -> None:
    """Name the event: openai-agents-js knows by this word that its pending reply is refused."""
    if "response.create" not in error.message:
        error.message = f"response.create was refused: {error.message}"
