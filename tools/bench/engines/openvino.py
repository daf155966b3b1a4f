"""OpenVINO GenAI's continuous batching, in process; run by an interpreter that has it.

The checkpoint is exported with that interpreter's ``optimum-cli`` first, once, beside the
checkpoint. Needs nothing of Kaiwa's but the workload and the timings.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.bench.timing import Figures, Timings
from tools.bench.workload import Workload

_WEIGHT_FORMATS = {None: "fp16", "int8": "int8"}
"""A bfloat16 checkpoint is kept in 16 bits, and computed in bfloat16 where the processor can."""
_CACHE_GIB = 4
_STEP_TOKENS = 512


def measure(workload: Workload, *, quantization: str | None = None) -> list[Figures]:
    """Return figures for each of the workload's concurrencies."""
    import numpy as np
    import openvino  # type: ignore[import-not-found,unused-ignore]
    import openvino_genai as genai  # type: ignore[import-not-found,unused-ignore]

    folder = _export(Path(workload.model), _WEIGHT_FORMATS[quantization])
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = _CACHE_GIB
    scheduler.max_num_seqs = max(workload.streams)
    scheduler.max_num_batched_tokens = _STEP_TOKENS
    scheduler.enable_prefix_caching = True
    pipeline = genai.ContinuousBatchingPipeline(str(folder), scheduler, "CPU")
    asked = genai.GenerationConfig()
    asked.max_new_tokens = asked.min_new_tokens = workload.output_tokens
    asked.ignore_eos = True
    asked.do_sample = False
    vocab_size = int(json.loads((Path(workload.model) / "config.json").read_text())["vocab_size"])
    found = []
    next_id = 0
    for number, streams in workload.passes():
        timings = Timings()
        waiting = list(enumerate(workload.prompts(number, streams, vocab_size)))
        running: dict[int, Any] = {}
        while waiting or running:
            while waiting and len(running) < streams:
                index, prompt = waiting.pop(0)
                timings.ask(index)
                tokens = openvino.Tensor(np.array([prompt], dtype=np.int64))
                running[index] = pipeline.add_request(next_id, tokens, asked)
                next_id += 1
            pipeline.step()
            for index, handle in list(running.items()):
                while handle.can_read():
                    for output in handle.read().values():
                        timings.take(index, len(output.generated_ids))
                if handle.get_status() != genai.GenerationStatus.RUNNING:
                    del running[index]
        found.append(timings.figures())
    return found[1:]


def _export(model: Path, weight_format: str) -> Path:
    folder = model.with_name(f"{model.name}-openvino-{weight_format}")
    if (folder / "openvino_model.xml").is_file():
        return folder
    program = Path(sys.executable).with_name("optimum-cli")
    command = [str(program), "export", "openvino", "--model", str(model)]
    command += [
        "--task",
        "text-generation-with-past",
        "--weight-format",
        weight_format,
        str(folder),
    ]
    subprocess.run(command, check=True)
    return folder
