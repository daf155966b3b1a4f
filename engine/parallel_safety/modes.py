"""Modules that are in training mode, which computes something else each time or remembers."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from engine.parallel_safety.findings import Finding, shortened

_WAY_OUT = "call model.eval() before it is served"


def check_modes(model: nn.Module) -> list[Finding]:
    """Name what is not in eval mode: dropout and batch-norm one by one, others by their number."""
    modules = list(model.named_modules())
    training = [(path or "(the model)", module) for path, module in modules if module.training]
    if not training:
        return [Finding("pass", "mode", f"all {len(modules)} modules are in eval mode")]
    named = [
        Finding("fail", "mode", f"{path}: {what} in training mode", _WAY_OUT)
        for path, module in training
        if (what := _what_it_does(module))
    ]
    detail = f"{len(training)} of {len(modules)} modules are in training mode, the first {{}}"
    whole = Finding("fail", "mode", detail.format(training[0][0]), _WAY_OUT)
    return [whole, *shortened(named)]


def _what_it_does(module: nn.Module) -> str:
    """Say what training mode means for a module; empty when nothing by itself."""
    if isinstance(module, _DropoutNd):
        return f"dropout (p = {module.p:g})" if module.p > 0 else ""
    if isinstance(module, _NormBase) and module.track_running_stats:
        return f"{type(module).__name__}, which changes its running statistics,"
    return ""
