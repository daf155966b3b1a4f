"""What a ``response.create`` asks for, checked and put together before anything is started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from engine.chat_template import ChatMessage
from engine.sampling_params import SamplingParams
from engine.tool_dialect import ToolDialect
from server.characters.character import Character
from server.conversation.conversation import Conversation
from server.conversation.entries import Entry, render_messages
from server.errors import InvalidValue, LimitExceeded, Unsupported, shorten
from server.protocol.client_events import ConversationItemTruncate
from server.protocol.items import InputItem, Item, ItemReference, MessageItem
from server.protocol.objects import HeardPrefix, ResponseParams
from server.session.delivery import Show
from server.session.room import next_speaker
from server.session.settings import SessionLimits, SessionSettings
from server.tools.reply_form import ReplyForm, plan_form

MAX_TURN_ID = 64
"""Characters."""

IfActive = Literal["error", "queue", "interrupt"]

Accept = Callable[[Item, str], Entry]
"""Makes an entry of a client's item; the second argument is where the item stands in its event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsePlan:
    """A response that can be started.

    Attributes:
        speaker: Who answers; ``None`` for the bare model.
        show: What its client sees of it beside the words.
        is_default: It writes the default conversation; otherwise it runs beside it.
        settings: The session's, with the response's own over them.
        sampling: For the engine.
        input: What the model reads; ``None`` for the conversation as it then is.
        form: What the reply may be: talk, calls, text of a form.
        metadata: The client's, as it is.
        if_active: What becomes of it while another reply is being written.
        heard: A truncation to be made before.
        continues: A reply that was broken off, behind which the model goes on.
        turn_id: The client's name of the turn that it answers; empty for none.
    """

    is_default: bool
    speaker: Character | None
    show: Show
    settings: SessionSettings
    sampling: SamplingParams
    input: list[Entry] | None
    form: ReplyForm
    metadata: dict[str, str] | None
    if_active: IfActive
    heard: ConversationItemTruncate | None
    continues: Entry | None
    turn_id: str

    def build_messages(self, conversation: Conversation) -> list[ChatMessage]:
        """For the model: the system text first, then what it reads; not what it goes on behind."""
        text = self.settings.system_text(self.show.events)
        system = [ChatMessage("system", text)] if text else []
        said = conversation.messages() if self.input is None else render_messages(self.input)
        return system + (said[:-1] if self._goes_on else said)

    def begun(self, conversation: Conversation) -> str:
        """What is there of the reply already, tags and all; it may be that nothing was heard."""
        return conversation.messages()[-1].content if self._goes_on else ""

    @property
    def _goes_on(self) -> bool:
        return self.continues is not None and any(self.continues.raw_texts)


def plan_response(
    params: ResponseParams,
    *,
    settings: SessionSettings,
    conversation: Conversation,
    limits: SessionLimits,
    accept: Accept,
    dialect: ToolDialect,
    granted: frozenset[str],
) -> ResponsePlan:
    """Check a ``response.create`` and gather what it needs; nothing is changed.

    Args:
        params: What the client sent.
        settings: The session's.
        conversation: As it is.
        limits: Bounds.
        accept: Makes entries of the client's items.
        dialect: How the model writes the call of a tool.
        granted: Names of the extension events that the client gets.

    Raises:
        ProtocolError: A field is refused.
    """
    own = settings.with_response(params, limits)
    metadata = read_metadata(params, limits)
    show = own.cast.show(granted)
    continues = _find_broken_off(params, conversation)
    form = plan_form(own.form_wish, dialect, "response.", show.tags, goes_on=continues is not None)
    sampling = own.sampling_params("response", limits)
    if form.grammar is not None:
        sampling = msgspec.structs.replace(sampling, grammar=form.grammar)
    given = None if params.input is UNSET else params.input
    heard = None if params.heard is UNSET else params.heard
    return ResponsePlan(
        is_default=_is_for_default_conversation(params),
        speaker=_speaker(params, own, conversation, continues),
        show=show,
        settings=own,
        sampling=sampling,
        form=form,
        input=None if given is None else _read_input(given, conversation, limits, accept),
        metadata=metadata,
        if_active=check_if_active(params.if_active, "response.if_active"),
        heard=None if heard is None else _as_truncation(heard),
        continues=continues,
        turn_id=read_turn_id(params),
    )


def _is_for_default_conversation(params: ResponseParams) -> bool:
    if params.conversation in (UNSET, None, "auto"):
        return True
    if params.conversation == "none":
        return False
    raise InvalidValue(
        "response.conversation",
        f"response.conversation is {shorten(params.conversation)}; it must be 'auto' or 'none'",
    )


