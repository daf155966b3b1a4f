"""What a session is set to, and how ``session.update`` and ``response.create`` change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import UNSET

from engine.sampling_params import SamplingParams
from server.characters.catalog import ResolvedModel
from server.characters.character import Character
from server.errors import ErrorCode, InvalidValue, LimitExceeded, shorten
from server.protocol.character_objects import CharacterPatch, ListenerSetting, MemorySetting
from server.protocol.objects import ResponseParams, RetentionRatio, SessionPatch, TruncationSetting
from server.sampling import check_sampling, overlay
from server.session.character_settings import CharacterSettings, FindCharacter
from server.session.form_fields import change_form
from server.text.pace import check_listener
from server.tools.reply_form import FormWish


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """Bounds of one session; every refusal names the bound."""

    max_items: int = 2000
    """Items in the conversation; the oldest turns go, unless truncation is disabled."""
    max_item_bytes: int = 64 * 1024
    """Text in one item."""
    max_conversation_bytes: int = 1024 * 1024
    """Text in the conversation; the oldest turns go, unless truncation is disabled."""
    max_input_items: int = 256
    """Items in one response's ``input``."""
    max_parallel_responses: int = 4
    """Replies in the making, the default conversation's included."""
    max_instructions_bytes: int = 64 * 1024
    """Text of ``instructions``."""
    max_output_tokens: int = 4096
    """What a client may name; ``inf`` goes up to the context's end."""
    max_metadata_keys: int = 16
    """Entries of a response's ``metadata``."""
    max_metadata_key_length: int = 64
    """Characters."""
    max_metadata_value_length: int = 512
    """Characters."""
    vocab_size: int = 2**31
    """Token ids that a client names are below it; the model's, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Everything a client can set; values are changed by making a new one.

    Attributes:
        cast: Who speaks, and how it is performed.
        instructions: The client's own; they follow a character's prompt.
        tools: As the client wrote them.
        tool_choice: Likewise.
        parallel_tool_calls: Whether one reply may call several times.
        response_format: As the client wrote it; ``None`` for text of any form.
        structured_outputs: Likewise.
        form_wish: What these five come to.
        max_output_tokens: ``None`` for ``inf``.
        truncation: What to do when the conversation is longer than the context.
        sampling: What the client set, over the character's own values.
        listener: How fast replies are taken in; ``None`` as the server is set.
        summary: Read instead of turns that the model does not read any more.
        writes_summary: Whether the model writes it itself; ``None`` as the server is set.
    """

    cast: CharacterSettings = CharacterSettings()
    instructions: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list)
    tool_choice: str | dict[str, Any] = "auto"
    parallel_tool_calls: bool = True
    response_format: dict[str, Any] | None = None
    structured_outputs: dict[str, Any] | None = None
    form_wish: FormWish = FormWish()
    max_output_tokens: int | None = None
    truncation: TruncationSetting = "auto"
    sampling: Mapping[str, Any] = field(default_factory=dict)
    listener: ListenerSetting | None = None
    summary: str = ""
    writes_summary: bool | None = None

    @classmethod
    def for_model(cls, choice: ResolvedModel, *, seed: int = 0) -> SessionSettings:
        """What holds before the client has set anything.

        Args:
            choice: Which model and character.
            seed: Of everything that a card leaves to chance.
        """
        character = choice.character
        return cls(
            cast=CharacterSettings(characters=(character,) if character else (), seed=seed),
            max_output_tokens=character.max_output_tokens if character else None,
        )

    @property
    def character(self) -> Character | None:
        """Who speaks unless somebody else is named; ``None`` for the bare model."""
        return self.cast.character

    @property
    def effective_sampling(self) -> dict[str, Any]:
        """The character's values with the client's over them."""
        return {**(self.character.sampling if self.character else {}), **self.sampling}

    def system_text(self, granted: frozenset[str]) -> str:
        """The persona, what it has to know of tags, and the client's instructions after it.

        Args:
            granted: Names of the extension events that the client gets.
        """
        texts = (self.cast.head(granted), self.instructions)
        return "\n\n".join(text for text in texts if text)

    def sampling_params(self, path: str, limits: SessionLimits) -> SamplingParams:
        """The engine's parameters.

        Raises:
            InvalidValue: Out of range; ``path`` is put before the field's name.
        """
        return check_sampling(
            self.effective_sampling,
            max_tokens=self.max_output_tokens,
            path=path,
            vocab_size=limits.vocab_size,
        )

    def with_session(
        self, patch: SessionPatch, limits: SessionLimits, find: FindCharacter
    ) -> SessionSettings:
        """Apply ``session.update``.

        Args:
            patch: What the client sent.
            limits: Bounds.
            find: Looks characters up.

        Raises:
            ProtocolError: A field is refused; nothing is applied.
        """
        settings = self._with_common(patch, limits, "session")
        if patch.truncation is not UNSET:
            truncation = "auto" if patch.truncation is None else patch.truncation
            settings = replace(settings, truncation=_check_truncation(truncation))
        if isinstance(patch.character, CharacterPatch):
            settings = settings._with_character(patch.character, limits, find)
        settings.sampling_params("session", limits)
        return settings

    def with_response(self, params: ResponseParams, limits: SessionLimits) -> SessionSettings:
        """Apply a response's own settings, for it alone.

        Raises:
            ProtocolError: A field is refused.
        """
        return self._with_common(params, limits, "response")

    def _with_character(
        self, patch: CharacterPatch, limits: SessionLimits, find: FindCharacter
    ) -> SessionSettings:
        settings = replace(self, cast=self.cast.with_patch(patch, find))
        if patch.listener is not UNSET:
            settings = replace(
                settings, listener=check_listener(patch.listener, "session.character.listener")
            )
        if patch.memory is not UNSET:
            settings = settings._with_memory(patch.memory, limits)
        return settings

    def _with_memory(self, patch: MemorySetting | None, limits: SessionLimits) -> SessionSettings:
        """What is left out stays as it is; an empty summary removes it."""
        if patch is None:
            return replace(self, summary="", writes_summary=None)
        summary = self.summary if patch.summary is None else patch.summary
        _check_size("the summary", summary, limits, "session.character.memory.summary")
        writes = self.writes_summary if patch.auto is None else patch.auto
        return replace(self, summary=summary, writes_summary=writes)

    def _with_common(
        self, patch: SessionPatch | ResponseParams, limits: SessionLimits, path: str
    ) -> SessionSettings:
        changes: dict[str, Any] = {"sampling": overlay(self.sampling, patch)}
        if patch.instructions is not UNSET:
            changes["instructions"] = _check_instructions(patch.instructions or "", limits, path)
        if patch.output_modalities is not UNSET:
            _check_modalities(patch.output_modalities or [], path)
        changes |= change_form(self.form_wish, patch, path)
        if patch.max_output_tokens is not UNSET:
            changes["max_output_tokens"] = self._max_tokens(patch.max_output_tokens, limits, path)
        return replace(self, **changes)

    def _max_tokens(self, value: int | str | None, limits: SessionLimits, path: str) -> int | None:
        if value is None:
            return self.character.max_output_tokens if self.character else None
        if value == "inf":
            return None
        if isinstance(value, str) or not 1 <= value <= limits.max_output_tokens:
            raise InvalidValue(
                f"{path}.max_output_tokens",
                f"{path}.max_output_tokens is {shorten(value)}; it must be a whole number from 1 "
                f"to {limits.max_output_tokens}, or 'inf'",
            )
        return value


