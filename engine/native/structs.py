"""The C structures of `src/linear.h`, `src/decoder.h` and `src/draw.h`, field by field."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_double, c_float, c_int32, c_void_p

KIND_F32, KIND_BF16, KIND_I8 = 0, 1, 2
ACTIVATIONS = {"silu": 0, "gelu_tanh": 1, "gelu": 2}

PARTS = (
    "embedding",
    "norms",
    "q/k/v product",
    "rotary and store",
    "attention",
    "output product",
    "gate and up product",
    "down product",
    "logits",
)
"""What a step's time is accounted to."""


class Linear(ctypes.Structure):
    """A packed weight."""

    _fields_ = [
        ("weight", c_void_p),
        ("bias", c_void_p),
        ("scale", c_void_p),
        ("offset", c_void_p),
        ("n", c_int32),
        ("k", c_int32),
        ("kind", c_int32),
        ("num_tiles", c_int32),
    ]


class Layer(ctypes.Structure):
    """Weights of one decoder layer and the memory of its keys and values."""

    _fields_ = [
        ("attention_norm", c_void_p),
        ("query_norm", c_void_p),
        ("key_norm", c_void_p),
        ("after_attention_norm", c_void_p),
        ("mlp_norm", c_void_p),
        ("after_mlp_norm", c_void_p),
        ("qkv", Linear),
        ("output", Linear),
        ("gate_up", Linear),
        ("down", Linear),
        ("keys", c_void_p),
        ("values", c_void_p),
        ("sinks", c_void_p),
        ("rotary", c_void_p),
        ("scaling", c_float),
        ("softcap", c_float),
        ("window", c_int32),
        ("spans_heads", c_int32),
    ]


class Model(ctypes.Structure):
    """A whole decoder."""

    _fields_ = [
        ("layers", POINTER(Layer)),
        ("final_norm", c_void_p),
        ("embedding", c_void_p),
        ("head", Linear),
        ("num_layers", c_int32),
        ("hidden", c_int32),
        ("heads", c_int32),
        ("kv_heads", c_int32),
        ("head_dim", c_int32),
        ("intermediate", c_int32),
        ("vocab", c_int32),
        ("rotary_dim", c_int32),
        ("norm_dim", c_int32),
        ("activation", c_int32),
        ("kind", c_int32),
        ("epsilon", c_float),
        ("embedding_scale", c_float),
        ("residual_scale", c_float),
        ("logit_scale", c_float),
        ("logit_softcap", c_float),
    ]


class Step(ctypes.Structure):
    """One step's packed batch, and where its results go."""

    _fields_ = [
        ("tokens", c_void_p),
        ("starts", c_void_p),
        ("counts", c_void_p),
        ("tables", c_void_p),
        ("logit_rows", c_void_p),
        ("logits", c_void_p),
        ("largest", c_void_p),
        ("seconds", c_void_p),
        ("num_tokens", c_int32),
        ("num_sequences", c_int32),
        ("num_logits", c_int32),
    ]


class DrawRow(ctypes.Structure):
    """A row of logits, and what is asked of its draw."""

    _fields_ = [
        ("logits", c_void_p),
        ("protected", c_void_p),
        ("top_p", c_double),
        ("uniform", c_double),
        ("temperature", c_float),
        ("min_p", c_float),
        ("xtc_threshold", c_float),
        ("top_k", c_int32),
        ("num_protected", c_int32),
    ]


SIZED = (Linear, Layer, Model, Step, DrawRow)
