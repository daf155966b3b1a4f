"""One forward over a packed batch: everybody's new tokens in a row, no padding between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from engine.attention.interface import attending
from engine.attention.kv_store import KVStore
from engine.attention.metadata import Span, StepMetadata
from engine.attention.reference import ReferenceAttention

_ROW_MULTIPLE = 4


def packed_forward(
    model: Any,
    store: KVStore,
    spans: Sequence[Span],
    token_ids: Sequence[int],
    logit_rows: Sequence[int],
) -> Tensor | None:
    """Compute all new tokens, store their keys and values, and return the logits asked for.

    The model must have been set to our attention. Rows and logit rows are padded to multiples of
    four in float32 on CPU: MKL's products take another route for few rows that are no multiple of
    four, and a row's result would depend on how many batch-mates there are.

    Args:
        model: A transformers causal language model.
        store: Where keys and values live.
        spans: The sequences, in the order of their tokens.
        token_ids: New tokens of all spans, one after the other.
        logit_rows: Which of these tokens' logits to return.

    Returns:
        ``[len(logit_rows), vocab]`` in the model's dtype, or ``None`` when none was asked for (the
        output projection is then left out).
    """
    device = store.keys[0].device
    dtype = store.keys[0].dtype
    metadata = StepMetadata(spans, dtype=dtype, device=device)
    store.clear_blocks(metadata.fresh_blocks)
    ids = list(token_ids)
    positions = [p for span in spans for p in range(span.start, span.start + span.num_tokens)]
    rows = list(logit_rows)
    if device.type == "cpu" and dtype == torch.float32:
        filler = -len(ids) % _ROW_MULTIPLE
        ids += [ids[-1]] * filler
        positions += [0] * filler
        rows += rows[-1:] * (-len(rows) % _ROW_MULTIPLE)
    inputs: dict[str, Any] = {
        "input_ids": torch.tensor([ids], dtype=torch.int64, device=device),
        "position_ids": torch.tensor([positions], dtype=torch.int64, device=device),
        "use_cache": False,
    }
    with attending(ReferenceAttention(store, metadata)):
        if not rows:
            model.base_model(**inputs)
            return None
        keep = torch.tensor(rows, dtype=torch.int64, device=device)
        logits: Tensor = model(**inputs, logits_to_keep=keep).logits[0]
    return logits[: len(logit_rows)]