def _check_instructions(text: str, limits: SessionLimits, path: str) -> str:
    _check_size("the instructions", text, limits, f"{path}.instructions")
    return text


def _check_size(what: str, text: str, limits: SessionLimits, param: str) -> None:
    num_bytes = len(text.encode())
    if num_bytes > limits.max_instructions_bytes:
        raise LimitExceeded(
            f"the size of {what} in bytes",
            num_bytes,
            limits.max_instructions_bytes,
            "send less",
            param=param,
        )


def _check_modalities(modalities: list[str], path: str) -> None:
    """Take audio for text: clients ask for it by default and read the text beside it."""
    for name in modalities:
        if name not in ("text", "audio"):
            raise InvalidValue(
                f"{path}.output_modalities",
                f"{path}.output_modalities holds {shorten(name)}; this server answers in 'text'",
            )


def _check_truncation(truncation: str | RetentionRatio) -> TruncationSetting:
    if isinstance(truncation, RetentionRatio):
        ratio = truncation.retention_ratio
        if not 0 < ratio <= 1:
            raise InvalidValue(
                "session.truncation.retention_ratio",
                f"session.truncation.retention_ratio is {ratio}; it must be above 0 and at most 1",
            )
        limits = truncation.token_limits
        if limits and limits.post_instructions is not None and limits.post_instructions < 1:
            raise InvalidValue(
                "session.truncation.token_limits.post_instructions",
                f"post_instructions is {limits.post_instructions}; it must be at least 1",
            )
        return truncation
    if truncation == "auto":
        return "auto"
    if truncation == "disabled":
        return "disabled"
    raise InvalidValue(
        "session.truncation",
        f"session.truncation is {shorten(truncation)}; it must be 'auto', 'disabled' or a "
        "retention_ratio object",
        code=ErrorCode.INVALID_VALUE,
    )