def _as_truncation(heard: HeardPrefix) -> ConversationItemTruncate:
    return ConversationItemTruncate(item_id=heard.item_id, text_end=heard.text_end)


def check_if_active(value: str | None | UnsetType, param: str) -> IfActive:
    """Read what becomes of a reply while another is being written.

    Raises:
        InvalidValue: It is none of the three.
    """
    match value:
        case None | msgspec.UNSET | "error":
            return "error"
        case "queue" | "interrupt":
            return cast(IfActive, value)
    raise InvalidValue(
        param, f"{param} is {shorten(value)}; it must be 'error', 'queue' or 'interrupt'"
    )


def read_turn_id(params: ResponseParams) -> str:
    """Read a client's name of a turn; empty where it gave none.

    Raises:
        ProtocolError: It cannot be a name, or the reply would be kept nowhere.
    """
    turn_id = params.turn_id
    if turn_id is UNSET or turn_id is None:
        return ""
    if not 1 <= len(turn_id) <= MAX_TURN_ID or not (turn_id.isascii() and turn_id.isprintable()):
        raise InvalidValue(
            "response.turn_id",
            f"response.turn_id is {shorten(turn_id)}; it must have 1 to {MAX_TURN_ID} printable "
            "ASCII characters",
        )
    if not _is_for_default_conversation(params):
        raise Unsupported(
            "response.turn_id names a reply that is kept, and one with conversation 'none' is "
            "not; leave one of them out",
            param="response.turn_id",
        )
    return turn_id


def _speaker(
    params: ResponseParams,
    settings: SessionSettings,
    conversation: Conversation,
    continues: Entry | None,
) -> Character | None:
    """Who answers: whoever is named, else who goes on, else whose turn it is."""
    cast = settings.cast
    named = None if params.character_id in (UNSET, None) else cast.speaker(params.character_id)
    if not cast.is_group:
        return named or cast.character
    item = None if continues is None else continues.item
    said_by = item.character_id if isinstance(item, MessageItem) else UNSET
    before = next((one for one in cast.characters if one.id == said_by), None)
    if named is not None and before is not None and named is not before:
        raise InvalidValue(
            "response.character_id",
            f"response.character_id is {shorten(named.id)}; {shorten(before.id)} is who goes on",
        )
    return named or before or next_speaker(cast.characters, conversation)


def _find_broken_off(params: ResponseParams, conversation: Conversation) -> Entry | None:
    if params.continues is UNSET or params.continues is None:
        return None
    param = "response.continues"
    if params.input is not UNSET or not _is_for_default_conversation(params):
        raise InvalidValue(param, f"{param} goes with the conversation itself; leave input out")
    entry = conversation.entry(params.continues, param=param)
    item = entry.item
    is_last = entry is conversation.entries[-1]
    if not (is_last and isinstance(item, MessageItem) and item.role == "assistant" and entry.words):
        raise InvalidValue(
            param,
            f"{param} is {shorten(entry.id)}; only what the assistant said last goes on",
        )
    if entry.note:
        raise InvalidValue(
            param,
            f"{param} is {shorten(entry.id)}, and something has happened since; ask for a reply "
            "of its own",
        )
    return entry


def _read_input(
    items: list[InputItem], conversation: Conversation, limits: SessionLimits, accept: Accept
) -> list[Entry]:
    """Find what is referred to, and take in what is given."""
    if len(items) > limits.max_input_items:
        raise LimitExceeded(
            "the number of input items",
            len(items),
            limits.max_input_items,
            "send fewer",
            param="response.input",
        )
    entries: list[Entry] = []
    for index, item in enumerate(items):
        path = f"response.input[{index}]"
        if isinstance(item, ItemReference):
            entries.append(conversation.entry(item.id, param=f"{path}.id"))
        else:
            entries.append(accept(item, path))
    return entries


def read_metadata(params: ResponseParams, limits: SessionLimits) -> dict[str, str] | None:
    """Read a response's metadata, held to its bounds.

    Raises:
        ProtocolError: Too many entries, or too long ones.
    """
    metadata = params.metadata
    if metadata is UNSET or metadata is None:
        return None
    if len(metadata) > limits.max_metadata_keys:
        raise LimitExceeded(
            "the number of metadata entries",
            len(metadata),
            limits.max_metadata_keys,
            "send fewer",
            param="response.metadata",
        )
    for key, value in metadata.items():
        for what, text, limit in (
            ("key", key, limits.max_metadata_key_length),
            ("value", value, limits.max_metadata_value_length),
        ):
            if len(text) > limit:
                raise LimitExceeded(
                    f"the length of the metadata {what} at {shorten(key, 40)}",
                    len(text),
                    limit,
                    "send a shorter one",
                    param="response.metadata",
                )
    return metadata
