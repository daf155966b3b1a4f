"""Offline generation: many prompts in, all replies out, in this process."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.build import build_core
from engine.config import EngineConfig
from engine.errors import InvalidParameter
from engine.outputs import TokenLogprobs, TokenOutput
from engine.progress import LoadProgress
from engine.request import FinishReason, make_request
from engine.sampling_params import SamplingParams
from engine.text_stream import TextStream, complete
from engine.tokenizer import Tokenizer

Prompt = str | Sequence[int]


@dataclass(slots=True)
class RequestOutput:
    """One prompt's reply.

    Attributes:
        prompt_token_ids: The prompt as the model saw it.
        token_ids: The reply's tokens, the end token that stopped it included.
        text: The reply as text, without the end token and without the stop string.
        finish_reason: ``stop``, ``length``, ``abort`` or ``error``.
        stop_reason: The stop string or the end token that ended it, if one did.
        num_cached_tokens: Prompt tokens that came from the prefix cache.
        logprobs: One entry per token, when asked for.
        error: A sentence, when ``finish_reason`` is ``error``.
    """

    prompt_token_ids: list[int]
    token_ids: list[int] = field(default_factory=list)
    text: str = ""
    finish_reason: FinishReason | None = None
    stop_reason: str | int | None = None
    num_cached_tokens: int = 0
    logprobs: list[TokenLogprobs] | None = None
    error: str | None = None


class LLM:
    """A model, ready to generate.

    Args:
        model: Local folder or hub id.
        **config: The command line's names: ``dtype``, ``device``, ``max_num_seqs``,
            ``max_num_batched_tokens``, ``max_model_len``, ``kv_cache_tokens``,
            ``kv_cache_memory``, ``kv_cache_dtype``, ``enable_prefix_caching``, ``quantization``,
            ``deterministic``.

    Raises:
        ConfigError: A name is unknown or a value cannot work.
        ModelError: The checkpoint cannot be served.
    """

    def __init__(self, model: str, **config: Any) -> None:
        settings = EngineConfig.from_flat(model=str(model), **config)
        with LoadProgress() as progress:
            self.core = build_core(settings, on_progress=progress)
        self.tokenizer = Tokenizer.from_folder(Path(self.core.info.model_path))
        self._max_queued = settings.scheduler.max_num_queued_reqs
        self._request_ids = itertools.count()

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
    ) -> list[RequestOutput]:
        """Generate a reply to each prompt, all in one continuously changing batch.

        Args:
            prompts: Strings or token-id lists; a single one may stand alone.
            sampling_params: One for all, one per prompt, or ``None`` for the defaults.

        Returns:
            One output per prompt, in the prompts' order.

        Raises:
            RequestError: A prompt or a parameter is refused; nothing is computed for any.
            ValueError: There are not as many parameters as prompts.
        """
        token_ids = [self._token_ids(prompt) for prompt in _as_list(prompts)]
        params = _one_each(sampling_params, len(token_ids))
        requests = [
            make_request(f"llm-{next(self._request_ids)}", ids, complete(wanted, self.tokenizer))
            for ids, wanted in zip(token_ids, params, strict=True)
        ]
        for request in requests:
            self.core.check(request)
            self.core.compile(request.params)
        outputs = [RequestOutput(request.prompt_token_ids) for request in requests]
        pending = deque(zip(requests, outputs, strict=True))
        live: dict[str, tuple[TextStream, RequestOutput]] = {}
        try:
            while pending or live:
                while pending and self.core.scheduler.num_waiting < self._max_queued:
                    request, output = pending.popleft()
                    stream = TextStream(request.request_id, request.params, self.tokenizer)
                    live[request.request_id] = (stream, output)
                    self.core.submit([request])
                for token_output in self.core.step().outputs:
                    if token_output.request_id in live:
                        self._take(token_output, live)
        finally:
            self.core.cancel(list(live))
        return outputs

    def _token_ids(self, prompt: Prompt) -> list[int]:
        return self.tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)

    def _take(
        self, token_output: TokenOutput, live: dict[str, tuple[TextStream, RequestOutput]]
    ) -> None:
        stream, output = live[token_output.request_id]
        delta = stream.push(token_output)
        output.token_ids += delta.token_ids
        output.text += delta.text
        output.num_cached_tokens = delta.num_cached_tokens
        if delta.logprobs is not None:
            output.logprobs = [*(output.logprobs or []), *delta.logprobs]
        if delta.finish_reason is None:
            return
        output.finish_reason = delta.finish_reason
        output.stop_reason = delta.stop_reason
        output.error = delta.error_message
        del live[token_output.request_id]
        if token_output.finish_reason is None:  # a stop string: the engine does not know yet
            self.core.cancel([token_output.request_id])


def _as_list(prompts: Prompt | Sequence[Prompt]) -> list[Prompt]:
    if isinstance(prompts, str):
        return [prompts]
    several = list(prompts)
    if several and all(hasattr(item, "__index__") for item in several):
        return [several]  # type: ignore[list-item]
    for prompt in several:
        if isinstance(prompt, bytes | dict) or not isinstance(prompt, Iterable):
            raise InvalidParameter("prompts", prompt, "strings or lists of token ids")
    return several  # type: ignore[return-value]


def _one_each(
    params: SamplingParams | Sequence[SamplingParams] | None, count: int
) -> list[SamplingParams]:
    if params is None:
        params = SamplingParams()
    if isinstance(params, SamplingParams):
        return [params] * count
    if len(params) != count:
        raise ValueError(
            f"{len(params)} sampling_params for {count} prompts; give one, or one each"
        )
    return list(params)
