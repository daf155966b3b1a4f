"""Train the demo character model on endless fresh dialogues."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import distributed
from torch.nn import functional
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM

from tools.demo_dialogues.checkpoint import load_checkpoint, save_checkpoint
from tools.demo_dialogues.copying import plant_copying
from tools.demo_dialogues.curriculum import (
    Batch,
    TrainingConfig,
    batches,
    learning_share,
    planting_sample,
)
from tools.demo_dialogues.tokenizer import END, PAD


def new_model(vocab_size: int, tokenizer: Tokenizer) -> LlamaForCausalLM:
    """Build the untrained model."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=3,
        head_dim=32,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(END),
        pad_token_id=tokenizer.token_to_id(PAD),
        initializer_range=0.03,
    )
    return LlamaForCausalLM(config)


def loss_of(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Return the mean cross-entropy over the targets; padding is behind, so causality hides it."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=batch.ids[:, :-1], use_cache=False).last_hidden_state
        chosen = batch.learn[:, 1:]
        logits = model.lm_head(hidden[chosen])
    return functional.cross_entropy(logits.float(), batch.ids[:, 1:][chosen])


def _share_gradients(model: LlamaForCausalLM, batch: Batch, workers: int) -> int:
    """Average the gradients of all workers; return how many tokens they read together."""
    if workers == 1:
        return batch.tokens
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat(
        [gradient.flatten() for gradient in gradients] + [torch.tensor([float(batch.tokens)])]
    )
    distributed.all_reduce(flat)
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient) / workers)
        start += gradient.numel()
    return int(flat[-1])


def _share_of(source: Iterator[Batch], rank: int, config: TrainingConfig) -> Iterator[Batch]:
    """Return every batch that is this worker's to learn."""
    return islice(source, rank, None, config.workers)


def _agree(model: LlamaForCausalLM, workers: int) -> None:
    """Give every worker the weights of worker 0."""
    if workers > 1:
        for parameter in model.parameters():
            distributed.broadcast(parameter.data, 0)


def optimizers(model: LlamaForCausalLM, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Give Muon the matrices inside the layers and AdamW everything else."""
    matrices = [p for name, p in model.model.layers.named_parameters() if p.ndim == 2]
    inner = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in inner]
    return [
        torch.optim.Muon(
            matrices,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            momentum=0.95,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(others, lr=config.learning_rate, weight_decay=0.0, betas=(0.9, 0.95)),
    ]


@dataclass(slots=True)
class TrainingResult:
    """What a training run cost."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float = 0.0


def train(
    model: LlamaForCausalLM,
    tokenizer: Tokenizer,
    config: TrainingConfig,
    *,
    rank: int = 0,
    checkpoint: Path | None = None,
    minutes: float | None = None,
    report: Callable[[int], str] | None = None,
) -> TrainingResult:
    """Train in place.

    Args:
        model: The model; it is changed.
        tokenizer: Its tokenizer.
        config: Seed, steps and rates.
        checkpoint: Where to save every 50 steps, and to resume from when the file exists.
        rank: This worker's number; worker 0 alone reports and saves.
        minutes: Stop after this much time, whatever the step.
        report: Called every 250 steps; its text goes above the progress bar.
    """
    result = TrainingResult()
    chosen = optimizers(model, config)
    if checkpoint and checkpoint.exists():
        result = TrainingResult(**load_checkpoint(checkpoint, model, chosen))
    started = time.monotonic() - result.seconds
    model.train()
    # A resumed run skips what it has seen, so that it continues as if it had never stopped.
    source = _share_of(batches(tokenizer, config, result.steps), rank, config)
    bar = tqdm(
        total=config.steps,
        initial=result.steps,
        desc="train",
        unit="step",
        mininterval=5,
        disable=rank > 0,
    )
    while result.steps < config.steps and not (minutes and result.seconds > minutes * 60):
        if result.steps == config.plant_at:
            plant_copying(model, planting_sample(tokenizer, config.seed))
            _agree(model, config.workers)
        if result.steps == config.practice_at:
            source = _share_of(batches(tokenizer, config, result.steps), rank, config)
        batch = next(source)
        for optimizer in chosen:
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * learning_share(result.steps, config.schedule)
        loss = loss_of(model, batch)
        torch.autograd.backward(loss)
        tokens = _share_gradients(model, batch, config.workers)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in chosen:
            optimizer.step()
            optimizer.zero_grad()
        result.steps += 1
        result.tokens += tokens
        result.seconds = time.monotonic() - started
        result.loss += (float(loss.detach()) - result.loss) * (0.05 if result.steps > 20 else 0.5)
        bar.set_postfix(
            loss=f"{result.loss:.3f}", tokens=f"{result.tokens / 1e6:.2f}M", refresh=False
        )
        bar.update()
        if checkpoint and rank == 0 and result.steps % 50 == 0:
            save_checkpoint(checkpoint, model, chosen, dataclasses.asdict(result))
        if report and rank == 0 and result.steps % 250 == 0:
            model.train(False)
            bar.write(report(result.steps))
            model.train()
    bar.close()
    model.train(False)
    return result
