"""Chooses each row's next token.

In this order: grammars (`engine.model.grammar_masks`); bias, bans and penalties
(`engine.model.penalties`); log probabilities are reported from the logits as the model gave them;
temperature, filters and one draw (`engine.model.draw`). Greedy rows take the largest logit after
the penalties and skip the rest.

Whatever a row goes through depends on that row alone, down to the order of additions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.model.draw import Draw, DrawRow, draw
from engine.model.forward import Logits
from engine.model.grammar_masks import GrammarMasks
from engine.model.noise import DRAW, XTC_COIN, seed_of_name, uniform
from engine.model.penalties import LogitChanges, bans, changes_logits
from engine.model.slot_state import SlotState
from engine.outputs import Logprob, ModelRunnerOutput, SampledToken, TokenLogprobs

COLDEST = 1e-5
"""Temperatures below this are greedy (vLLM's ``_SAMPLING_EPS``)."""
NUMBER_MISSING = (
    "the model's output for this request is not a finite number; try again, or with another prompt"
)
_LOWEST_LOGPROB = -9999.0
"""Stands for minus infinity, which JSON cannot say (OpenAI's convention)."""


class Sampler:
    """Draws one token per row; knows nothing of the model but its logits.

    Args:
        masks: Keeps rows to their grammars; without it, rows with a grammar fail.
        draw: Filters and draws.
    """

    def __init__(self, masks: GrammarMasks | None = None, draw: Draw = draw) -> None:
        self._draw = draw
        self._changes = LogitChanges()
        self._masks = masks

    @torch.inference_mode()
    def sample(self, scores: Logits, rows: Mapping[int, SlotState]) -> ModelRunnerOutput:
        """Choose the next token of each row.

        Args:
            scores: Of ``len(rows)`` rows; may be overwritten.
            rows: By slot, in the order of the logits.

        Returns:
            A token for each slot, or a sentence for those whose logits are not finite, whose bans
            leave nothing, or whose grammar has no way on.
        """
        slots, states = list(rows), list(rows.values())
        logits, largest = scores.values, scores.largest
        failed = {slots[row]: NUMBER_MISSING for row in _broken_rows(logits, largest)}
        if failed:
            good = [row for row, slot in enumerate(slots) if slot not in failed]
            if not good:
                return ModelRunnerOutput(sampled={}, failed=failed)
            logits = logits[good]
            largest = None if largest is None else largest[good]
            slots, states = [slots[row] for row in good], [states[row] for row in good]
        logits = logits.float()
        raw = _raw_logprobs(logits, states)
        stuck = self._constrain(logits, states)
        for row in self._change(logits, states):
            stuck.setdefault(row, nothing_left(states[row]))
        for row, sentence in stuck.items():
            failed[slots[row]] = sentence
            logits[row] = 0.0
        token_ids = self._choose(logits, states, largest)
        sampled = {
            slot: SampledToken(token_id, _report(raw.get(row), state, token_id))
            for row, (state, token_id) in enumerate(zip(states, token_ids, strict=True))
            if (slot := slots[row]) not in failed
        }
        return ModelRunnerOutput(sampled=sampled, failed=failed)

    def _constrain(self, logits: Tensor, states: Sequence[SlotState]) -> dict[int, str]:
        """Apply grammars in place; return a sentence for each row that cannot go on."""
        if self._masks is not None:
            return self._masks.apply(logits, states)
        rows = [row for row, state in enumerate(states) if state.params.grammar is not None]
        return dict.fromkeys(rows, "this engine follows no grammars; ask without one")

    def _change(self, logits: Tensor, states: Sequence[SlotState]) -> list[int]:
        """Apply bias, bans and penalties in place; return the rows without any candidate."""
        rows = [row for row, state in enumerate(states) if changes_logits(state)]
        for row in rows:
            self._changes.apply(logits[row], states[row])
        self._changes.keep_only(states[row].request_id for row in rows)
        return [row for row in rows if bans(states[row]) and logits[row].amax() == float("-inf")]

    def _choose(
        self, logits: Tensor, states: Sequence[SlotState], largest: NDArray[np.int32] | None
    ) -> list[int]:
        """Return a token for each row."""
        drawing = [row for row, s in enumerate(states) if s.params.temperature >= COLDEST]
        drawn: Sequence[int] = []
        if drawing:
            rows = [_draw_row(states[row], logits.shape[1]) for row in drawing]
            everybody = len(drawing) == len(states)
            drawn = self._draw(logits if everybody else logits[drawing], rows)
            if everybody:
                return list(drawn)
        token_ids = _largest(logits, states, largest)
        for row, token_id in zip(drawing, drawn, strict=True):
            token_ids[row] = token_id
        return token_ids


def nothing_left(state: SlotState) -> str:
    """Say why a row has no candidate."""
    if state.params.grammar is not None:
        return (
            "no token is left to choose from: all that the grammar allows here are banned, or not "
            "among allowed_token_ids; lift that, or write the grammar otherwise"
        )
    return (
        "no token is left to choose from: none of allowed_token_ids is in the model's "
        "vocabulary, or all of them are banned"
    )


def _broken_rows(logits: Tensor, largest: NDArray[np.int32] | None) -> list[int]:
    if largest is not None:
        return [int(row) for row in np.flatnonzero(largest < 0)]
    # the maximum is not a number if any element is not, and infinite if any is
    finite = torch.isfinite(logits.amax(dim=-1)).tolist()
    return [row for row, fine in enumerate(finite) if not fine]


def _raw_logprobs(logits: Tensor, requests: Sequence[SlotState]) -> dict[int, Tensor]:
    rows = [row for row, request in enumerate(requests) if request.params.logprobs is not None]
    if not rows:
        return {}
    return dict(zip(rows, torch.log_softmax(logits[rows], dim=-1), strict=True))


def _report(raw: Tensor | None, request: SlotState, token_id: int) -> TokenLogprobs | None:
    count = request.params.logprobs
    if raw is None or count is None:
        return None
    values, ids = torch.topk(raw, min(count, len(raw)))
    return logprobs_of(token_id, float(raw[token_id]), ids.tolist(), values.tolist())


def logprobs_of(
    token_id: int, value: float, top_ids: Sequence[int], top_values: Sequence[float]
) -> TokenLogprobs:
    """Return a report of a chosen token and the likeliest ones, in numbers that JSON can say."""
    pairs = zip((token_id, *top_ids), (value, *top_values), strict=True)
    chosen, *top = (Logprob(i, max(v, _LOWEST_LOGPROB)) for i, v in pairs)
    return TokenLogprobs(chosen, top)


def _largest(
    logits: Tensor, requests: Sequence[SlotState], known: NDArray[np.int32] | None
) -> list[int]:
    """Look for the largest logits, only where they are not known or were changed since."""
    if known is None:
        return _argmax(logits)
    token_ids: list[int] = known.tolist()
    changed = [
        row
        for row, request in enumerate(requests)
        if request.params.grammar is not None or changes_logits(request)
    ]
    if changed:
        for row, token_id in zip(changed, _argmax(logits[changed]), strict=True):
            token_ids[row] = token_id
    return token_ids


def _argmax(logits: Tensor) -> list[int]:
    if logits.device.type == "cpu":  # ten times torch's own; both take the first of equals
        found: list[int] = np.argmax(logits.numpy(), axis=-1).tolist()
        return found
    return [int(i) for i in logits.argmax(dim=-1).tolist()]


def _draw_row(state: SlotState, vocab: int) -> DrawRow:
    """What a row's draw depends on beside its logits."""
    params = state.params
    seed = seed_of_name(state.request_id) if params.seed is None else params.seed
    position = state.num_output_tokens
    # threshold and coin as in llama.cpp's `llama_sampler_xtc_apply`
    acts = params.xtc_probability > 0.0 and params.xtc_threshold <= 0.5
    acts = acts and uniform(seed, position, XTC_COIN) < params.xtc_probability
    return DrawRow(
        temperature=params.temperature,
        top_k=min(params.top_k, vocab) if params.top_k > 0 else vocab,
        top_p=params.top_p,
        min_p=params.min_p,
        xtc_threshold=params.xtc_threshold if acts else None,
        protected=state.stop_token_ids if acts else frozenset(),
        uniform=uniform(seed, position, DRAW),
    )
