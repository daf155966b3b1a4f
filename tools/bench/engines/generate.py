"""transformers' ``generate()`` in static batches: the next starts when the last has ended."""

from __future__ import annotations

from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from tools.bench.engines.untouched import load
from tools.bench.timing import Figures, Timings
from tools.bench.workload import Workload


class _NoteStep(StoppingCriteria):
    """Called after each step; never stops."""

    def __init__(self, timings: Timings, indexes: range) -> None:
        self.timings, self.indexes = timings, indexes

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        for index in self.indexes:
            self.timings.take(index)
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def measure(workload: Workload, *, attention: str | None = None) -> list[Figures]:
    """Return figures for each of the workload's concurrencies."""
    model = load(workload, attention)
    found = []
    for number, streams in workload.passes():
        timings = Timings()
        prompts = workload.prompts(number, streams, model.config.vocab_size)
        for start in range(0, len(prompts), streams):
            indexes = range(start, min(start + streams, len(prompts)))
            batch = torch.tensor([prompts[i] for i in indexes], device=model.device)
            for index in indexes:
                timings.ask(index)
            with torch.inference_mode():
                model.generate(
                    batch,
                    attention_mask=torch.ones_like(batch),
                    max_new_tokens=workload.output_tokens,
                    min_new_tokens=workload.output_tokens,
                    do_sample=False,
                    pad_token_id=0,
                    stopping_criteria=StoppingCriteriaList([_NoteStep(timings, indexes)]),
                )
        found.append(timings.figures())
    return found[1:]
