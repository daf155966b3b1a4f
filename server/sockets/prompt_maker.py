"""Makes prompts of what a session wants written, and says how they are to be served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from engine.request import Service
from engine.sampling_params import SamplingParams
from server.conversation.memory import Memory, Recollection, recall
from server.conversation.prompt import MAX_REPLY_RESERVE, num_prompt_chars, room_for_prompt
from server.conversation.tool_tokenizer import with_tools
from server.engine_port import EnginePort, MarkingTokenizer
from server.session.effects import Generate
from server.state import ServerState
from server.text.pace import ListenerKind, is_wide, listener_for


class PromptMaker:
    """Knows the model's context and the server's bounds; holds nothing of a session."""

    def __init__(self, state: ServerState, engine: EnginePort) -> None:
        """Start.

        Args:
            state: Shared with every room.
            engine: Who computes.
        """
        self._state = state
        self._engine = engine

    def is_long(self, wanted: Generate, draft: str = "") -> bool:
        """Whether the prompt is better made in a thread, with what is being typed behind it."""
        num_chars = num_prompt_chars(wanted.messages, wanted.tools)
        num_chars += len(wanted.begun) + len(wanted.summary) + len(draft)
        return num_chars > self._state.settings.limits.inline_prompt_chars

    def room(self, wanted: Generate) -> int:
        """Tokens that the prompt may have."""
        return room_for_prompt(
            self._engine.info.max_model_len,
            wanted.max_output_tokens or MAX_REPLY_RESERVE,
            self._state.settings.limits.max_prompt_tokens,
        )

    def tokenizer(self, wanted: Generate) -> MarkingTokenizer:
        """The model's, showing the tools."""
        return with_tools(self._engine.tokenizer, wanted.tools)

    def build(self, wanted: Generate, memory: Memory, reply_ids: Sequence[int]) -> Recollection:
        """Make a reply's prompt; pure computation, safe in any thread.

        Args:
            wanted: Where it has no conversation, nothing is remembered for it.
            memory: As of the last prompt.
            reply_ids: Sampled behind it.

        Raises:
            PromptDoesNotFit: See ``build_prompt``.
            TemplateRefused: The template does not render this conversation.
        """
        tokenizer = self.tokenizer(wanted)
        memory = memory.with_reply(reply_ids, tokenizer) if wanted.conversation_id else Memory()
        built = recall(
            memory,
            wanted.messages,
            tokenizer,
            max_prompt_tokens=self.room(wanted),
            truncation=wanted.truncation,
            summary=wanted.summary,
            begun=wanted.begun,
        )
        self._count_pinned(wanted, built.token_ids)  # slow only once
        return built

    def fit(self, params: SamplingParams, num_prompt_tokens: int) -> SamplingParams:
        """Let a reply end where the context does."""
        room = self._engine.info.max_model_len - num_prompt_tokens
        if params.max_tokens is None or params.max_tokens <= room:
            return params
        return msgspec.structs.replace(params, max_tokens=max(room, params.min_tokens, 1))

    def service(self, wanted: Generate, token_ids: Sequence[int], *, priority: int = 0) -> Service:
        """How a request is served: whose it is, and who listens."""
        listener = wanted.listener
        said = wanted.messages[-1].content if wanted.messages else ""
        kind = "none" if listener is None else listener.kind
        return Service(
            priority=priority,
            cache_salt=wanted.cache_salt,
            tenant=wanted.tenant,
            conversation_id=wanted.conversation_id,
            num_pinned_tokens=self._count_pinned(wanted, token_ids),
            listener=listener_for(
                cast(ListenerKind, kind),
                None if listener is None else listener.rate,
                self._state.density,
                wide=is_wide(said),
            ),
        )

    def _count_pinned(self, wanted: Generate, token_ids: Sequence[int]) -> int:
        return self._state.pinned.count(wanted.persona, token_ids, self._engine.tokenizer)
