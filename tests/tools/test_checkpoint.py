"""A training run comes back from its file as it was."""

from __future__ import annotations

from pathlib import Path

import torch

from tools.demo_dialogues.checkpoint import load_checkpoint, save_checkpoint


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Train one step on a fixed input."""
    torch.autograd.backward(model(torch.ones(2, 3)).square().sum())
    optimizer.step()
    optimizer.zero_grad()


def make() -> tuple[torch.nn.Linear, torch.optim.AdamW]:
    """Return a model and an optimizer that are the same every time."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def test_a_resumed_run_goes_on_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    """Weights, moments and counts: the next steps are the same."""
    model, optimizer = make()
    step(model, optimizer)
    save_checkpoint(tmp_path / "run", model, [optimizer], {"steps": 1, "loss": 0.5})
    resumed, its_optimizer = make()
    assert load_checkpoint(tmp_path / "run", resumed, [its_optimizer]) == {"steps": 1, "loss": 0.5}
    for _ in range(3):
        step(model, optimizer)
        step(resumed, its_optimizer)
    assert torch.equal(model.weight, resumed.weight)
