"""What grammars cost per step and per compilation, and whether replies that follow them are valid.

Without options, two things are measured on one model: the time to compile some grammars, and the
time of a decode step with all rows constrained beside the same step with none, alternating in one
process, so that a machine that drifts drifts for both.
``--validity N`` instead draws N replies to random grammars from models with random weights and has
each judged by somebody who knows nothing of how it was made. Prints Markdown; ``--json`` writes the
same as data.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from engine.core import EngineCore
from engine.grammar.compile import compile_grammar
from engine.grammar.tokens import vocabulary_of
from engine.request import EngineRequest
from engine.sampling_params import Grammar, SamplingParams
from engine.tokenizer import Tokenizer
from tools.grammar_cases import Case, random_case

DEMO_MODEL = Path("configs/models/kaiwa-demo")
GRAMMARS: dict[str, Grammar] = {
    "any JSON": Grammar(kind="json_schema", source="{}"),
    "record": Grammar(
        kind="json_schema",
        source=json.dumps(
            {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "maxLength": 40},
                    "mood": {"enum": ["happy", "sad", "angry"]},
                    "items": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "id": {"type": "integer"},
                                "when": {"type": "string", "format": "date-time"},
                            },
                            "required": ["id", "when"],
                            "additionalProperties": False,
                        },
                    },
                },
                "required": ["name", "mood", "items"],
                "additionalProperties": False,
            }
        ),
    ),
    "regex": Grammar(kind="regex", source=r"\d{4}-\d\d-\d\d [a-z]+@[a-z]+\.(com|jp)"),
    "choice of 1,000": Grammar(
        kind="choice", source=json.dumps([f"choice {number}" for number in range(1000)])
    ),
    "lark": Grammar(kind="lark", source='start: sum\nsum: n (" + " n)*\nn: /[0-9]+/'),
}
ENDLESS: dict[str, Grammar] = {
    "json": Grammar(
        kind="json_schema",
        source='{"type": "array", "minItems": 9999, "items": {"type": "object", "properties": '
        '{"id": {"type": "integer"}, "say": {"type": "string"}}, "required": ["id", "say"]}}',
    ),
    "regex": Grammar(kind="regex", source="([a-z]{1,9} ){9999}"),
}
"""Followed for as long as is measured."""


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=DEMO_MODEL, help="folder of the checkpoint")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[1, 4, 16, 32], help="batch sizes (%(default)s)"
    )
    parser.add_argument("--tokens", type=int, default=96, help="steps per round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds per size (%(default)s)")
    parser.add_argument(
        "--validity", type=int, metavar="N", help="only draw and judge so many replies"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides all that is random")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    options = parser.parse_args()
    console = Console()
    results: dict[str, Any] = {"machine": _machine(), "model": str(options.model)}
    if options.validity is not None:
        results["validity"] = measure_validity(options.validity, options.model, options.seed)
        tables = [_validity_table(results["validity"])]
    else:
        results["compile"] = measure_compile(options.model)
        results["steps"] = measure_steps(
            options.model, options.rows, options.tokens, options.rounds
        )
        tables = [_compile_table(results["compile"]), _step_table(results["steps"])]
    console.print("\n\n".join(tables), markup=False, highlight=False, soft_wrap=True)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def measure_compile(model: Path, repeats: int = 9) -> list[dict[str, Any]]:
    """Compile each of `GRAMMARS` for a model; median milliseconds, the first trial included."""
    tokenizer = Tokenizer.from_folder(model)
    started = time.perf_counter()
    vocabulary = vocabulary_of(tokenizer, tokenizer.vocab_size)
    rows = [{"grammar": "(vocabulary, once)", "ms": (time.perf_counter() - started) * 1e3}]
    rows[0]["tokens"] = tokenizer.vocab_size
    for name, grammar in GRAMMARS.items():
        compile_it = functools.partial(compile_grammar, grammar, vocabulary)
        times = [_seconds(compile_it) for _ in range(repeats)]
        rows.append({"grammar": name, "ms": statistics.median(times) * 1e3})
    return rows


def measure_steps(
    model: Path, rows: Sequence[int], tokens: int, rounds: int
) -> list[dict[str, Any]]:
    """Time decode steps with and without grammars, alternating round by round.

    Returns:
        One entry per batch size and grammar: median milliseconds of a step of each kind, and the
        median over rounds of their ratio.
    """
    core = _core(model, max(rows))
    found = []
    with Progress(transient=True) as progress:
        task = progress.add_task("steps", total=len(rows) * len(ENDLESS) * rounds)
        for count in rows:
            for name, grammar in ENDLESS.items():
                _round(core, count, tokens, grammar)
                _round(core, count, tokens, None)
                pairs = []
                for number in range(rounds):
                    order = (grammar, None) if number % 2 else (None, grammar)
                    timed = {one: _round(core, count, tokens, one) for one in order}
                    pairs.append((timed[grammar], timed[None]))
                    progress.advance(task)
                found.append(
                    {
                        "rows": count,
                        "grammar": name,
                        "constrained_ms": statistics.median(a for a, _ in pairs) * 1e3,
                        "free_ms": statistics.median(b for _, b in pairs) * 1e3,
                        "ratio": statistics.median(a / b for a, b in pairs),
                    }
                )
    return found


def measure_validity(count: int, tokenizer: Path, seed: int = 0) -> dict[str, Any]:
    """Draw replies to random grammars from models with random weights, and judge them.

    Args:
        count: How many replies, each with a grammar of its own.
        tokenizer: Folder whose tokenizer the models take.
        seed: Decides weights, grammars and draws.

    Returns:
        How many there were of each kind, how many were valid, and up to ten that were not.
    """
    per_model = 100
    rng = random.Random(seed)
    totals: dict[str, list[int]] = {}
    failures: list[dict[str, str]] = []
    text_of = Tokenizer.from_folder(tokenizer)
    with Progress(transient=True) as progress, tempfile.TemporaryDirectory() as folder:
        task = progress.add_task("replies", total=count)
        for first in range(0, count, per_model):
            model = Path(folder) / f"model-{first}"
            _random_model(model, tokenizer, seed + first)
            cases = [random_case(rng) for _ in range(min(per_model, count - first))]
            replies = _replies(
                _core(model, 16), cases, text_of, rng, lambda: progress.advance(task)
            )
            for case, (text, end) in zip(cases, replies, strict=True):
                valid = end == "stop" and case.judge(text)
                total = totals.setdefault(case.grammar.kind, [0, 0])
                total[0] += 1
                total[1] += valid
                if not valid and len(failures) < 10:
                    failures.append({"grammar": case.grammar.source, "text": text, "end": end})
            shutil.rmtree(model)
    return {
        "replies": count,
        "valid": sum(valid for _, valid in totals.values()),
        "by_kind": {kind: {"replies": n, "valid": valid} for kind, (n, valid) in totals.items()},
        "failures": failures,
    }


def _core(model: Path, max_num_seqs: int) -> EngineCore:
    from engine.build import build_core  # brings torch, which --help need not wait for
    from engine.config import EngineConfig

    return build_core(
        EngineConfig.from_flat(model=str(model), max_num_seqs=max_num_seqs, look_ahead=False)
    )


def _round(core: EngineCore, count: int, tokens: int, grammar: Grammar | None) -> float:
    """Run ``count`` rows side by side; the median seconds of a step in which all of them decode."""
    params = SamplingParams(max_tokens=tokens, ignore_eos=True, grammar=grammar)
    core.compile(params)
    core.submit(
        EngineRequest(request_id=f"row-{row}", prompt_token_ids=[5 + row] * 8, params=params)
        for row in range(count)
    )
    seconds = []
    while core.has_work:
        started = time.perf_counter()
        stats = core.step().stats
        if stats is not None and stats.decode_tokens == count:
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _replies(
    core: EngineCore,
    cases: Iterable[Case],
    tokenizer: Tokenizer,
    rng: random.Random,
    on_end: Callable[[], None],
) -> list[tuple[str, str]]:
    """Text of each reply, and how it ended: a finish reason or an error's sentence."""
    requests = []
    for number, case in enumerate(cases):
        params = SamplingParams(
            grammar=case.grammar,
            seed=rng.getrandbits(60),
            temperature=rng.choice([0.0, 0.7, 1.0, 1.5]),
            max_tokens=900,
        )
        prompt = [rng.randrange(3, tokenizer.vocab_size) for _ in range(rng.randrange(1, 40))]
        requests.append(
            EngineRequest(request_id=f"r{number}", prompt_token_ids=prompt, params=params)
        )
    said: dict[str, list[int]] = {request.request_id: [] for request in requests}
    ends: dict[str, str] = {}
    for request in requests:
        core.compile(request.params)
    outputs = core.submit(requests).outputs
    while len(ends) < len(requests):
        for output in outputs:
            said[output.request_id] += output.token_ids
            if output.finish_reason is not None:
                ends[output.request_id] = output.error_message or output.finish_reason.value
                if output.stop_token_id is not None:
                    said[output.request_id].pop()
                on_end()
        outputs = core.step().outputs
    return [(tokenizer.decode(said[r.request_id]), ends[r.request_id]) for r in requests]


