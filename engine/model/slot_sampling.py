"""How a sequence samples, in the terms of the GPU's sampler."""

from __future__ import annotations

from engine.gpu.sampling.sampling_state import SlotSampling
from engine.model.noise import seed_of_name
from engine.model.slot_state import SlotState


def sampling_of(state: SlotState) -> SlotSampling:
    """Say how a sequence samples in the device's terms."""
    params = state.params
    return SlotSampling(
        temperature=params.temperature,
        top_k=params.top_k,
        top_p=params.top_p,
        min_p=params.min_p,
        presence_penalty=params.presence_penalty,
        frequency_penalty=params.frequency_penalty,
        repetition_penalty=params.repetition_penalty,
        dry_multiplier=params.dry_multiplier,
        dry_base=params.dry_base,
        dry_allowed_length=params.dry_allowed_length,
        dry_range=params.dry_range,
        dry_breaker_ids=params.dry_breaker_ids,
        xtc_probability=params.xtc_probability,
        xtc_threshold=params.xtc_threshold,
        logit_bias=params.logit_bias,
        allowed_token_ids=params.allowed_token_ids,
        banned_token_ids=params.banned_token_ids,
        stop_token_ids=state.stop_token_ids,
        min_tokens=params.min_tokens,
        seed=seed_of_name(state.request_id) if params.seed is None else params.seed,
    )
