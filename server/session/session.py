"""One client's session: events in, effects out; no socket, no clock, no engine.

The driver calls ``open`` when a socket is there, ``receive`` or ``refuse`` for every frame,
``receive_delta`` for everything the engine says of this session's requests, and ``close`` once. It
carries out the effects in order (``server.session.effects``), and gives events their ids as it
writes them: ids rise by one on the wire, also where it merged deltas.

The session does not know whether anybody listens: a client whose socket is gone may come back, and
is then greeted by ``resumed``. ``abandon`` says that it has been gone for long.

A response is *running* from its ``response.created`` to its ``response.done``, and only then. At
most one running response writes the default conversation; others run beside it. Cancelling ends a
response here and now; whatever the engine still says of it is ignored. A refused event changes
nothing but for the ``error`` that it causes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine.outputs import RequestDelta
from server.characters.catalog import ResolvedModel
from server.conversation.changes import Change, SummaryKept
from server.conversation.conversation import Conversation
from server.conversation.entries import Entry
from server.conversation.items import accept_item
from server.conversation.retries import is_sent_again
from server.errors import ConversationNotFound, LimitExceeded, ProtocolError
from server.protocol.character_events import (
    CharacterMemory,
    grant_events,
    is_granted,
)
from server.protocol.client_events import (
    CharacterContext,
    CharacterDraft,
    CharacterGreet,
    CharacterPlayback,
    CharacterTrigger,
    ClientEvent,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemRetrieve,
    ConversationItemTruncate,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
)
from server.protocol.items import FunctionCallItem, Item, MessageItem
from server.protocol.objects import (
    ConversationObject,
    ResponseParams,
    ResumeObject,
    SessionObject,
    SessionPatch,
)
from server.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDeleted,
    ConversationItemDone,
    ConversationItemRetrieved,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
)
from server.resume.gap import Gap
from server.session.ahead import Ahead
from server.session.audio import NoAudio
from server.session.context import SessionContext
from server.session.effects import (
    Compact,
    Effect,
    ReportPlayback,
    Send,
    Wake,
)
from server.session.failures import from_exception, refusal
from server.session.floor import Floor, send
from server.session.notes import Notes
from server.session.requests import Requests, name_response_create
from server.session.settings import SessionLimits, SessionSettings
from server.session.setup import Setup
from server.session.silence import Silence
from server.session.waiting_line import Wanted
from server.session.welcome import not_resumed, welcome_back


class Session:
    """The state machine; see the module."""

    def __init__(
        self,
        session_id: str,
        *,
        choice: ResolvedModel,
        limits: SessionLimits,
        granted_events: frozenset[str] = frozenset(),
        context: SessionContext | None = None,
    ) -> None:
        """Begin a session with an empty conversation.

        Args:
            session_id: Unique on this server, by custom ``sess_…``; all other ids derive from it.
            choice: Which model and character, from the catalog.
            limits: Bounds.
            granted_events: Extension events asked for in the URL, through ``grant_events``.
            context: Everything else from outside.
        """
        self.id = session_id
        self.choice = choice
        self._context = context or SessionContext()
        self._stem = session_id.removeprefix("sess_")
        self._setup = Setup(
            session_id=session_id,
            choice=choice,
            limits=limits,
            context=self._context,
            settings=SessionSettings.for_model(choice, seed=zlib.crc32(session_id.encode())),
            granted=grant_events(granted_events),
        )
        self._conversation = Conversation(
            f"conv_{self._stem}",
            max_items=limits.max_items,
            max_bytes=limits.max_conversation_bytes,
        )
        self._floor = Floor(
            conversation=self._conversation,
            stem=self._stem,
            new_item_id=self._new_item_id,
            max_parallel=limits.max_parallel_responses,
        )
        self._notes = Notes(self._context.clock)
        self._silence = Silence()
        self._wakes_at: float | None = None
        self._num_items = 0
        self._ahead = Ahead(is_wanted=self._context.eager_prefill)
        self._requests = Requests(
            self._setup,
            conversation=self._conversation,
            floor=self._floor,
            ahead=self._ahead,
            silence=self._silence,
            accept=self._accept,
        )
        self._audio = NoAudio()
        self._kept_summary = ""
        self._is_closed = False

    @property
    def conversation(self) -> Conversation:
        """What was said; to be read only."""
        return self._conversation

    @property
    def running_responses(self) -> list[str]:
        """Ids of the responses in the making, oldest first."""
        return self._floor.running_ids

    @property
    def granted_events(self) -> frozenset[str]:
        """Extension events that the client has asked for and gets."""
        return self._setup.granted

    def open(self, now: float, *, resume: ResumeObject | None = None) -> list[Effect]:
        """Greet the session's first connection.

        Args:
            now: Seconds.
            resume: How to come back, where that is possible.
        """
        created: list[Effect] = [Send(SessionCreated(session=self._describe(resume)))]
        missing = self._context.missing_conversation
        if missing is not None:
            created += self.refuse(ConversationNotFound(missing), now)
        if not self._context.asked_to_resume:
            return created
        return [*created, *self.refuse(not_resumed(), now)]

    def resumed(
        self,
        resume: ResumeObject,
        *,
        from_event_id: str | None,
        num_waiting: int,
        gap: Gap | None,
    ) -> list[ServerEvent]:
        """Greet a client that has come back.

        Args:
            resume: How to come back again.
            from_event_id: The last event that it has seen, as it said.
            num_waiting: How many events are to be told behind the greeting.
            gap: What it has missed for good, if anything.

        Returns:
            What to tell it before anything else.
        """
        return welcome_back(
            resume,
            from_event_id=from_event_id,
            num_waiting=num_waiting,
            gap=gap,
            conversation=self._conversation,
            floor=self._floor,
            granted=self._setup.granted,
            describe=self._describe,
        )

    def tell(self, event: ServerEvent) -> list[Effect]:
        """Tell the client something that is not of this session's making, if it wants to know."""
        return [] if self._is_closed else self._granted_only([Send(event)])

    def restore(
        self, conversation_id: str, entries: Iterable[Entry], summary: str, note: str = ""
    ) -> None:
        """Go on with a conversation that was kept; before ``open``."""
        self._conversation.restore(conversation_id, entries, note)
        self._setup.settings = replace(self._setup.settings, summary=summary)
        self._kept_summary = summary

    def take_changes(self) -> list[Change]:
        """What has changed in the conversation since this was last asked, for who keeps it."""
        changes = self._conversation.take_changes()
        summary = self._setup.settings.summary
        if summary != self._kept_summary and len(self._conversation):
            self._kept_summary = summary
            changes.append(SummaryKept(summary))
        return changes

    def configure(self, patch: SessionPatch) -> None:
        """Set the session up, as ``session.update`` does; before ``open`` it needs no telling.

        Raises:
            ProtocolError: A field is refused; nothing is applied.
        """
        self._setup.configure(patch)

    def receive(self, event: ClientEvent, now: float) -> list[Effect]:
        """Do what a client asks, or say in one ``error`` why not."""
        if self._is_closed:
            return []
        try:
            effects = self._dispatch(event, now)
        except ProtocolError as error:
            if isinstance(event, ResponseCreate):
                name_response_create(error)
            error.event_id = event.event_id
            return self.refuse(error, now)
        return [*self._granted_only(effects), *self._watch_silence()]

    def refuse(self, error: ProtocolError, now: float) -> list[Effect]:
        """Tell the client of an error; what the codec refuses comes here too."""
        if self._is_closed:
            return []
        return [refusal(error)]

    def receive_delta(self, delta: RequestDelta, now: float) -> list[Effect]:
        """Pass on what the engine wrote; deltas of responses that do not run are ignored."""
        effects, ended = self._floor.receive_delta(delta, now)
        if ended is not None:
            num_tokens = delta.num_prompt_tokens + delta.num_output_tokens
            effects += self._end_turn(num_tokens, now, ended.speaks_until(now))
        return self._granted_only(effects)

    def note_read(self, num_turns: int) -> None:
        """Learn how many of the user's newest messages the next prompt will surely hold."""
        self._notes.read(self._conversation, num_turns)

    def compacted(self, tokens_before: int, tokens_after: int) -> list[Effect]:
        """Tell a client that wants to know that the model remembers less."""
        if self._is_closed:
            return []
        event = CharacterMemory(
            op="compacted", tokens_before=tokens_before, tokens_after=tokens_after
        )
        return self._granted_only([Send(event)])

    def summarised(self, summary: str, tokens_before: int, tokens_after: int) -> list[Effect]:
        """Keep what the model reads from now on in place of turns that were left out."""
        if self._is_closed:
            return []
        self._setup.settings = replace(self._setup.settings, summary=summary)
        event = CharacterMemory(
            op="summarised",
            tokens_before=tokens_before,
            tokens_after=tokens_after,
            summary=summary,
        )
        return self._granted_only([Send(event)])

    def fail_generation(self, request_id: str, error: Exception, now: float) -> list[Effect]:
        """End a response whose ``Generate`` could not be carried out.

        Args:
            request_id: The response's.
            error: A ``ProtocolError`` or an ``EngineError`` is told; of anything else only that it
                happened.
            now: Seconds.
        """
        had_floor = self._floor.active_id == request_id
        effects = self._floor.fail(request_id, from_exception(error), now)
        if had_floor:
            effects += self._requests.give_floor(now)
        return self._granted_only(effects)

    def wake(self, now: float) -> list[Effect]:
        """Let time have passed: where nobody speaks for long, the character does."""
        if self._is_closed:
            return []
        self._wakes_at = None
        due = self._silence.due_at(self._setup.settings.cast.proactive)
        if due is None or due > now:
            return self._watch_silence()
        effects = self._granted_only(self._requests.speak_up(now))
        return [*effects, *self._watch_silence()]

    def close(self, now: float, *, error: ProtocolError | None = None) -> list[Effect]:
        """End the session: everything that runs is aborted, and nothing is done any more.

        Args:
            now: Seconds.
            error: Why, when it is the server that ends it; replies then end as failed with it,
                otherwise as cancelled by the client.
        """
        effects = self._end_all(now, error)
        self._is_closed = True
        return effects

    def abandon(self, now: float) -> list[Effect]:
        """Nobody has listened for long: end what runs, and keep what there is as incomplete."""
        return self._end_all(now, None)

    def _end_all(self, now: float, error: ProtocolError | None) -> list[Effect]:
        effects = self._requests.send_line_home("the session has ended")
        for response_id in self._floor.running_ids:
            effects += self._floor.cancel(response_id, now, by="cancelled", error=error)
        return self._granted_only(effects)

    def _dispatch(self, event: ClientEvent, now: float) -> list[Effect]:
        match event:
            case SessionUpdate():
                return self._update(event.session, now)
            case ConversationItemCreate():
                return self._create_item(event)
            case ConversationItemDelete():
                self._conversation.delete(event.item_id)
                deleted = ConversationItemDeleted(item_id=event.item_id)
                return [Send(deleted), *self._ahead.discard()]
            case ConversationItemRetrieve():
                return [Send(ConversationItemRetrieved(item=self._retrieve(event.item_id)))]
            case ConversationItemTruncate():
                return [*self._floor.truncate(event), *self._ahead.discard()]
            case CharacterDraft():
                return self._draft(event.text)
            case CharacterPlayback():
                return self._play(event, now)
            case CharacterGreet():
                return self._requests.greet(event, now)
            case CharacterTrigger():
                return self._requests.trigger(event, now)
            case CharacterContext():
                return self._note_context(event)
            case ResponseCreate():
                wanted = Wanted(params=event.response or ResponseParams(), event_id=event.event_id)
                return self._requests.want(wanted, now)
            case ResponseCancel():
                return self._requests.cancel(event.response_id, now)
            case _:
                return send(self._audio.answer(event))

    def _update(self, patch: SessionPatch, now: float) -> list[Effect]:
        before, read = self._setup.settings, self._setup.system_text
        self.configure(patch)
        updated = Send(SessionUpdated(session=self._describe(None)))
        after = self._setup.settings
        if after.cast.proactive is not before.cast.proactive and self._floor.active_id is None:
            self._silence.begin(now)
        is_same = (read, before.tools, before.summary) == (
            self._setup.system_text,
            after.tools,
            after.summary,
        )
        return [updated] if is_same else [updated, *self._ahead.discard()]

    def _create_item(self, event: ConversationItemCreate) -> list[Effect]:
        conversation, after = self._conversation, event.previous_item_id
        entry = self._accept(event.item, "item")
        if entry.id in conversation and is_sent_again(conversation.entry(entry.id), entry):
            return self._acknowledge(conversation.entry(entry.id).item)
        conversation.check_insert(entry, after)
        evicted = conversation.make_room(entry, keep=after, evict=self._setup.evicts)
        woken: list[str] = []
        if isinstance(entry.item, MessageItem) and entry.item.role == "user":
            # Nothing is refused any more: what is noted here is taken from what waits.
            self._silence.answered()
            if after is None:
                woken = self._notes.write(entry, conversation, self._setup.settings.cast)
        conversation.insert(entry, after)
        noted = [Send(CharacterMemory(op="noted", entries=woken))] if woken else []
        return [
            *(Send(ConversationItemDeleted(item_id=item_id)) for item_id in evicted),
            *self._acknowledge(entry.item),
            *noted,
            *(self._prepare() if not isinstance(entry.item, FunctionCallItem) else ()),
        ]

    def _acknowledge(self, item: Item) -> list[Effect]:
        """Say where an item of the client's is, now or once more."""
        previous = self._conversation.previous_id(item.id or "")
        return [
            Send(ConversationItemAdded(previous_item_id=previous, item=item)),
            Send(ConversationItemDone(previous_item_id=previous, item=item)),
        ]

    def _accept(self, item: Item, path: str) -> Entry:
        return accept_item(
            item,
            item_id=item.id or self._new_item_id(),
            tags=self._setup.settings.cast.tags(self._setup.granted),
            max_bytes=self._setup.limits.max_item_bytes,
            path=path,
        )

    def _retrieve(self, item_id: str) -> Item:
        entry = self._conversation.entry(item_id)
        found = self._floor.snapshot(item_id) if entry.is_in_progress else None
        return entry.item if found is None else found[1]

    def _prepare(self, draft: str = "") -> list[Effect]:
        if not self._ahead.is_wanted or self._floor.active_id is not None:
            return []
        return self._ahead.prepare(self._requests.next_one(), draft)

    def _draft(self, text: str) -> list[Effect]:
        num_bytes, most = len(text.encode()), self._setup.limits.max_item_bytes
        if num_bytes > most:
            raise LimitExceeded(
                "the draft's size in bytes", num_bytes, most, "send less", param="text"
            )
        if text:
            self._silence.end()
        return self._prepare(text) if text else self._ahead.discard()

    def _end_turn(self, num_tokens: int, now: float, speaks_until: float) -> list[Effect]:
        """Look after what comes next, and after what the model remembers."""
        self._silence.begin(speaks_until)
        if len(self._floor.line):
            return self._requests.give_floor(now)
        effects = self._watch_silence()
        high_water = self._context.high_water_tokens
        is_high = high_water is not None and num_tokens > high_water
        if is_high and self._setup.evicts:
            generate = self._requests.next_one()
            if generate is not None:
                self._ahead.expect()
                effects.append(Compact(generate, bool(self._setup.memory.auto)))
        return effects

    def _watch_silence(self) -> list[Effect]:
        """Say when to wake this session, if that has changed."""
        due = None
        if self._floor.active_id is None:
            due = self._silence.due_at(self._setup.settings.cast.proactive)
        if due == self._wakes_at:
            return []
        self._wakes_at = due
        return [Wake(due)]

    def _play(self, event: CharacterPlayback, now: float) -> list[Effect]:
        playback = self._floor.playback
        found = self._floor.snapshot(event.item_id)
        if found is not None:
            response, item = found
            playback.note(event, item)
            length = response.raw_length(event.item_id, event.text_end)
            return [ReportPlayback(response.id, length)]
        playback.note(event, self._conversation.entry(event.item_id).item)
        if event.state != "started" and self._floor.active_id is None:
            self._silence.begin(now)
        heard = playback.take_interrupted(event.item_id)
        return [] if heard is None else [*self._floor.truncate(heard), *self._ahead.discard()]

    def _note_context(self, event: CharacterContext) -> list[Effect]:
        self._notes.context.put(event.key, event.text, event.ttl_turns)
        return []

    def _granted_only(self, effects: Sequence[Effect]) -> list[Effect]:
        """Leave the extension's events out that the client has not asked for."""
        return [
            effect
            for effect in effects
            if not isinstance(effect, Send) or is_granted(effect.event, self._setup.granted)
        ]

    def _new_item_id(self) -> str:
        while True:
            self._num_items += 1
            item_id = f"item_{self._stem}_{self._num_items}"
            if item_id not in self._conversation:
                return item_id

    def _describe(self, resume: ResumeObject | None) -> SessionObject:
        conversation = ConversationObject(
            id=self._conversation.id, num_items=len(self._conversation)
        )
        return self._setup.describe(conversation, resume)
