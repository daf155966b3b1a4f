"""How often tags go wrong, enforced and only asked for, and what enforcing them costs.

Replies are drawn at temperature 1 by the real engine from the demo model and from a model of random
weights with a vocabulary of 32,000 tokens, and judged by `tools.tag_judge`, which shares no code
with the parser and the grammar. Prompts go through all demo characters in English and Japanese.
Half of the replies may be cut off early by ``max_tokens``. Prints Markdown; ``--json`` writes the
same as data.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import Progress

from engine.chat_template import ChatMessage
from engine.request import FinishReason
from engine.sampling_params import Grammar, SamplingParams
from server.characters.character import VRM_EXPRESSIONS
from server.text.tag_dialects import TagText
from server.text.tag_rules import TagRules, tag_instructions
from server.tools.tag_grammar import tagged_reply
from tools.demo_dialogues.generator import Simulation, shipped_characters
from tools.demo_dialogues.tokenizer import END, save_tokenizer, train_tokenizer
from tools.tag_judge import judge, leaks

if TYPE_CHECKING:
    from engine.llm import LLM, RequestOutput

DEMO_MODEL = Path("configs/models/kaiwa-demo")
MOTIONS = ("wave", "nod", "bow")
RULES = {
    "prompt": TagRules(expressions=VRM_EXPRESSIONS, motions=MOTIONS, mode="prompt"),
    "enforced": TagRules(expressions=VRM_EXPRESSIONS, motions=MOTIONS, mode="enforced"),
    "enforced, once per reply": TagRules(
        expressions=VRM_EXPRESSIONS, motions=MOTIONS, mode="enforced", every="reply"
    ),
}
_STREAMS = 16


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to be measured.

    Attributes:
        name: For tables.
        folder: Of the checkpoint.
        sampling: What all its replies have in common.
    """

    name: str
    folder: Path
    sampling: SamplingParams


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replies", type=int, default=1000, help="per mode (%(default)s)")
    parser.add_argument("--rounds", type=int, default=21, help="of the timing (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides all that is random")
    parser.add_argument(
        "--only", choices=["demo", "random"], help="one of the two models instead of both"
    )
    parser.add_argument(
        "--build", type=Path, default=Path("build/tag-figures"), help="where the random model goes"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    options = parser.parse_args()
    subjects = [Subject("demo", DEMO_MODEL, SamplingParams(temperature=1.0))]
    if options.only != "demo":
        subjects.append(_random_subject(options.build))
    if options.only == "random":
        del subjects[0]
    results: dict[str, Any] = {"machine": _machine(), "seed": options.seed, "models": {}}
    with Progress(transient=True) as progress:
        for subject in subjects:
            work = options.replies * len(RULES) + options.rounds * 4
            task = progress.add_task(subject.name, total=work)

            def advance(count: int = 1, task: Any = task) -> None:
                progress.advance(task, count)

            results["models"][subject.name] = measure(
                subject, options.replies, options.rounds, options.seed, advance
            )
    console = Console()
    for table in (_quality_table(results), _cost_table(results)):
        console.print(table + "\n", markup=False, highlight=False, soft_wrap=True)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def measure(
    subject: Subject, replies: int, rounds: int, seed: int, advance: Callable[[int], object]
) -> dict[str, Any]:
    """Measure one model: how its tags are, what they cost, what a mask takes."""
    from engine.llm import LLM  # brings torch, which --help need not wait for

    llm = LLM(str(subject.folder), max_num_seqs=_STREAMS)
    quality: dict[str, Any] = {}
    outputs: list[RequestOutput] = []
    for mode, rules in RULES.items():
        prompts, params = _requests(llm, subject, rules, replies, seed)
        outputs = []
        for first in range(0, replies, 4 * _STREAMS):
            part = slice(first, first + 4 * _STREAMS)
            outputs += llm.generate(prompts[part], params[part])
            advance(len(prompts[part]))
        quality[mode] = _judge_all(outputs, rules, seed)
        if mode == "enforced":
            masks = _time_masks(llm, outputs, rules)
    return {
        "vocabulary": llm.tokenizer.vocab_size,
        "quality": quality,
        "cost": _time_modes(llm, subject, rounds, seed, advance),
        "masks": masks,
    }


def grammar_of(rules: TagRules) -> Grammar | None:
    """What holds a reply to the rules; ``None`` where nothing does."""
    if not rules.is_enforced:
        return None
    return Grammar(kind="lark", source=tagged_reply(rules.expressions, rules.motions, rules.every))


def _requests(
    llm: LLM, subject: Subject, rules: TagRules, count: int, seed: int
) -> tuple[list[list[int]], list[SamplingParams]]:
    """Prompts as the server would write them, and how to sample; the same for all modes."""
    prompts, params = [], []
    characters = shipped_characters()
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        language = ("en", "ja")[number // len(characters) % 2]
        simulation = Simulation(
            rng, language=language, shipped=characters[number % len(characters)]
        )
        for _ in range(rng.randint(1, 3)):
            simulation.free_turn()
        messages = [ChatMessage(m.role, m.content) for m in simulation.dialogue().messages[:-1]]  # type: ignore[arg-type]
        told = tag_instructions(rules, messages[0].content)
        if told:
            messages[0] = ChatMessage("system", f"{messages[0].content}\n\n{told}")
        prompts.append(llm.tokenizer.encode_chat(messages))
        params.append(
            msgspec.structs.replace(
                subject.sampling,
                seed=rng.getrandbits(60),
                max_tokens=rng.randint(1, 40) if number % 2 else 120,
                grammar=grammar_of(rules),
            )
        )
    return prompts, params


def _judge_all(outputs: Iterable[RequestOutput], rules: TagRules, seed: int) -> dict[str, Any]:
    """Count what is wrong; rates are shares of replies, but ``missing`` of places."""
    rng = random.Random(seed)
    count = cut = illegal = leaked = tags = starts = missing = headless = 0
    examples: list[str] = []
    for output in outputs:
        assert output.finish_reason is not None, output.error
        assert output.error is None, output.error
        is_whole = output.finish_reason is FinishReason.STOP
        verdict = judge(
            output.text, rules.expressions, rules.motions, every=rules.every, is_whole=is_whole
        )
        shown = _shown(output.text, rules, rng, is_whole=is_whole)
        count += 1
        cut += not is_whole
        illegal += verdict.num_illegal + verdict.num_stacked > 0
        leaked += leaks(shown)
        tags += verdict.num_tags
        starts += verdict.num_starts
        missing += verdict.num_missing
        headless += bool(output.text) and not output.text.startswith("[")
        if (verdict.num_illegal or verdict.num_stacked or leaks(shown)) and len(examples) < 5:
            examples.append(output.text[:120])
    return {
        "replies": count,
        "cut_off": cut,
        "illegal": illegal,
        "leaked": leaked,
        "headless": headless,
        "places": starts,
        "missing": missing,
        "tags_per_reply": tags / count,
        "examples": examples,
    }


def _shown(raw: str, rules: TagRules, rng: random.Random, *, is_whole: bool) -> str:
    """What a listener would see of a reply that comes in pieces."""
    text = TagText(rules.shown_expressions, "strip", rules.shown_motions)
    shown, start = "", 0
    while start < len(raw):
        end = start + rng.randint(1, 6)
        shown += text.feed(raw[start:end])
        start = end
    return shown + text.finish() if is_whole else shown


def _time_modes(
    llm: LLM, subject: Subject, rounds: int, seed: int, advance: Callable[[int], object]
) -> dict[str, Any]:
    """Tokens per second of so many streams at once, mode after mode in changing order."""
    modes = {"none": TagRules(mode="off"), **RULES}
    found: dict[str, list[float]] = {mode: [] for mode in modes}
    work = {}
    for mode, rules in modes.items():
        prompts, params = _requests(llm, subject, rules, _STREAMS, seed)
        work[mode] = (
            prompts,
            [
                msgspec.structs.replace(one, max_tokens=64, ignore_eos=True, logit_bias=None)
                for one in params
            ],
        )
    for number in range(-1, rounds):  # the first is not counted
        order = list(modes)
        random.Random(f"{seed}/{number}").shuffle(order)
        for mode in order:
            rules, (prompts, params) = modes[mode], work[mode]
            started = time.perf_counter()
            outputs = llm.generate(prompts, params)
            for output in outputs:
                text = TagText(rules.shown_expressions, "strip", rules.shown_motions)
                for piece in output.text.split(" "):
                    text.feed(piece)
            seconds = time.perf_counter() - started
            if number >= 0:
                found[mode].append(sum(len(output.token_ids) for output in outputs) / seconds)
                advance(1)
    return {
        mode: {
            "tokens_per_s": statistics.median(rates),
            "ratio": statistics.median(
                rate / free for rate, free in zip(rates, found["none"], strict=True)
            ),
            "best_tokens_per_s": max(rates),  # on a machine that others use, the least disturbed
            "ratio_of_best": max(rates) / max(found["none"]),
        }
        for mode, rates in found.items()
    }


def _time_masks(llm: LLM, outputs: Sequence[RequestOutput], rules: TagRules) -> dict[str, float]:
    """Microseconds per token of one stream's state and mask, and milliseconds to compile."""
    from engine.grammar.compile import compile_grammar
    from engine.grammar.state import fill_masks
    from engine.grammar.tokens import vocabulary_of

    grammar = grammar_of(rules)
    assert grammar is not None
    vocabulary = vocabulary_of(llm.tokenizer, llm.core.info.vocab_size)
    started = time.perf_counter()
    compiled = compile_grammar(grammar, vocabulary)
    compile_ms = (time.perf_counter() - started) * 1e3
    masks = np.zeros((1, vocabulary.num_words), dtype=np.uint32)
    end = llm.tokenizer.token_to_id(llm.tokenizer.eos_token or END)
    micros = []
    for output in outputs[:200]:
        state = compiled.start([end] if end is not None else [])
        for length in range(len(output.token_ids)):
            started = time.perf_counter()
            state.advance(output.token_ids[:length])
            fill_masks([state], masks)
            micros.append((time.perf_counter() - started) * 1e6)
    p50, p99 = np.percentile(micros, [50, 99])
    return {"compile_ms": compile_ms, "p50_us": p50, "p99_us": p99, "max_us": max(micros)}


def _random_subject(build: Path, vocab_size: int = 32_000) -> Subject:
    """A small model of random weights, its tokenizer trained on what every Python has."""
    folder = build / f"random-{vocab_size}"
    if not (folder / "config.json").is_file():
        from transformers import LlamaConfig

        from tools.bench.models import write

        tokenizer = build / f"tokenizer-{vocab_size}"
        save_tokenizer(train_tokenizer(_texts(), vocab_size=vocab_size), tokenizer)
        config = LlamaConfig(
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=32,
            vocab_size=vocab_size,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            eos_token_id=2,
            bos_token_id=None,
        )
        write(folder, config, tokenizer=tokenizer)
    # its tokens are about equally likely: without a push no reply would ever end by itself
    return Subject("random", folder, SamplingParams(temperature=1.0, logit_bias={2: 6.5}))


def _texts() -> Iterable[str]:
    for path in sorted(Path(os.__file__).parent.glob("*.py")):
        yield path.read_text(encoding="utf-8", errors="ignore")
    for number in range(2000):
        rng = random.Random(number)
        simulation = Simulation(rng, language=("en", "ja")[number % 2])
        for _ in range(4):
            simulation.free_turn()
        yield "\n".join(message.content for message in simulation.dialogue().messages)


def _machine() -> dict[str, str]:
    return {
        "platform": platform.platform(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
    }


def _quality_table(results: dict[str, Any]) -> str:
    lines = [
        "| model | tags | replies (cut off) | illegal | leaked | no tag first "
        "| places without their tag | tags per reply |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for model, found in results["models"].items():
        for mode, row in found["quality"].items():
            lines.append(
                f"| {model} | {mode} | {row['replies']:,} ({row['cut_off']:,}) "
                f"| {row['illegal']:,} | {row['leaked']:,} | {row['headless']:,} "
                f"| {row['missing']:,} of {row['places']:,} | {row['tags_per_reply']:.2f} |"
            )
    return "\n".join(lines)


def _cost_table(results: dict[str, Any]) -> str:
    lines = [
        f"| model (vocabulary) | tags | tokens/s, {_STREAMS} streams | of none | best round "
        "| of none | mask p50 / p99 / max, µs | compile, ms |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for model, found in results["models"].items():
        masks = found["masks"]
        for mode, row in found["cost"].items():
            extra = "| | |"
            if mode == "enforced":
                extra = (
                    f"| {masks['p50_us']:.0f} / {masks['p99_us']:.0f} / {masks['max_us']:.0f} "
                    f"| {masks['compile_ms']:.1f} |"
                )
            lines.append(
                f"| {model} ({found['vocabulary']:,}) | {mode} | {row['tokens_per_s']:,.0f} "
                f"| {row['ratio']:.3f} | {row['best_tokens_per_s']:,.0f} "
                f"| {row['ratio_of_best']:.3f} {extra}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
