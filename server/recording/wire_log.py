"""What a wire log holds: events in, lines out. No file, no clock.

A log is JSON lines. The first says what it is; each line behind it is one message, or something
that befell the socket::

    {"format":"kaiwa.wire_log","version":1,"session":"sess_…","started_at":"…Z","character":"aoi",
     "consent":"ask","text":"none"}
    {"ms":812.4,"dir":"in","type":"conversation.item.create","role":"user","chars":17}
    {"ms":812.6,"dir":"in","type":"response.create"}
    {"ms":861.0,"dir":"out","type":"response.output_text.delta","response_id":"resp_…","chars":4}

Only what is named here is ever written: an event that is new leaves its type and nothing else. What
a client makes up freely (ids, names, states) is written where it is one of the words of the wire,
and else left out, so that no word gets in by the back door. Replies leave their lengths, in every
mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from server.config.recording import Consent, TextMode
from server.protocol.client_events import (
    CharacterContext,
    CharacterDraft,
    CharacterPlayback,
    CharacterTrigger,
    ClientEvent,
    ConversationItemCreate,
    ConversationItemTruncate,
    ResponseCancel,
    ResponseCreate,
    SessionUpdate,
)
from server.protocol.items import FunctionCallItem, FunctionCallOutputItem, InputItem, MessageItem
from server.protocol.objects import ResponseObject, ResponseParams
from server.protocol.server_events import (
    ConversationItemAdded,
    ConversationItemDeleted,
    ConversationItemTruncated,
    ErrorEvent,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseOutputTextDelta,
    ServerEvent,
)
from server.recording.redaction import redact

FORMAT = "kaiwa.wire_log"
VERSION = 1

SOCKET_CLOSED = "socket.closed"
SOCKET_RESUMED = "socket.resumed"
SESSION_ENDED = "session.ended"
RECORDING_ENDED = "recording.ended"

_IF_ACTIVE = frozenset({"error", "queue", "interrupt"})
_PLAYBACK_STATES = frozenset({"started", "finished", "interrupted"})
_DELTA = "response.output_text.delta"

Note = dict[str, Any]
"""What will be a line, without its time; ``text`` holds words as they were said."""


class WireLog:
    """Of one session; ``line`` may be called from another thread than the rest."""

    def __init__(self, text: TextMode, salt: bytes) -> None:
        """Start with nothing.

        Args:
            text: What is kept of words.
            salt: For ``redacted``; of this session alone.
        """
        self._text = text
        self._salt = salt
        self._live: set[str] = set()  # ids of responses, which a client may name
        self._items: set[str] = set()  # that are in the conversation; never written

    def header(
        self, *, session_id: str, character_id: str | None, started_at: str, consent: Consent
    ) -> Note:
        """Make the first line.

        Args:
            session_id: The session's.
            character_id: Who answers; ``None`` for the model alone.
            started_at: When it began, in ISO 8601 and UTC.
            consent: Who agreed.
        """
        return {
            "format": FORMAT,
            "version": VERSION,
            "session": session_id,
            "started_at": started_at,
            "character": character_id,
            "consent": consent,
            "text": self._text,
        }

    def received(self, event: ClientEvent) -> Note:
        """Note what the client said."""
        note: Note = {"dir": "in", "type": event.__struct_config__.tag}
        if event.event_id is not None and self._text == "full":
            note["event_id"] = event.event_id
        match event:
            case ConversationItemCreate(item=item):
                self._note_items(note, [item])
                if item.id in self._items:
                    note["again"] = True
                if isinstance(item, MessageItem):
                    note["role"] = item.role
            case ResponseCreate(response=ResponseParams() as params):
                self._note_request(note, params)
            case ResponseCancel(response_id=str(response_id)) if response_id in self._live:
                note["response_id"] = response_id
            case ConversationItemTruncate(text_end=int(text_end)):
                note["text_end"] = text_end
            case CharacterPlayback(text_end=text_end, state=state):
                note["text_end"] = text_end
                if state in _PLAYBACK_STATES:
                    note["state"] = state
            case CharacterDraft(text=text) | CharacterContext(text=text):
                note["chars"] = len(text)
            case CharacterTrigger(name=name, if_active=if_active):
                note["chars"] = len(name)
                if if_active in _IF_ACTIVE:
                    note["if_active"] = if_active
            case SessionUpdate(session=patch):
                if isinstance(patch.instructions, str):
                    note["instructions_chars"] = len(patch.instructions)
                if isinstance(patch.max_output_tokens, int):
                    note["max_output_tokens"] = patch.max_output_tokens
            case _:
                pass
        return note

    def sent(self, event: ServerEvent) -> Note:
        """Note what the client is told."""
        if isinstance(event, ResponseOutputTextDelta):  # most are
            chars = len(event.delta)
            return {"dir": "out", "type": _DELTA, "response_id": event.response_id, "chars": chars}
        note: Note = {"dir": "out", "type": event.__struct_config__.tag}
        match event:
            case ResponseCreated(response=response):
                self._live.add(response.id)
                note["response_id"] = response.id
                if response.conversation_id is None:
                    note["out_of_band"] = True
                if response.replayed is True:
                    note["replayed"] = True
                if isinstance(response.max_output_tokens, int):
                    note["max_output_tokens"] = response.max_output_tokens
            case ResponseDone(response=response):
                self._live.discard(response.id)
                _note_end(note, response)
            case ResponseFunctionCallArgumentsDelta(response_id=response_id, delta=delta):
                note |= {"response_id": response_id, "chars": len(delta)}
            case ConversationItemAdded(item=item) if item.id is not None:
                self._items.add(item.id)
            case ConversationItemDeleted(item_id=item_id):
                self._items.discard(item_id)
            case ConversationItemTruncated(text_end=int(text_end)):
                note["text_end"] = text_end
            case ErrorEvent(error=error):
                note["code"] = error.code
            case _:
                whose = getattr(event, "response_id", None)
                if isinstance(whose, str):
                    note["response_id"] = whose
        return note

    def happened(self, what: str, reason: str | None = None) -> Note:
        """Note what befell the socket, the session or its recording.

        Args:
            what: ``SOCKET_CLOSED``, ``SOCKET_RESUMED``, ``SESSION_ENDED`` or ``RECORDING_ENDED``.
            reason: One word, where there is one.
        """
        note: Note = {"dir": "in", "type": what}
        if reason is not None:
            note["reason"] = reason
        return note

    def line(self, note: Note, ms: float | None = None) -> bytes:
        """Write a note as a line; here words become what they are kept as.

        Args:
            note: Of this log; it is left as it is.
            ms: Milliseconds from the session's start; ``None`` for the header.
        """
        shown = note if ms is None else {"ms": round(ms, 1), **note}
        words = note.get("text")
        if ms is not None and self._text == "redacted" and isinstance(words, str):
            shown["text"] = redact(words, self._salt)
        return msgspec.json.encode(shown) + b"\n"

    def _note_items(self, note: Note, items: Sequence[InputItem]) -> None:
        texts = [_words(item) for item in items]
        note["chars"] = sum(map(len, texts))
        said = [text for item, text in zip(items, texts, strict=True) if _is_said(item)]
        if said and self._text != "none":
            note["text"] = "\n".join(said)

    def _note_request(self, note: Note, params: ResponseParams) -> None:
        if isinstance(params.max_output_tokens, int):
            note["max_output_tokens"] = params.max_output_tokens
        if isinstance(params.min_tokens, int):
            note["min_tokens"] = params.min_tokens
        if params.conversation == "none":
            note["out_of_band"] = True
        if params.if_active in _IF_ACTIVE:
            note["if_active"] = params.if_active
        if isinstance(params.instructions, str):
            note["instructions_chars"] = len(params.instructions)
        if isinstance(params.continues, str):
            note["continues"] = True
        if isinstance(params.heard, msgspec.Struct):
            note["text_end"] = params.heard.text_end
        if isinstance(params.input, list):
            self._note_items(note, params.input)


def _note_end(note: Note, response: ResponseObject) -> None:
    note |= {"response_id": response.id, "status": response.status}
    details = response.status_details
    if details is not None:
        if details.reason is not None:
            note["reason"] = details.reason
        if details.error is not None:
            note["code"] = details.error.code
    usage = response.usage
    if usage is not None:
        note["usage"] = {
            "prompt_tokens": usage.input_tokens,
            "cached_tokens": usage.input_token_details.cached_tokens,
            "output_tokens": usage.output_tokens,
        }


def _is_said(item: InputItem) -> bool:
    return isinstance(item, MessageItem)


def _words(item: InputItem) -> str:
    """All of an item that a model reads."""
    match item:
        case MessageItem(content=parts):
            return "\n".join(part.text or part.transcript or "" for part in parts)
        case FunctionCallOutputItem(output=output):
            return output
        case FunctionCallItem(arguments=arguments):
            return arguments
        case _:
            return ""
