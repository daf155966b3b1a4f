"""vLLM's engine in process, with its defaults; run by an interpreter that has it."""

from __future__ import annotations

from typing import Any

from tools.bench.timing import Figures, Timings
from tools.bench.workload import Workload


def measure(workload: Workload) -> list[Figures]:
    """Return figures for each of the workload's concurrencies."""
    from vllm import LLM, SamplingParams  # type: ignore[import-not-found,unused-ignore]

    llm = LLM(
        workload.model,
        dtype=workload.dtype,
        max_model_len=2 * (workload.prompt_tokens + workload.output_tokens),
        max_num_seqs=max(workload.streams),
    )
    engine: Any = llm.llm_engine
    params = SamplingParams(temperature=0, max_tokens=workload.output_tokens, ignore_eos=True)
    vocab_size = int(engine.model_config.get_vocab_size())
    found = []
    for number, streams in workload.passes():
        timings = Timings()
        waiting = list(enumerate(workload.prompts(number, streams, vocab_size)))
        said: dict[int, int] = {}
        while waiting or said:
            while waiting and len(said) < streams:
                index, prompt = waiting.pop(0)
                timings.ask(index)
                engine.add_request(f"{number} {index}", {"prompt_token_ids": prompt}, params)
                said[index] = 0
            for output in engine.step():
                index = int(output.request_id.split()[1])
                count = len(output.outputs[0].token_ids)
                timings.take(index, count - said[index])
                said[index] = count
                if output.finished:
                    del said[index]
        found.append(timings.figures())
    return found[1:]
