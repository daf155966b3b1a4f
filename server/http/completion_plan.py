"""From a checked request to something the engine can run: who speaks, the prompt, the sampling."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import msgspec

from engine.chat_template import ChatMessage
from engine.errors import EngineError, InvalidParameter
from engine.outputs import EngineInfo
from engine.request import Service
from engine.sampling_params import SamplingParams
from server.auth.keys import cache_salt_of, tenant_of
from server.characters.catalog import ResolvedModel
from server.characters.persona import Persona, read_persona
from server.conversation.prompt import build_prompt, num_prompt_chars
from server.conversation.tool_tokenizer import with_tools
from server.engine_port import EnginePort, Tokenizer
from server.errors import (
    ErrorCode,
    InvalidValue,
    ModelNotFound,
    PromptDoesNotFit,
    ProtocolError,
    RateLimited,
)
from server.http.completion_reply import Plan
from server.http.completion_shapes import CompletionShape, TokenText
from server.http.completions_body import CompletionRequest
from server.http.models import model_not_found
from server.http.persona_messages import with_persona
from server.http.refusals import (
    HttpRefusal,
    from_engine_error,
    from_protocol_error,
    invalid,
    overloaded,
    unavailable,
)
from server.http.reply_text import ReplyText
from server.sampling import build_sampling_params, check_token_ids, describe
from server.state import ServerState
from server.text.pace import is_wide, listener_for
from server.text.tag_dialects import TagDialect, TagText, split_dialect
from server.text.tag_rules import TagRules, tag_instructions
from server.tools.reply_form import ReplyForm, plan_form


@runtime_checkable
class _SpellingTokenizer(Protocol):
    """What a tokenizer needs beside the port's verbs for tokens to be shown one by one."""

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Turn ids into text."""
        ...

    def pieces(self, *, skip_special_tokens: bool = True) -> Mapping[int, str | bytes] | None:
        """What each token adds to a text, if its decoder can be told so."""
        ...


def engine_of(state: ServerState) -> EnginePort:
    """The engine, when there is one and new work is taken.

    Raises:
        HttpRefusal: 503 while the model loads or the server drains.
    """
    if state.is_draining:
        raise unavailable("draining", "the server is about to stop; try again in a few seconds")
    if state.engine is None:
        raise unavailable("loading", "the model is being loaded; try again in a few seconds")
    return state.engine


async def make_plan(
    state: ServerState, request: CompletionRequest, principal: str, address: str = ""
) -> Plan:
    """Resolve the model, build the prompt and check the sampling.

    Args:
        state: Shared with every room.
        request: Checked.
        principal: Whose key came with it.
        address: Where it came from; tells clients without a key from each other.

    Raises:
        HttpRefusal: 400 for a value out of range or a prompt too long, 404 for an unknown model.
    """
    engine = engine_of(state)
    resolved, named_dialect = _resolve(state, request.model, principal)
    persona = read_persona(resolved.character) if resolved.character else None
    tag_dialect = request.tag_dialect or named_dialect or "strip"
    tags = _tag_rules(request, resolved, tag_dialect)
    params = _sampling_params(request, resolved, engine.info.vocab_size)
    form = _form(request, engine, tags)
    if form.grammar is not None:
        params = msgspec.structs.replace(params, grammar=form.grammar)
    told = ""
    if persona is not None and _wants_tags(request, tag_dialect):
        told = tag_instructions(tags, persona.head)
    prompt = await _prompt_token_ids(state, engine, request, persona, told, form)
    params = _fit(params, room=engine.info.max_model_len - len(prompt))
    expressions = tags.shown_expressions if form.is_talk else ()
    motions = tags.shown_motions if form.is_talk else ()
    stem = secrets.token_hex(12)
    return Plan(
        prompt_token_ids=prompt,
        params=params,
        service=_service(state, engine, request, persona, prompt, principal, address),
        shape=CompletionShape(
            completion_id=f"chatcmpl-{stem}",
            created=int(time.time()),
            model=request.model,
            fingerprint=fingerprint_of(engine.info),
            include_usage=request.include_usage,
        ),
        text=ReplyText(
            TagText(expressions, tag_dialect, motions), form.parser(), call_stem=f"call_{stem}_"
        ),
        grammar_field=_grammar_field(request, form),
        token_text=_token_text(engine.tokenizer) if request.wants_logprobs else None,
    )


def fingerprint_of(info: EngineInfo) -> str:
    """A short name for what seeded replies depend on beside the request."""
    made_of = f"{info.model}|{info.architecture}|{info.dtype}|{info.device}|{info.num_parameters}"
    return "fp_" + hashlib.blake2b(made_of.encode(), digest_size=5).hexdigest()


def _form(request: CompletionRequest, engine: EnginePort, tags: TagRules) -> ReplyForm:
    try:
        return plan_form(request.wish, engine.tokenizer.tool_dialect, "", tags)
    except ProtocolError as error:
        raise from_protocol_error(error) from None


def _grammar_field(request: CompletionRequest, form: ReplyForm) -> str:
    if form.tools:
        return "tools"
    return "tag_mode" if form.is_talk else request.wish.text_name


def _resolve(
    state: ServerState, model: str, principal: str
) -> tuple[ResolvedModel, TagDialect | None]:
    """Find out who is meant: ``aoi``, or ``aoi+face`` with a dialect for those who can set no more.

    An engine may have a ``+`` in its name, so whole names come first.
    """
    name, dialect = (model, None) if model in state.catalog else split_dialect(model)
    try:
        return state.catalog.resolve(name, principal=principal), dialect
    except ModelNotFound as error:
        raise model_not_found(error) from None


def _wants_tags(request: CompletionRequest, dialect: TagDialect) -> bool:
    """Whether the client has asked for tags at all, and not only is not to see them."""
    return dialect != "strip" or request.tag_mode is not None


def _tag_rules(
    request: CompletionRequest, resolved: ResolvedModel, dialect: TagDialect
) -> TagRules:
    character = resolved.character
    return TagRules(
        expressions=character.expressions if character else (),
        motions=character.motions if character else (),
        mode=request.tag_mode or ("prompt" if dialect == "strip" else "enforced"),
        every=request.tag_every,
    )


def _sampling_params(
    request: CompletionRequest, resolved: ResolvedModel, vocab_size: int
) -> SamplingParams:
    character = resolved.character
    fields = {**(character.sampling if character else {}), **request.sampling}
    longest = fields.pop("max_tokens", character.max_output_tokens if character else None)
    try:
        params = build_sampling_params(fields, max_tokens=longest)
        check_token_ids(params, vocab_size)
    except InvalidValue as error:
        raise invalid(error.param, error.message) from None
    except InvalidParameter as error:
        param = error.param or ""
        if param == "logprobs":
            param = "top_logprobs"
        raise invalid(param, describe(error)) from None
    return params


def _fit(params: SamplingParams, *, room: int) -> SamplingParams:
    """Lower ``max_tokens`` to what the context still holds; the reply then ends with ``length``."""
    if params.max_tokens is None or params.max_tokens <= room:
        return params
    return msgspec.structs.replace(params, max_tokens=max(room, params.min_tokens, 1))


async def _prompt_token_ids(
    state: ServerState,
    engine: EnginePort,
    request: CompletionRequest,
    persona: Persona | None,
    told: str,
    form: ReplyForm,
) -> list[int]:
    limits = state.settings.limits
    max_prompt_tokens = engine.info.max_model_len - 1
    if limits.max_prompt_tokens is not None:
        max_prompt_tokens = min(max_prompt_tokens, limits.max_prompt_tokens)

    tokenizer = with_tools(engine.tokenizer, form.tools)

    def build() -> list[int]:
        messages: Sequence[ChatMessage] = request.messages
        if persona is not None:
            told_too = replace(persona, head="\n\n".join(filter(None, (persona.head, told))))
            messages = with_persona(messages, told_too, time.monotonic)
        # Nothing is dropped behind the client's back: it keeps the history here, and can cut it.
        token_ids = build_prompt(
            messages, tokenizer, max_prompt_tokens=max_prompt_tokens, truncation="disabled"
        ).token_ids
        if persona is not None:
            state.pinned.count(persona.head, token_ids, engine.tokenizer)  # slow only once
        return token_ids

    num_chars = num_prompt_chars(request.messages, form.tools)
    num_chars += len(persona.head) if persona is not None else 0
    is_short = num_chars <= limits.inline_prompt_chars and not (persona and persona.books)
    try:
        if is_short:
            return build()
        return await state.prompt_threads.run(build)
    except PromptDoesNotFit as error:
        raise _too_long(error.length, error.limit) from None
    except RateLimited as error:
        raise overloaded(error) from None
    except EngineError as error:
        raise from_engine_error(error) from None


def _too_long(length: str, limit: int) -> HttpRefusal:
    return invalid(
        "messages",
        f"the messages come to {length}, but at most {limit} tokens fit into the context with "
        "room for a reply; leave out the oldest ones",
        code=ErrorCode.CONTEXT_LENGTH_EXCEEDED,
    )


def _service(
    state: ServerState,
    engine: EnginePort,
    request: CompletionRequest,
    persona: Persona | None,
    prompt: list[int],
    principal: str,
    address: str,
) -> Service:
    head = persona.head if persona is not None else ""
    listener = request.listener
    return Service(
        cache_salt=cache_salt_of(principal),
        tenant=tenant_of(principal, address),
        num_pinned_tokens=state.pinned.count(head, prompt, engine.tokenizer),
        listener=None
        if listener is None
        else listener_for(
            listener.kind,  # type: ignore[arg-type]  # checked by check_listener
            listener.rate,
            state.density,
            wide=is_wide(request.messages[-1].content),
        ),
    )


def _token_text(tokenizer: Tokenizer) -> TokenText:
    if not isinstance(tokenizer, _SpellingTokenizer):
        raise HttpRefusal(
            400,
            "this server's engine cannot show single tokens; leave logprobs out",
            code="unsupported",
            param="logprobs",
        )
    pieces = tokenizer.pieces(skip_special_tokens=False)
    if pieces is not None:
        return pieces.__getitem__
    spelling = tokenizer

    def decode(token_id: int) -> str:
        return spelling.decode([token_id], skip_special_tokens=False)

    return decode
