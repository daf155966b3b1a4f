"""The sampler's launches over random logits, for kinds of requests that share a batch."""

from __future__ import annotations

from typing import Any

import torch

from engine.gpu.sampling.sample import sample
from engine.gpu.sampling.sampling_state import SamplingState, SlotSampling
from engine.gpu.step.request_state import RequestState
from tools.gpu.timing import Launch

_TOKENS = 2048
_SO_FAR = 512
KINDS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "temperature": {"temperature": 0.8},
    "top-p": {"temperature": 0.8, "top_p": 0.9},
    "penalties": {"temperature": 0.8, "top_p": 0.9, "repetition_penalty": 1.1},
    "DRY": {"temperature": 0.8, "min_p": 0.05, "dry_multiplier": 0.8},
}


def sampler_calls(batch: int, vocab: int, device: torch.device) -> dict[str, Launch]:
    """Return what samples a token for each sequence, by kind; and the least that could do so."""
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    logits = torch.randn(batch, vocab, device=device).mul_(3).to(dtype)
    slots = torch.arange(batch, dtype=torch.int32, device=device)
    calls: dict[str, Launch] = {"torch's argmax": lambda: logits.argmax(dim=-1)}
    for name, settings in KINDS.items():
        requests = RequestState(batch, _TOKENS, device)
        state = SamplingState(batch, vocab, device)
        hows = [SlotSampling(**settings, seed=slot) for slot in range(batch)]
        for slot, how in enumerate(hows):
            ids = [(7 * slot + 3 * place) % vocab for place in range(_SO_FAR)]
            requests.load(
                slot, ids, num_prompt_tokens=_SO_FAR // 2, num_computed=_SO_FAR - 1, block_table=[]
            )
            state.load(slot, ids, _SO_FAR // 2, how)
        calls[name] = _launch(logits, slots, requests, state, hows[0])
    return calls


def _launch(
    logits: torch.Tensor,
    slots: torch.Tensor,
    requests: RequestState,
    state: SamplingState,
    how: SlotSampling,
) -> Launch:
    out, one = torch.empty_like(slots), torch.ones_like(slots)

    def launch() -> None:
        sample(
            logits,
            slots,
            slots,
            one,
            requests,
            state,
            out,
            changes=how.changes_logits,
            filters=how.filters,
        )

    return launch
