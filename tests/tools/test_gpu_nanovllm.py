"""The requests of nano-vllm's benchmark."""

from __future__ import annotations

from random import randint, seed

from tools.gpu.nanovllm import STANDARD


def test_requests_are_those_of_the_benchmark() -> None:
    """Drawn in the order in which its own lines draw them."""
    seed(0)
    prompts = [[randint(0, 10000) for _ in range(randint(100, 1024))] for _ in range(256)]
    lengths = [randint(100, 1024) for _ in range(256)]
    assert STANDARD.requests() == (prompts, lengths)
    assert sum(lengths) == 133_966
