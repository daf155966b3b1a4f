"""What every engine and server is asked.

Needs the standard library only: peers' interpreters import it.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass

LEAST_REQUESTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A closed loop of listeners whose prompts begin alike.

    Attributes:
        model: Folder of the checkpoint.
        streams: Concurrencies, measured one after the other.
        prompt_tokens: Length of each prompt.
        shared_tokens: How many of them, from the start, all prompts have in common.
        output_tokens: Length of each reply; end tokens do not end it.
        requests_per_stream: How many replies each stream asks for.
        seed: Decides the prompts.
        dtype: Of weights and KV.
    """

    model: str
    streams: tuple[int, ...]
    prompt_tokens: int = 256
    shared_tokens: int = 192
    output_tokens: int = 64
    requests_per_stream: int = 3
    seed: int = 0
    dtype: str = "bfloat16"

    @property
    def own_tokens(self) -> int:
        """Tokens of a prompt that nobody else has."""
        return self.prompt_tokens - self.shared_tokens

    def passes(self) -> list[tuple[int, int]]:
        """Return ``(number, streams)`` for each pass; number 0 warms up and is not counted."""
        return list(enumerate([1, *self.streams]))

    def num_requests(self, streams: int) -> int:
        """Replies that are asked for in a pass."""
        return max(LEAST_REQUESTS, streams * self.requests_per_stream)

    def prompts(self, number: int, streams: int, vocab_size: int) -> list[list[int]]:
        """Return the prompts of one pass as token ids; the unshared parts are new for each."""
        rng = random.Random(self.seed)
        shared = [rng.randrange(10, vocab_size) for _ in range(self.shared_tokens)]
        rng = random.Random(f"{self.seed} {number}")
        return [
            shared + [rng.randrange(10, vocab_size) for _ in range(self.own_tokens)]
            for _ in range(self.num_requests(streams))
        ]

    def to_json(self) -> str:
        """Return it as text that ``from_json`` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Workload:
        """Read what ``to_json`` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "streams": tuple(fields["streams"])})
