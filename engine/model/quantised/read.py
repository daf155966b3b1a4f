"""A quantised checkpoint's files as transformers would have them: weights dequantised."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from engine.decoder.quantised import QuantisedWeight
from engine.errors import UnsupportedModel
from engine.model.quantised.scheme import Scheme
from engine.model.quantised.unpack import LEAVES, unpack

Report = Callable[[float], None]
"""Called with the share that is done, from 0 to 1; never backwards."""

_OF_ONE_BYTE = (torch.int8, torch.uint8, torch.float8_e4m3fn, torch.float8_e5m2)


@dataclass(frozen=True, slots=True, eq=False)
class DenseWeights:
    """A checkpoint's tensors, dequantised.

    Attributes:
        tensors: By name, as the model's own. What was not quantised is mapped from its file, in the
            type that it has there.
        payloads: What was quantised, as it was, by the name of its layer; only where one was asked
            for, and only where it can be told as blocks of columns.
        share: Of the checkpoint's bytes, how much was quantised.
    """

    tensors: dict[str, Tensor]
    payloads: dict[str, QuantisedWeight]
    share: float

    def attach(self, model: nn.Module) -> int:
        """Set `quantised` on each linear layer whose weight is one of these; returns how many.

        A weight is known by its memory, not by its name: transformers renames some. The output
        projection that is also the embedding stays as it is.
        """
        by_memory = {
            self.tensors[f"{layer}.weight"].data_ptr(): payload
            for layer, payload in self.payloads.items()
        }
        embeddings = [m.weight for m in model.modules() if isinstance(m, nn.Embedding)]
        count = 0
        for module in model.modules():
            if type(module) is not nn.Linear or any(module.weight is e for e in embeddings):
                continue
            payload = by_memory.get(module.weight.data_ptr())
            if payload is not None:
                attached: Any = module
                attached.quantised = payload
                count += 1
        return count


def drop_payloads(model: nn.Module) -> int:
    """Take off what `attach` set, once nothing will multiply from it; returns how many."""
    return sum(vars(module).pop("quantised", None) is not None for module in model.modules())


def read_dense(
    folder: Path, scheme: Scheme, dtype: torch.dtype, report: Report, *, keep: bool
) -> DenseWeights:
    """Read a quantised checkpoint.

    Files are mapped, and layers dequantised one after the other, so that memory holds the
    dequantised weights, the payloads if they are kept, and what one layer takes meanwhile.

    Args:
        folder: With `model.safetensors`, or its shards and their index.
        scheme: How it is quantised.
        dtype: Of dequantised weights.
        report: Hears of each layer.
        keep: Whether payloads are wanted.

    Raises:
        ModelNotFound: A tensor is missing.
        UnsupportedModel: A tensor is not as the scheme says.
    """
    stored = _map_files(folder)
    layers = _quantised_layers(stored)
    total = max(1, sum(tensor.nbytes for tensor in stored.values()))
    tensors: dict[str, Tensor] = {}
    payloads: dict[str, QuantisedWeight] = {}
    done = 0
    for layer, leaves in layers.items():
        parts = {leaf: stored.pop(f"{layer}.{leaf}") for leaf in leaves}
        layout = scheme.format_of(layer)
        if scheme.ignores(layer) or layout is None:
            raise UnsupportedModel(
                f"{layer} is quantised, but config.json says that it is not; fetch config.json "
                "again, or take the layer off its list"
            )
        unpacked = unpack(parts, layout, layer)
        tensors[f"{layer}.weight"] = unpacked.dense(dtype)
        if keep and unpacked.order is None:
            payloads[layer] = unpacked.weight
        done += sum(part.nbytes for part in parts.values())
        report(done / total)
    return DenseWeights({**stored, **tensors}, payloads, done / total)


def is_quantised(name: str) -> bool:
    """Whether only a quantised layer has a tensor of this name."""
    return name.rpartition(".")[2] in LEAVES


def _map_files(folder: Path) -> dict[str, Tensor]:
    """Return every tensor, backed by its file: nothing is read before it is looked at."""
    shards = {"model.safetensors"}
    index = folder / "model.safetensors.index.json"
    if index.is_file() and not (folder / "model.safetensors").is_file():
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    tensors: dict[str, Tensor] = {}
    with ExitStack() as stack:
        for shard in sorted(shards):
            opened = stack.enter_context(safe_open(folder / shard, framework="pt", device="cpu"))
            tensors.update({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
    return tensors


def _quantised_layers(stored: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return the names of layers with a quantised weight, and of the tensors that make it up."""
    layers: defaultdict[str, list[str]] = defaultdict(list)
    for name, tensor in stored.items():
        layer, _, leaf = name.rpartition(".")
        if leaf in LEAVES or (leaf == "weight" and tensor.dtype in _OF_ONE_BYTE):
            layers[layer].append(leaf)
    for layer, leaves in layers.items():
        if "weight" not in leaves and f"{layer}.weight" in stored:
            leaves.append("weight")
    return dict(layers)
