"""What a model's layers are, learnt by watching one short forward rather than by reading names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.attention.interface import ATTENTION_NAME, AttentionCall, attending
from engine.attention.kv_store import LayerShape
from engine.attention.traits import AttentionTraits
from engine.errors import EngineError, UnsupportedModel


class _Recorder:
    """Notes each layer's shapes and traits, and attends to nothing."""

    def __init__(self) -> None:
        self.layers: dict[int, LayerShape] = {}
        self.traits: dict[int, AttentionTraits] = {}
        self.repeated: set[int] = set()

    def attend(self, call: AttentionCall) -> Tensor:
        if call.layer in self.layers:
            self.repeated.add(call.layer)
        heads, tokens, _ = call.query.shape
        if call.key.shape[1] != tokens or heads % call.key.shape[0]:
            raise UnsupportedModel(
                f"layer {call.layer} has {heads} query heads for {call.key.shape[0]} key heads "
                f"and {call.key.shape[1]} keys for {tokens} tokens; this engine runs plain "
                "causal attention with grouped heads"
            )
        self.layers[call.layer] = LayerShape(
            num_kv_heads=call.key.shape[0],
            key_dim=call.key.shape[2],
            value_dim=call.value.shape[2],
            window=call.window,
        )
        self.traits[call.layer] = AttentionTraits(
            scaling=call.scaling, window=call.window, softcap=call.softcap, sinks=call.sinks
        )
        return call.value.new_zeros(tokens, heads, call.value.shape[2])


def probe_layers(model: Any) -> tuple[list[LayerShape], list[AttentionTraits]]:
    """Run three tokens through the model; return what each layer stores, and how it attends.

    The model's attention implementation is as before afterwards.

    Raises:
        UnsupportedModel: A layer did not attend through the interface, attended twice, or was not
            told the window that its configuration names.
    """
    recorder = _Recorder()
    before = model.config._attn_implementation
    ids = torch.zeros(1, 3, dtype=torch.int64, device=model.device)
    positions = torch.arange(3, device=model.device)[None]
    model.set_attn_implementation(ATTENTION_NAME)
    try:
        with attending(recorder), torch.inference_mode():
            model(input_ids=ids, position_ids=positions, use_cache=False)
    except EngineError:
        raise
    except Exception as error:
        raise UnsupportedModel(
            f"{type(model).__name__} does not run without a cache and a mask: {error}"
        ) from error
    finally:
        model.set_attn_implementation(before)
    _check_layers(model, recorder)
    indexes = range(len(recorder.layers))
    return [recorder.layers[i] for i in indexes], [recorder.traits[i] for i in indexes]


def _check_layers(model: Any, recorder: _Recorder) -> None:
    config = model.config
    name = type(model).__name__
    expected = int(config.num_hidden_layers)
    if set(recorder.layers) != set(range(expected)):
        raise UnsupportedModel(
            f"only {len(recorder.layers)} of the {expected} layers of {name} attend through the "
            "interface; the others are recurrent or of a kind that this engine does not run"
        )
    if recorder.repeated:
        raise UnsupportedModel(f"layer {min(recorder.repeated)} of {name} attends twice per token")
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    told = any(shape.window is not None for shape in recorder.layers.values())
    if kinds is None:
        wrong = window is not None and not told
    else:
        wrong = any(
            (recorder.layers[index].window is not None) != (kind == "sliding_attention")
            for index, kind in enumerate(kinds[:expected])
        )
    if wrong:
        raise UnsupportedModel(
            f"{name} does not tell its attention about its sliding window of {window}; "
            "beyond that many tokens its output would be wrong"
        )
