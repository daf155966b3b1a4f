"""What a step costs the host, by how many streams there are, with a model that computes nothing.

A steady batch decodes; nobody joins or leaves. Planning should cost what changes (a block per
stream every sixteen steps), taking results in what there are tokens. Medians over many steps, the
sizes alternating, in one process.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import deque

from rich.console import Console
from rich.progress import track
from rich.table import Table

from engine.config import BLOCK_SIZE, SchedulerConfig
from engine.kv_cache.manager import KVCacheManager
from engine.messages import Step, encode
from engine.outputs import ModelRunnerOutput, SampledToken, StepFrame
from engine.request import EngineRequest
from engine.sampling_params import SamplingParams
from engine.scheduler.scheduler import Scheduler
from engine.step_stats import StepRecorder

_WARM_UP = 32


class _Batch:
    """A scheduler with a steady batch, and how long its steps took."""

    def __init__(self, num_streams: int, num_steps: int) -> None:
        length = 64 + num_steps + _WARM_UP
        self.num_streams = num_streams
        self.scheduler = Scheduler(
            SchedulerConfig(max_num_seqs=num_streams, max_num_batched_tokens=num_streams * 64),
            KVCacheManager(num_streams * (length // BLOCK_SIZE + 2), block_size=BLOCK_SIZE),
            max_model_len=2 * length,
        )
        self._recorder = StepRecorder(self.scheduler)
        self.planning: list[float] = []
        self.updating: list[float] = []
        self.telling: list[float] = []
        for index in range(num_streams):
            prompt = [index, *range(15)]
            params = SamplingParams(max_tokens=length)
            request = EngineRequest(request_id=f"r{index}", prompt_token_ids=prompt, params=params)
            self.scheduler.add_request(request, now=0.0)
        recent: deque[int] = deque(maxlen=1)
        while not recent or recent[0] < num_streams:
            recent.append(self.step())
        for _ in range(_WARM_UP):
            self.step()
        self.planning.clear()
        self.updating.clear()
        self.telling.clear()

    def step(self) -> int:
        """Plan, pretend, take in, encode; returns how many streams decoded."""
        t0 = time.perf_counter()
        plan = self.scheduler.schedule(t0)
        t1 = time.perf_counter()
        slots = [*plan.decodes, *(chunk.slot for chunk in plan.chunks if chunk.samples)]
        output = ModelRunnerOutput({slot: SampledToken(5) for slot in slots})
        t2 = time.perf_counter()
        results = self.scheduler.update_from_output(plan, output, t2)
        t3 = time.perf_counter()
        encode(Step(StepFrame(results, self._recorder.record(plan, results, t0, t2))))
        t4 = time.perf_counter()
        self.planning.append(t1 - t0)
        self.updating.append(t3 - t2)
        self.telling.append(t4 - t3)
        return len(plan.decodes)


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_steps", description=__doc__)
    parser.add_argument(
        "--streams", type=int, nargs="+", default=[16, 64, 256], help="(%(default)s)"
    )
    parser.add_argument("--steps", type=int, default=2000, help="steps of each (%(default)s)")
    options = parser.parse_args(argv)
    batches = [_Batch(streams, options.steps) for streams in options.streams]
    for _ in track(range(options.steps), "stepping", console=Console(stderr=True), transient=True):
        for batch in batches:
            batch.step()
    table = Table("streams", "plan µs", "plan p99 µs", "take in µs", "per token µs", "tell µs")
    for batch in batches:
        plan, update, tell = (
            1e6 * statistics.median(times)
            for times in (batch.planning, batch.updating, batch.telling)
        )
        p99 = 1e6 * sorted(batch.planning)[int(0.99 * len(batch.planning))]
        cells = (plan, p99, update, update / batch.num_streams, tell)
        table.add_row(str(batch.num_streams), *(f"{cell:.1f}" for cell in cells))
    Console().print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
