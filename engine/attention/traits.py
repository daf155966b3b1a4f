"""What a layer tells its attention beside the tensors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class AttentionTraits:
    """How one layer attends, whatever the batch.

    Attributes:
        scaling: Multiplies the scores.
        window: How many keys a query sees, itself included; ``None`` for all.
        softcap: Scores are squashed to ``softcap * tanh(scores / softcap)``.
        sinks: ``[heads]``, one extra logit per head that takes mass and gives nothing.
    """

    scaling: float
    window: int | None
    softcap: float | None
    sinks: Tensor | None
