"""What the runner asks of a model: new tokens in, their keys stored, logits out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.attention.kv_store import BlockStore
from engine.attention.metadata import Span
from engine.model.draw import DrawRow


@dataclass(frozen=True, slots=True)
class Logits:
    """Scores of the next token.

    Attributes:
        values: ``[rows, vocab]``, any float dtype; whoever gets them may overwrite them.
        largest: ``[rows]`` each row's likeliest token, -1 where not all are finite numbers;
            ``None`` where nobody has looked yet.
    """

    values: Tensor
    largest: NDArray[np.int32] | None = None


class Forward(Protocol):
    """A model with its KV memory."""

    @property
    def store(self) -> BlockStore:
        """Where keys and values live."""
        ...

    def run(
        self, spans: Sequence[Span], token_ids: Sequence[int], logit_rows: Sequence[int]
    ) -> Logits | None:
        """Compute new tokens and store their keys and values.

        Args:
            spans: The sequences, in the order of their tokens.
            token_ids: New tokens of all spans, one after the other.
            logit_rows: Which of these tokens' logits to return.

        Returns:
            Their logits; ``None`` when none was asked for (the output projection is left out).
        """
        ...

    def set_num_threads(self, num_threads: int) -> None:
        """Compute with so many threads from now on."""
        ...

    def draw(self, logits: Tensor, rows: Sequence[DrawRow]) -> Sequence[int]:
        """Draw a token from each row of logits; see `engine.model.draw.Draw`."""
        ...
