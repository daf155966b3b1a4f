"""Shows a session to its client: the full effective configuration."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from server.characters.catalog import ResolvedModel
from server.protocol.character_objects import (
    CharacterObject,
    ListenerSetting,
    LocalizedText,
    MemorySetting,
)
from server.protocol.objects import ConversationObject, ResumeObject, SessionObject
from server.sampling import to_fields
from server.session.settings import SessionSettings
from server.text.tags import strip_tags


def describe_session(
    session_id: str,
    *,
    choice: ResolvedModel,
    settings: SessionSettings,
    granted_events: frozenset[str],
    expires_at: int | None,
    resume: ResumeObject | None,
    listener: ListenerSetting,
    memory: MemorySetting,
    conversation: ConversationObject,
) -> SessionObject:
    """Describe a session; a character's own prompt is not part of it."""
    limit = settings.max_output_tokens
    return SessionObject(
        id=session_id,
        model=choice.model,
        output_modalities=["text"],
        instructions=settings.instructions,
        tools=settings.tools,
        tool_choice=settings.tool_choice,
        parallel_tool_calls=settings.parallel_tool_calls,
        response_format=settings.response_format or UNSET,
        structured_outputs=settings.structured_outputs or UNSET,
        max_output_tokens="inf" if limit is None else limit,
        truncation=settings.truncation,
        expires_at=UNSET if expires_at is None else expires_at,
        character=msgspec.structs.replace(
            _describe_character(choice, granted_events),
            listener=listener,
            memory=memory,
        ),
        conversation=conversation,
        resume=UNSET if resume is None else resume,
        **to_fields(settings.effective_sampling),
    )


def _describe_character(choice: ResolvedModel, granted_events: frozenset[str]) -> CharacterObject:
    events = sorted(granted_events)
    character = choice.character
    if character is None:
        return CharacterObject(events=events)
    return CharacterObject(
        id=character.id,
        name=character.name,
        description=character.description,
        greeting=_clean(character.greeting, character.expressions),
        expressions=list(character.expressions),
        avatar=dict(character.avatar),
        events=events,
    )


def _clean(text: LocalizedText, expressions: tuple[str, ...]) -> LocalizedText:
    japanese = None if text.ja is None else strip_tags(text.ja, expressions)
    return LocalizedText(en=strip_tags(text.en, expressions), ja=japanese)
