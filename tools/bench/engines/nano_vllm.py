"""nano-vllm in process, with its defaults; run where it can be imported. It knows Qwen3 alone."""

from __future__ import annotations

from typing import Any

from tools.bench.timing import Figures, Timings
from tools.bench.workload import Workload

_TEMPERATURE = 0.6
"""It refuses to be greedy."""


def measure(workload: Workload) -> list[Figures]:
    """Return figures for each of the workload's concurrencies."""
    from nanovllm import LLM, SamplingParams  # type: ignore[import-not-found,unused-ignore]

    llm: Any = LLM(workload.model, enforce_eager=False, max_model_len=4096)
    params = SamplingParams(
        temperature=_TEMPERATURE, max_tokens=workload.output_tokens, ignore_eos=True
    )
    vocab_size = int(llm.model_runner.config.hf_config.vocab_size)
    found = []
    for number, streams in workload.passes():
        timings = Timings()
        waiting = list(enumerate(workload.prompts(number, streams, vocab_size)))
        live: dict[int, tuple[Any, int]] = {}
        while waiting or live:
            while waiting and len(live) < streams:
                index, prompt = waiting.pop(0)
                timings.ask(index)
                llm.add_request(prompt, params)
                live[index] = llm.scheduler.waiting[-1], 0
            llm.step()
            for index, (sequence, said) in list(live.items()):
                count = sequence.num_completion_tokens
                timings.take(index, count - said)
                live[index] = sequence, count
                if sequence.is_finished:
                    del live[index]
        found.append(timings.figures())
    return found[1:]
