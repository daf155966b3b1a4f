"""Make, or only evaluate, the demo character model: ``python -m tools.train_demo_model``."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import distributed
from torch.multiprocessing.spawn import spawn
from transformers import LlamaForCausalLM, set_seed

from tools.demo_dialogues.card import write_card
from tools.demo_dialogues.curriculum import TrainingConfig, plain_schedule
from tools.demo_dialogues.evaluation import evaluate, quick_report
from tools.demo_dialogues.generator import dialogue
from tools.demo_dialogues.tokenizer import save_tokenizer, train_tokenizer
from tools.demo_dialogues.training import TrainingResult, new_model, train

DEFAULT_OUT = Path("configs/models/kaiwa-demo")
_TOKENIZER_DIALOGUES = 6000
_DEFAULTS = TrainingConfig()

# glibc returns large buffers to the kernel after every operation, and page faults then take
# more time than the arithmetic; with these settings a step is up to twice as fast.
_ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.train_demo_model",
        description="Train the demo character model on generated dialogues and measure it.",
        epilog="A fixed number of steps and a fixed seed see the same dialogues on every machine; "
        "the weights still differ in their last bits between machines. --minutes trades that "
        "for a deadline.",
    )
    parser.add_argument(
        "--out", type=Path, default=DEFAULT_OUT, help="model directory (default: %(default)s)"
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=_DEFAULTS.steps,
        help="optimiser steps (default: %(default)s)",
    )
    parser.add_argument(
        "--minutes", type=float, help="stop after this many minutes, whatever the step"
    )
    parser.add_argument(
        "--seed", type=int, default=_DEFAULTS.seed, help="seed (default: %(default)s)"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=_DEFAULTS.workers,
        help="one-thread processes; their number changes the weights (default: %(default)s)",
    )
    parser.add_argument(
        "--checkpoint", type=Path, help="file to save to every 50 steps and to resume from"
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=40,
        help="dialogues per evaluation row (default: %(default)s)",
    )
    parser.add_argument(
        "--evaluate-only", action="store_true", help="measure the model in --out, train nothing"
    )
    parser.add_argument(
        "--card", action="store_true", help="with --evaluate-only: write the card too"
    )
    return parser


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker is told."""

    config: TrainingConfig
    out: Path
    checkpoint: Path | None
    minutes: float | None
    meeting: Path
    """A file through which the workers find each other."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _parser().parse_args(arguments)
    if options.evaluate_only:
        torch.set_num_threads(1)  # rows are small: threads would mostly wait for each other
        return _measure(options, write=options.card)
    _keep_memory()
    config = TrainingConfig(seed=options.seed, steps=options.steps, workers=options.workers)
    if options.steps != _DEFAULTS.steps:
        config = replace(config, schedule=plain_schedule(options.steps))
    rng = random.Random(f"tokenizer:{options.seed}")
    print("tokenizer: reading dialogues", file=sys.stderr)
    tokenizer = train_tokenizer(
        message.content for _ in range(_TOKENIZER_DIALOGUES) for message in dialogue(rng).messages
    )
    save_tokenizer(tokenizer, options.out)
    with tempfile.TemporaryDirectory() as meeting:
        job = Job(
            config, options.out, options.checkpoint, options.minutes, Path(meeting) / "workers"
        )
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the workers as well
        spawn(_work, (job,), nprocs=config.workers, daemon=True)  # type: ignore[no-untyped-call]
    return _measure(options, write=True)


def _work(rank: int, job: Job) -> None:
    """Train as one of several workers; worker 0 leaves the weights and the run's record."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{job.meeting}", rank=rank, world_size=job.config.workers
    )
    set_seed(job.config.seed)
    tokenizer = Tokenizer.from_file(str(job.out / "tokenizer.json"))
    model = new_model(tokenizer.get_vocab_size(), tokenizer)
    result = train(
        model,
        tokenizer,
        job.config,
        rank=rank,
        checkpoint=job.checkpoint,
        minutes=job.minutes,
        report=lambda step: f"step {step}: {quick_report(model, tokenizer)}",
    )
    if rank == 0:
        model.generation_config.do_sample = False
        model.generation_config.max_new_tokens = 120
        model.bfloat16().save_pretrained(job.out)
        record = json.dumps({"config": asdict(job.config), "result": asdict(result)}, indent=2)
        (job.out / "training.json").write_text(record + "\n", encoding="utf-8")


def _keep_memory() -> None:
    """Restart this process once with an allocator that keeps what it has."""
    if sys.platform == "linux" and "MALLOC_TOP_PAD_" not in os.environ:
        os.execve(
            sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **_ALLOCATOR}
        )


def _measure(options: argparse.Namespace, *, write: bool) -> int:
    """Evaluate the model on disk and, when asked, write its card."""
    out: Path = options.out
    model = LlamaForCausalLM.from_pretrained(out, dtype=torch.float32)
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    evaluation = evaluate(model, tokenizer, samples=options.samples)
    print(evaluation.table())
    if write:
        record = json.loads((out / "training.json").read_text(encoding="utf-8"))
        config, result = TrainingConfig(**record["config"]), TrainingResult(**record["result"])
        write_card(out, config, result, evaluation, parameters=model.num_parameters())
    return 0


if __name__ == "__main__":
    sys.exit(main())
