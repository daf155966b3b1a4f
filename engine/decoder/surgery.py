"""Takes a transformers model apart by its structure, never by its family's name.

What a module computes is found out by trying it where that can be done (norms, activations, the
scale of embeddings, rotary tables) and by the names that decoders share otherwise. The result is
not trusted: the loader compares its logits with the untouched model's.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.attention.traits import AttentionTraits
from engine.decoder.spec import Activation, DecoderSpec, LayerSpec, MergedLinear

MAX_HEAD_DIM = 1024
"""What `place` in `engine/native/src/decoder.h` has room for."""
_UNSTABLE_ROTARY = ("dynamic", "longrope")
_LAYER_PARTS = {
    "self_attn",
    "mlp",
    "input_layernorm",
    "post_attention_layernorm",
    "pre_feedforward_layernorm",
    "post_feedforward_layernorm",
}
_ATTENTION_PARTS = {"q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "q_norm", "k_norm"}
_MLP_PARTS = {"gate_proj", "up_proj", "gate_up_proj", "down_proj"}
_MODEL_PARTS = {"embed_tokens", "layers", "norm"}


class NotRecognised(Exception):
    """The model has a part that this description has no word for; the message names it."""


def take_apart(model: Any, traits: Iterable[AttentionTraits], *, max_model_len: int) -> DecoderSpec:
    """Describe a loaded model; its weights stay where they are until they are asked for.

    Args:
        model: A transformers causal language model, with its own attention set.
        traits: What each layer told its attention, by layer.
        max_model_len: Positions that rotary tables cover.

    Raises:
        NotRecognised: With the part that is not understood.
    """
    base = model.base_model
    _only(base, _MODEL_PARTS, "the model")
    rotary = _RotaryTables(base, max_model_len)
    norms = _Norms()
    layers = tuple(
        _layer(module, trait, index, rotary, norms)
        for index, (module, trait) in enumerate(zip(base.layers, traits, strict=True))
    )
    attention, mlp = base.layers[0].self_attn, base.layers[0].mlp
    head_dim = int(attention.head_dim)
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings()
    final_norm = norms.weight(base.norm)
    config = model.config
    softcap = getattr(config, "final_logit_softcapping", None)
    spec = DecoderSpec(
        layers=layers,
        final_norm=final_norm,
        embedding=None if head.weight is embedding else embedding.detach(),
        head=MergedLinear([head]),
        hidden=int(final_norm.shape[0]),
        heads=layers[0].output.in_features // head_dim,
        kv_heads=_kv_heads(layers[0], head_dim),
        head_dim=head_dim,
        intermediate=layers[0].down.in_features,
        vocab=int(head.weight.shape[0]),
        rotary_dim=rotary.width,
        activation=_activation(mlp),
        epsilon=norms.epsilon,
        embedding_scale=_embedding_scale(model),
        residual_scale=float(getattr(base.layers[0], "residual_multiplier", 1.0)),
        logit_scale=1.0 / float(getattr(config, "logits_scaling", 1.0)),
        logit_softcap=None if softcap is None else float(softcap),
        dtype=model.dtype,
    )
    _check_alike(spec)
    return spec


def _layer(
    module: Any, traits: AttentionTraits, index: int, rotary: _RotaryTables, norms: _Norms
) -> LayerSpec:
    where = f"layer {index}"
    _only(module, _LAYER_PARTS, where)
    attention, mlp = module.self_attn, module.mlp
    _only(attention, _ATTENTION_PARTS, f"{where}'s attention")
    _only(mlp, _MLP_PARTS, f"{where}'s feed-forward part")
    sandwiched = hasattr(module, "post_feedforward_layernorm")
    before_mlp = "pre_feedforward_layernorm" if sandwiched else "post_attention_layernorm"
    after_attention = "post_attention_layernorm" if sandwiched else None
    after_mlp = "post_feedforward_layernorm" if sandwiched else None
    uses_rotary = bool(getattr(attention, "use_rope", True))
    return LayerSpec(
        attention_norm=norms.optional(module, "input_layernorm"),
        query_norm=norms.optional(attention, "q_norm"),
        key_norm=norms.optional(attention, "k_norm"),
        after_attention_norm=norms.optional(module, after_attention),
        mlp_norm=norms.optional(module, before_mlp),
        after_mlp_norm=norms.optional(module, after_mlp),
        qkv=_linears(attention, ("qkv_proj",), ("q_proj", "k_proj", "v_proj")),
        output=_linears(attention, ("o_proj",)),
        gate_up=_linears(mlp, ("gate_up_proj",), ("gate_proj", "up_proj")),
        down=_linears(mlp, ("down_proj",)),
        rotary=rotary.table(index) if uses_rotary else None,
        scaling=traits.scaling,
        softcap=traits.softcap,
        window=traits.window,
        sinks=None if traits.sinks is None else traits.sinks.detach().float().contiguous(),
    )


def _only(module: Any, known: set[str], where: str) -> None:
    """Refuse a module with weights that nobody would read."""
    for name, child in module.named_children():
        if name not in known and any(True for _ in child.parameters()):
            raise NotRecognised(f"{where} has a part called {name}")
    for name, _ in module.named_parameters(recurse=False):
        raise NotRecognised(f"{where} has a weight of its own called {name}")


def _linears(module: Any, *choices: tuple[str, ...]) -> MergedLinear:
    for names in choices:
        parts = [getattr(module, name, None) for name in names]
        if all(type(part) is nn.Linear for part in parts):
            return MergedLinear([part for part in parts if part is not None])
    raise NotRecognised(
        f"{type(module).__name__} has no plain {' or '.join(map('/'.join, choices))}"
    )


class _Norms:
    """Effective weights of root mean square norms, found by trying; all share one epsilon."""

    def __init__(self) -> None:
        self._epsilon: float | None = None

    @property
    def epsilon(self) -> float:
        """Of every norm seen."""
        return self._epsilon or 0.0

    def optional(self, owner: Any, name: str | None) -> Tensor | None:
        """Return the weight of a norm that need not be there."""
        module = None if name is None else getattr(owner, name, None)
        return None if module is None or isinstance(module, nn.Identity) else self.weight(module)

    def weight(self, module: Any) -> Tensor:
        """Return ``[width]`` float32 such that the module is ``x / rms(x) * weight``."""
        name = type(module).__name__
        epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
        own = getattr(module, "weight", None)
        if epsilon is None or own is None or own.dim() != 1:
            raise NotRecognised(f"{name} is no root mean square norm")
        width = own.shape[0]
        weight = module(torch.ones(1, width))[0].float() * (1.0 + float(epsilon)) ** 0.5
        probe = torch.linspace(-1.5, 2.5, width)[None]
        expected = probe / (probe.square().mean() + float(epsilon)).sqrt() * weight
        if not torch.allclose(module(probe).float(), expected, rtol=2e-2, atol=2e-2):
            raise NotRecognised(f"{name} is no root mean square norm")
        if self._epsilon not in (None, float(epsilon)):
            raise NotRecognised("norms with different epsilons")
        self._epsilon = float(epsilon)
        found: Tensor = weight.contiguous()
        return found


class _RotaryTables:
    """Cosines and sines of every position, once per kind of layer."""

    def __init__(self, base: Any, max_model_len: int) -> None:
        self._module = getattr(base, "rotary_emb", None)
        if self._module is None:
            raise NotRecognised("positions are not rotary")
        parameters = getattr(base.config, "rope_parameters", None) or {}
        for kind in [parameters, *(v for v in parameters.values() if isinstance(v, dict))]:
            if kind.get("rope_type") in _UNSTABLE_ROTARY:
                raise NotRecognised(f"rotary positions of the kind {kind['rope_type']!r}")
        self._by_type = "layer_type" in inspect.signature(self._module.forward).parameters
        self._types = getattr(base.config, "layer_types", None)
        self._positions = torch.arange(max_model_len)[None]
        self._tables: dict[str, Tensor] = {}
        self.width = 0

    def table(self, layer: int) -> Tensor:
        """Return ``[positions, rotary_dim]``: cosines of the first half, then sines."""
        kind = str(self._types[layer]) if self._by_type and self._types else ""
        if kind not in self._tables:
            self._tables[kind] = self._make(kind)
        return self._tables[kind]

    def _make(self, kind: str) -> Tensor:
        like = torch.zeros(1, dtype=torch.float32)
        more = {"layer_type": kind} if self._by_type else {}
        rotate: Any = self._module
        cosine, sine = rotate(like, self._positions, **more)
        half = cosine.shape[-1] // 2
        if not torch.equal(cosine[..., :half], cosine[..., half:]):
            raise NotRecognised("rotary positions that turn neighbours rather than halves")
        self.width = 2 * half
        return torch.cat([cosine[0, :, :half], sine[0, :, :half]], dim=-1).float().contiguous()


def _kv_heads(layer: LayerSpec, head_dim: int) -> int:
    return (layer.qkv.out_features - layer.output.in_features) // (2 * head_dim)


def _activation(mlp: Any) -> Activation:
    function = getattr(mlp, "act_fn", None) or getattr(mlp, "activation_fn", None)
    if function is None:
        raise NotRecognised("a feed-forward part without an activation function")
    x = torch.linspace(-4.0, 4.0, 65)
    found = function(x)
    known: dict[Activation, Tensor] = {
        "silu": functional.silu(x),
        "gelu_tanh": functional.gelu(x, approximate="tanh"),
        "gelu": functional.gelu(x),
    }
    for name, expected in known.items():
        if torch.allclose(found, expected, atol=1e-5):
            return name
    raise NotRecognised(f"the activation {type(function).__name__}")


def _embedding_scale(model: Any) -> float:
    """What embeddings are multiplied by before the first layer sees them."""
    seen: list[Tensor] = []

    def look(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append(args[0] if args else kwargs["hidden_states"])

    hook = model.base_model.layers[0].register_forward_pre_hook(look, with_kwargs=True)
    try:
        with torch.inference_mode():
            model.base_model(input_ids=torch.tensor([[3]]), use_cache=False)
    finally:
        hook.remove()
    own = model.get_input_embeddings().weight[3].float()
    return float(seen[0].float().flatten() @ own / (own @ own).clamp_min(1e-12))


def _check_alike(spec: DecoderSpec) -> None:
    """Refuse layers that differ in their widths, and widths that the kernels cannot take."""
    first = spec.layers[0]
    for layer in spec.layers:
        for name in ("qkv", "output", "gate_up", "down"):
            if getattr(layer, name).out_features != getattr(first, name).out_features:
                raise NotRecognised("layers of different widths")
        _check_head_norms(spec, layer)
    if first.gate_up.out_features != 2 * spec.intermediate:
        raise NotRecognised("a feed-forward part whose gates are not as many as its units")
    if spec.embedding is not None and spec.embedding.shape[0] != spec.vocab:
        raise NotRecognised(f"{spec.embedding.shape[0]} embeddings for {spec.vocab} logits")
    if spec.head_dim > MAX_HEAD_DIM:
        raise NotRecognised(f"heads of {spec.head_dim}, beyond the kernels' {MAX_HEAD_DIM}")
    for name in ("hidden", "intermediate"):
        if getattr(spec, name) % 16:
            raise NotRecognised(f"{name} of {getattr(spec, name)}, which 16 does not divide")


def _check_head_norms(spec: DecoderSpec, layer: LayerSpec) -> None:
    """Refuse norms of queries and keys that are neither of each head nor of all of them."""
    widths = [None if n is None else n.shape[0] for n in (layer.query_norm, layer.key_norm)]
    of_all = [spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim]
    if widths not in ([None, None], [spec.head_dim] * 2, of_all):
        raise NotRecognised(f"norms of queries and keys of widths {widths}")