def _random_model(folder: Path, tokenizer: Path, seed: int) -> None:
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.manual_seed(seed)
    vocabulary = Tokenizer.from_folder(tokenizer)
    assert vocabulary.eos_token is not None
    config = LlamaConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=vocabulary.vocab_size + 64,  # as wide as real ones, which are padded
        max_position_embeddings=1024,
        eos_token_id=vocabulary.token_to_id(vocabulary.eos_token),
        bos_token_id=None,
        initializer_range=0.3,
    )
    build: Any = AutoModelForCausalLM.from_config
    build(config, dtype=torch.float32).save_pretrained(str(folder))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (tokenizer / name).is_file():
            shutil.copy(tokenizer / name, folder / name)


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _machine() -> dict[str, str]:
    return {
        "platform": platform.platform(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
    }


def _compile_table(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| grammar | compile, ms |", "|---|---:|"]
    return "\n".join([*lines, *(f"| {row['grammar']} | {row['ms']:.2f} |" for row in rows)])


def _step_table(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| rows | grammar | free, ms | constrained, ms | ratio |", "|---:|---|---:|---:|---:|"]
    for row in rows:
        times = f"{row['free_ms']:.2f} | {row['constrained_ms']:.2f} | {row['ratio']:.3f}"
        lines.append(f"| {row['rows']} | {row['grammar']} | {times} |")
    return "\n".join(lines)


def _validity_table(found: dict[str, Any]) -> str:
    lines = ["| kind | replies | valid |", "|---|---:|---:|"]
    for kind, total in sorted(found["by_kind"].items()):
        lines.append(f"| {kind} | {total['replies']} | {total['valid']} |")
    lines.append(f"| all | {found['replies']} | {found['valid']} |")
    lines += [f"\nnot valid: {failure}" for failure in found["failures"]]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
