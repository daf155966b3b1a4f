"""One client's session: events in, effects out; no socket, no clock, no engine.

The driver calls ``open`` when a socket is there, ``receive`` or ``refuse`` for every frame,
``receive_delta`` for everything the engine says of this session's requests, and ``close`` once. It
carries out the effects in order (``server.session.effects``), and gives events their ids from
``event_counter`` as it writes them: ids rise by one on the wire, also where it merged deltas.

A response is *running* from its ``response.created`` to its ``response.done``, and only then. At
most one running response writes the default conversation; others run beside it. Cancelling ends a
response here and now; whatever the engine still says of it is ignored. A refused event changes
nothing but for the ``error`` that it causes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec
from msgspec import UNSET

from engine.outputs import RequestDelta
from server.characters.catalog import ResolvedModel
from server.conversation.changes import Change, SummaryKept
from server.conversation.conversation import Conversation, check_truncation
from server.conversation.entries import Entry
from server.conversation.items import accept_item
from server.errors import (
    ConversationNotFound,
    ErrorCode,
    LimitExceeded,
    NoActiveResponse,
    ProtocolError,
    ResponseActive,
    Unsupported,
)
from server.protocol.character_events import (
    CharacterExpression,
    CharacterMemory,
    event_name,
    grant_events,
)
from server.protocol.character_objects import ListenerSetting, MemorySetting
from server.protocol.client_events import (
    CharacterDraft,
    CharacterPlayback,
    ClientEvent,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemRetrieve,
    ConversationItemTruncate,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
)
from server.protocol.event_ids import EventCounter
from server.protocol.items import FunctionCallItem, Item
from server.protocol.objects import (
    ConversationObject,
    ErrorDetail,
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
    ConversationItemTruncated,
    ErrorEvent,
    InputAudioBufferCleared,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
)
from server.session.context import SessionContext
from server.session.effects import (
    Abort,
    Compact,
    Discard,
    Effect,
    Generate,
    Prepare,
    ReportPlayback,
    Send,
)
from server.session.failures import from_exception
from server.session.identity import check_identity
from server.session.playback import Playback
from server.session.response import Response
from server.session.response_plan import ResponsePlan, plan_response
from server.session.settings import SessionLimits, SessionSettings
from server.session.view import describe_session

_EXPRESSION = event_name(CharacterExpression)
_MEMORY = event_name(CharacterMemory)


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
        self.event_counter = EventCounter(session_id)
        self.choice = choice
        self._limits = limits
        self._context = context or SessionContext()
        self._stem = session_id.removeprefix("sess_")
        self._granted = grant_events(granted_events)
        self._settings = SessionSettings.for_model(choice)
        self._expressions = choice.character.expressions if choice.character else ()
        self._conversation = Conversation(
            f"conv_{self._stem}",
            expressions=self._expressions,
            max_items=limits.max_items,
            max_bytes=limits.max_conversation_bytes,
        )
        self._running: dict[str, Response] = {}
        self._active_id: str | None = None  # the running response of the default conversation
        self._num_responses = 0
        self._num_items = 0
        self._playback = Playback()
        self._has_prepared = False
        self._has_refused_audio = False
        self._kept_summary = ""
        self._is_closed = False

    @property
    def conversation(self) -> Conversation:
        """What was said; to be read only."""
        return self._conversation

    @property
    def running_responses(self) -> list[str]:
        """Ids of the responses in the making, oldest first."""
        return list(self._running)

    @property
    def granted_events(self) -> frozenset[str]:
        """Extension events that the client has asked for and gets."""
        return self._granted

    def open(self, now: float, *, resume: ResumeObject | None = None) -> list[Effect]:
        """Greet a connection: the session's first, or one that resumes it.

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
        error = ProtocolError(
            "session_not_resumed",
            "this server keeps no session after its socket; this one is new, so send what was "
            "said again with conversation.item.create",
            param="resume",
        )
        return [*created, *self.refuse(error, now)]

    def restore(self, conversation_id: str, entries: Iterable[Entry], summary: str) -> None:
        """Go on with a conversation that was kept; before ``open``."""
        self._conversation.restore(conversation_id, entries)
        self._settings = replace(self._settings, summary=summary)
        self._kept_summary = summary

    def take_changes(self) -> list[Change]:
        """What has changed in the conversation since this was last asked, for who keeps it."""
        changes = self._conversation.take_changes()
        summary = self._settings.summary
        if summary != self._kept_summary and len(self._conversation):
            self._kept_summary = summary
            changes.append(SummaryKept(summary))
        return changes

    def configure(self, patch: SessionPatch) -> None:
        """Set the session up, as ``session.update`` does; before ``open`` it needs no telling.

        Raises:
            ProtocolError: A field is refused; nothing is applied.
        """
        check_identity(patch, self.choice, self._context.known_models)
        settings = self._settings.with_session(patch, self._limits)
        if patch.character is not UNSET:
            wanted = UNSET if patch.character is None else patch.character.events
            if wanted is not UNSET:
                self._granted = grant_events(wanted or ())
        self._settings = settings

    def receive(self, event: ClientEvent, now: float) -> list[Effect]:
        """Do what a client asks, or say in one ``error`` why not."""
        if self._is_closed:
            return []
        try:
            return self._dispatch(event, now)
        except ProtocolError as error:
            if isinstance(event, ResponseCreate) and "response.create" not in error.message:
                # openai-agents-js knows by this word that its pending response is the one refused.
                error.message = f"response.create was refused: {error.message}"
            error.event_id = event.event_id
            return self.refuse(error, now)

    def refuse(self, error: ProtocolError, now: float) -> list[Effect]:
        """Tell the client of an error; what the codec refuses comes here too."""
        if self._is_closed:
            return []
        detail = ErrorDetail(
            type=error.type,
            code=error.code,
            message=error.message,
            param=error.param,
            event_id=error.event_id,
        )
        return [Send(ErrorEvent(error=detail))]

    def receive_delta(self, delta: RequestDelta, now: float) -> list[Effect]:
        """Pass on what the engine wrote; deltas of responses that do not run are ignored."""
        response = self._running.get(delta.request_id)
        if response is None:
            return []
        events = response.receive(delta, now, shows_expressions=_EXPRESSION in self._granted)
        if not response.is_done:
            return _send(events)
        is_default = self._active_id == response.id
        self._forget(response.id)
        effects = _send(events)
        if is_default:
            effects += self._end_turn(response, delta.num_prompt_tokens + delta.num_output_tokens)
        return effects

    def compacted(self, tokens_before: int, tokens_after: int) -> list[Effect]:
        """Tell a client that wants to know that the model remembers less."""
        if self._is_closed or _MEMORY not in self._granted:
            return []
        event = CharacterMemory(
            op="compacted", tokens_before=tokens_before, tokens_after=tokens_after
        )
        return [Send(event)]

    def summarised(self, summary: str, tokens_before: int, tokens_after: int) -> list[Effect]:
        """Keep what the model reads from now on in place of turns that were left out."""
        if self._is_closed:
            return []
        self._settings = replace(self._settings, summary=summary)
        if _MEMORY not in self._granted:
            return []
        event = CharacterMemory(
            op="summarised",
            tokens_before=tokens_before,
            tokens_after=tokens_after,
            summary=summary,
        )
        return [Send(event)]

    def fail_generation(self, request_id: str, error: Exception, now: float) -> list[Effect]:
        """End a response whose ``Generate`` could not be carried out.

        Args:
            request_id: The response's.
            error: A ``ProtocolError`` or an ``EngineError`` is told; of anything else only that it
                happened.
            now: Seconds.
        """
        response = self._running.get(request_id)
        if response is None:
            return []
        self._forget(request_id)
        return _send(response.end("failed", now, error=from_exception(error)))

    def close(self, now: float, *, error: ProtocolError | None = None) -> list[Effect]:
        """End the session: everything that runs is aborted, and nothing is done any more.

        Args:
            now: Seconds.
            error: Why, when it is the server that ends it; replies then end as failed with it,
                otherwise as cancelled by the client.
        """
        effects: list[Effect] = []
        for response_id in list(self._running):
            effects += self._cancel(response_id, now, error)
        self._is_closed = True
        return effects

    def _dispatch(self, event: ClientEvent, now: float) -> list[Effect]:
        match event:
            case SessionUpdate():
                return self._update(event.session)
            case ConversationItemCreate():
                return self._create_item(event)
            case ConversationItemDelete():
                self._conversation.delete(event.item_id)
                deleted = ConversationItemDeleted(item_id=event.item_id)
                return [Send(deleted), *self._discard()]
            case ConversationItemRetrieve():
                return [Send(ConversationItemRetrieved(item=self._retrieve(event.item_id)))]
            case ConversationItemTruncate():
                return [*self._truncate(event), *self._discard()]
            case CharacterDraft():
                return self._draft(event.text)
            case CharacterPlayback():
                return self._play(event)
            case ResponseCreate():
                return self._create_response(event.response or ResponseParams(), now)
            case ResponseCancel():
                response_id = event.response_id or self._active_id
                if response_id is None or response_id not in self._running:
                    raise NoActiveResponse(event.response_id)
                return self._cancel(response_id, now, None)
            case _:
                return self._receive_audio(event)

    def _update(self, patch: SessionPatch) -> list[Effect]:
        before = self._settings
        self.configure(patch)
        updated = Send(SessionUpdated(session=self._describe(None)))
        after = self._settings
        is_same = (before.system_text, before.tools, before.summary) == (
            after.system_text,
            after.tools,
            after.summary,
        )
        return [updated] if is_same else [updated, *self._discard()]

    def _create_item(self, event: ConversationItemCreate) -> list[Effect]:
        conversation, after = self._conversation, event.previous_item_id
        entry = self._accept(event.item, "item")
        conversation.check_insert(entry, after)
        evicted = conversation.make_room(
            entry, keep=after, evict=self._settings.truncation != "disabled"
        )
        previous = conversation.insert(entry, after)
        return [
            *(Send(ConversationItemDeleted(item_id=item_id)) for item_id in evicted),
            Send(ConversationItemAdded(previous_item_id=previous, item=entry.item)),
            Send(ConversationItemDone(previous_item_id=previous, item=entry.item)),
            *(self._prepare() if not isinstance(entry.item, FunctionCallItem) else ()),
        ]

    def _accept(self, item: Item, path: str) -> Entry:
        return accept_item(
            item,
            item_id=item.id or self._new_item_id(),
            expressions=self._expressions,
            max_bytes=self._limits.max_item_bytes,
            path=path,
        )

    def _retrieve(self, item_id: str) -> Item:
        entry = self._conversation.entry(item_id)
        for response in self._running.values():
            item = response.snapshot(item_id) if entry.is_in_progress else None
            if item is not None:
                return item
        return entry.item

    def _truncate(self, event: ConversationItemTruncate) -> list[Effect]:
        text_end = _text_end(event)
        self._conversation.truncate(event.item_id, event.content_index, text_end)
        truncated = ConversationItemTruncated(
            item_id=event.item_id,
            content_index=event.content_index,
            audio_end_ms=event.audio_end_ms,
            text_end=UNSET if text_end is None else text_end,
        )
        return [Send(truncated)]

    def _create_response(self, params: ResponseParams, now: float) -> list[Effect]:
        plan = plan_response(
            params,
            settings=self._settings,
            conversation=self._conversation,
            limits=self._limits,
            accept=self._accept,
            dialect=self._context.tool_dialect,
        )
        interrupted = self._active_id if plan.is_default else None
        if interrupted is not None and not plan.interrupts:
            raise ResponseActive(interrupted)
        num_running = len(self._running) - (interrupted is not None)
        if num_running >= self._limits.max_parallel_responses:
            raise LimitExceeded(
                "the number of responses at once",
                num_running + 1,
                self._limits.max_parallel_responses,
                "wait for a response.done, or send response.cancel",
            )
        heard = plan.heard
        if heard is not None:
            self._check_heard(heard, interrupted)
        effects: list[Effect] = []
        if interrupted is not None:
            effects += self._cancel(interrupted, now, None)
        if heard is None and plan.interrupts and plan.is_default:
            heard = self._playback.heard_of_last(self._conversation)
        if heard is not None:
            effects += self._truncate(heard)
        self._num_responses += 1
        response = Response(
            f"resp_{self._stem}_{self._num_responses}",
            conversation=self._conversation if plan.is_default else None,
            expressions=self._expressions,
            form=plan.form,
            new_item_id=self._new_item_id,
            max_output_tokens=plan.settings.max_output_tokens,
            metadata=plan.metadata,
            now=now,
        )
        self._running[response.id] = response
        if plan.is_default:
            self._active_id = response.id
            self._has_prepared = False
        generate = self._generate(response.id, plan)
        return [*effects, *_send(response.start()), generate]

    def _generate(self, request_id: str, plan: ResponsePlan) -> Generate:
        character = plan.settings.character
        return Generate(
            request_id=request_id,
            messages=plan.build_messages(self._conversation),
            params=plan.sampling,
            max_output_tokens=plan.settings.max_output_tokens,
            truncation=plan.settings.truncation,
            cache_salt=self._context.cache_salt,
            tenant=self._context.tenant,
            conversation_id=self._conversation.id if plan.is_default else "",
            persona=character.prompt if character else "",
            listener=self._listener,
            tools=plan.form.tools,
            summary=self._settings.summary if plan.is_default else "",
        )

    @property
    def _memory_setting(self) -> MemorySetting:
        settings = self._settings
        writes = settings.writes_summary
        return MemorySetting(
            summary=settings.summary or None,
            auto=self._context.writes_summaries if writes is None else writes,
        )

    @property
    def _listener(self) -> ListenerSetting:
        return self._settings.listener or ListenerSetting(kind=self._context.listener)

    def _generate_next(self) -> Generate | None:
        """What a plain ``response.create`` would ask for now; ``None`` if it would be refused."""
        try:
            plan = plan_response(
                ResponseParams(),
                settings=self._settings,
                conversation=self._conversation,
                limits=self._limits,
                accept=self._accept,
                dialect=self._context.tool_dialect,
            )
        except ProtocolError:
            return None  # said when it is asked for
        return self._generate("", plan)

    def _prepare(self, draft: str = "") -> list[Effect]:
        if not self._context.eager_prefill or self._active_id is not None:
            return []
        generate = self._generate_next()
        if generate is None or not generate.messages:
            return []
        self._has_prepared = True
        return [Prepare(generate, draft)]

    def _discard(self) -> list[Effect]:
        if not self._has_prepared:
            return []
        self._has_prepared = False
        return [Discard()]

    def _draft(self, text: str) -> list[Effect]:
        num_bytes, most = len(text.encode()), self._limits.max_item_bytes
        if num_bytes > most:
            raise LimitExceeded(
                "the draft's size in bytes", num_bytes, most, "send less", param="text"
            )
        return self._prepare(text) if text else self._discard()

    def _end_turn(self, response: Response, num_tokens: int) -> list[Effect]:
        """Look after what the model remembers, once nobody waits for it."""
        effects = self._cut_interrupted(response)
        high_water = self._context.high_water_tokens
        is_high = high_water is not None and num_tokens > high_water
        if is_high and self._settings.truncation != "disabled":
            generate = self._generate_next()
            if generate is not None:
                self._has_prepared = True
                effects.append(Compact(generate, bool(self._memory_setting.auto)))
        return effects

    def _play(self, event: CharacterPlayback) -> list[Effect]:
        for response in self._running.values():
            item = response.snapshot(event.item_id)
            if item is not None:
                self._playback.note(event, item)
                length = response.raw_length(event.item_id, event.text_end)
                return [ReportPlayback(response.id, length)]
        self._playback.note(event, self._conversation.entry(event.item_id).item)
        heard = self._playback.take_interrupted(event.item_id)
        return [] if heard is None else [*self._truncate(heard), *self._discard()]

    def _cut_interrupted(self, response: Response) -> list[Effect]:
        """Cut a reply whose client has said where it stopped, while it was being written."""
        effects: list[Effect] = []
        for item in response.items:
            if item.id in self._conversation:
                heard = self._playback.take_interrupted(item.id)
                effects += [] if heard is None else self._truncate(heard)
        return effects

    def _check_heard(self, heard: ConversationItemTruncate, interrupted: str | None) -> None:
        """Find out whether ``_truncate`` will do, once the interrupted response has ended."""
        try:
            item = self._retrieve(heard.item_id)
            response = self._running.get(interrupted or "")
            if response is not None and response.snapshot(item.id or "") is not None:
                item = msgspec.structs.replace(item, status="incomplete")
            check_truncation(item, heard.content_index, _text_end(heard))
        except ProtocolError as error:
            error.param = f"response.heard.{error.param}"
            raise

    def _cancel(self, response_id: str, now: float, error: ProtocolError | None) -> list[Effect]:
        response = self._running[response_id]
        self._forget(response_id)
        if error is None:
            events = response.end("cancelled", now, reason="client_cancelled")
        else:
            events = response.end("failed", now, error=error)
        return [Abort(response_id), *_send(events), *self._cut_interrupted(response)]

    def _forget(self, response_id: str) -> None:
        del self._running[response_id]
        if self._active_id == response_id:
            self._active_id = None

    def _receive_audio(self, event: ClientEvent) -> list[Effect]:
        """Answer the audio events, which a text-mode client may send out of habit.

        Clearing a buffer that is always empty succeeds; pipecat does it at every interruption, and
        dies of any error. A stream of audio gets one error, not one per piece.
        """
        if isinstance(event, InputAudioBufferClear):
            return [Send(InputAudioBufferCleared())]
        if isinstance(event, InputAudioBufferAppend):
            if self._has_refused_audio:
                return []
            self._has_refused_audio = True
        raise Unsupported(
            f"{event.__struct_config__.tag}: this server speaks and reads text only; "
            "send conversation.item.create with an input_text",
            code=ErrorCode.UNSUPPORTED_MODALITY,
        )

    def _new_item_id(self) -> str:
        while True:
            self._num_items += 1
            item_id = f"item_{self._stem}_{self._num_items}"
            if item_id not in self._conversation:
                return item_id

    def _describe(self, resume: ResumeObject | None) -> SessionObject:
        return describe_session(
            self.id,
            choice=self.choice,
            settings=self._settings,
            granted_events=self._granted,
            expires_at=self._context.expires_at,
            resume=resume,
            listener=self._listener,
            memory=self._memory_setting,
            conversation=ConversationObject(
                id=self._conversation.id, num_items=len(self._conversation)
            ),
        )


def _text_end(event: ConversationItemTruncate) -> int | None:
    return None if event.text_end is UNSET else event.text_end


def _send(events: Iterable[ServerEvent]) -> list[Effect]:
    return [Send(event) for event in events]
