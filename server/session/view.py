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
    SegmentSetting,
    TagSetting,
    VisemeSetting,
)
from server.protocol.objects import (
    ConversationObject,
    RecordingObject,
    ResumeObject,
    SessionObject,
)
from server.sampling import to_fields
from server.session.settings import SessionSettings
from server.text.tag_rules import TagRules
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
    recording: str | None = None,
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
        character=_describe_character(settings, granted_events, listener, memory),
        conversation=conversation,
        recording=UNSET if recording is None else RecordingObject(text=recording),
        resume=UNSET if resume is None else resume,
        **to_fields(settings.effective_sampling),
    )


def _describe_character(
    settings: SessionSettings,
    granted_events: frozenset[str],
    listener: ListenerSetting,
    memory: MemorySetting,
) -> CharacterObject:
    cast, character = settings.cast, settings.character
    tags = cast.tags(granted_events)
    shown = CharacterObject(
        group=[one.id for one in cast.characters] if cast.is_group else [],
        user_name=cast.user_name,
        expressions=[] if cast.takes_faces_out else list(tags.expressions),
        motions=list(tags.motions),
        tags=TagSetting(mode=tags.mode, every=tags.every),
        segment=SegmentSetting(
            first_min=cast.rules.first_min,
            min=cast.rules.min,
            max=cast.rules.max,
            langs=list(cast.rules.langs),
        ),
        visemes=VisemeSetting(scheme=cast.scheme),
        lore=cast.has_lore if cast.persona and cast.persona.books else None,
        events=sorted(granted_events),
        listener=listener,
        memory=memory,
        proactive=cast.proactive,
    )
    if character is None or cast.persona is None:
        return shown
    greetings = cast.persona.greetings
    greeting = greetings[cast.greeting_index] if greetings else LocalizedText(en="")
    return msgspec.structs.replace(
        shown,
        id=character.id,
        name=character.name,
        description=character.description,
        greeting=_clean(greeting, tags),
        greetings=len(greetings),
        avatar=dict(character.avatar),
    )


def _clean(text: LocalizedText, tags: TagRules) -> LocalizedText:
    def clean(words: str) -> str:
        return strip_tags(words, tags.shown_expressions, tags.shown_motions)

    return LocalizedText(en=clean(text.en), ja=None if text.ja is None else clean(text.ja))
