"""What instances of a model take, beside one that is shared."""

from __future__ import annotations

from torch import nn

from engine.parallel_safety.findings import Finding

CONTEXT_TOKENS = 1024
"""Tokens of a context whose keys and values are counted."""


def model_bytes(model: nn.Module) -> int:
    """Return the bytes of parameters and buffers; what is tied counts once."""
    storages = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        if not tensor.is_meta:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    return sum(storages.values())


def context_bytes(model: nn.Module) -> int:
    """Return the bytes of keys and values of one context; 0 of a model that keeps none.

    Two of ``num_key_value_heads * head_dim`` numbers per layer and token, as transformers' own
    cache keeps them. Older models that write, such as GPT-2, name their attention heads alone.
    """
    config = getattr(model, "config", None)
    layers = getattr(config, "num_hidden_layers", None)
    heads = getattr(config, "num_key_value_heads", None)
    if heads is None and (writes := getattr(model, "can_generate", None)) and writes():
        heads = getattr(config, "num_attention_heads", None)
    if layers is None or heads is None:
        return 0
    whole = getattr(config, "hidden_size", 0) // getattr(config, "num_attention_heads", 1)
    dim = getattr(config, "head_dim", None) or whole
    width = next((p.element_size() for p in model.parameters() if p.is_floating_point()), 4)
    return int(2 * layers * heads * dim * CONTEXT_TOKENS * width)


def check_footprint(model: nn.Module, *, instances: int, free_bytes: int) -> Finding:
    """Compare so many instances with one that as many threads share, and with what is free."""
    one, context = model_bytes(model), context_bytes(model)
    many = instances * (one + context)
    contexts = f" and {instances} contexts of {CONTEXT_TOKENS} tokens" if context else ""
    detail = (
        f"{instances} instances{contexts} take {size(many)}, one shared{contexts} "
        f"{size(one + instances * context)}; {size(free_bytes)} are free "
        "(what a forward computes with comes on top)"
    )
    if many <= free_bytes:
        return Finding("pass", "memory", detail)
    fit = max(0, free_bytes // max(1, one + context))
    return Finding("warn", "memory", detail, f"share one instance, or make {fit} of them at most")


def size(num_bytes: float) -> str:
    """Return bytes as people read them."""
    for unit in ("B", "KiB", "MiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.4g} {unit}"
        num_bytes /= 1024
    return f"{num_bytes:.4g} GiB"
