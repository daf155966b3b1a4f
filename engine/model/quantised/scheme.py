"""What `config.json` says of a quantised checkpoint: how each weight is stored, or a refusal.

Pure: it reads no tensor. Formats are named as their own tools name them: `fp8` (DeepSeek's blocks,
AutoFP8's whole tensors), `compressed-tensors`, `awq` (AutoAWQ's gemm) and `gptq` (AutoGPTQ,
GPTQModel). How activations were to be rounded is not read: here they stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.errors import UnsupportedModel

Storage = Literal["numbers", "words", "awq", "gptq"]
"""``numbers`` have a type of their own; the others are packed into int32, each in its way."""

WHOLE = 0
"""In a block: as far as the weight goes."""

_READ = (
    "FP8 (e4m3; whole tensors, channels or blocks), compressed-tensors (float-, int- and "
    "pack-quantized), AWQ (gemm, 4 bits) and GPTQ (4 or 8 bits) are read; choose one of these or "
    "the bfloat16 checkpoint"
)
_PLAIN_FORMATS = ("float-quantized", "int-quantized", "naive-quantized")


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFormat:
    """How the weight of one layer is stored.

    Attributes:
        storage: In which tensors, and how they are packed.
        kind: ``float`` is float8_e4m3fn.
        bits: Of one number, 4 or 8; integers of 4 bits may be stored one per byte.
        block: Rows (outputs) and columns (inputs) that share a scale; `WHOLE` for all of them.
        needs_zeros: Whether zero points are stored beside the scales.
        zero_shift: Added to stored zero points.
    """

    storage: Storage
    kind: Literal["int", "float"]
    bits: Literal[4, 8]
    block: tuple[int, int]
    needs_zeros: bool = False
    zero_shift: int = 0


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a checkpoint is quantised.

    Attributes:
        name: For people.
        groups: Targets, as compressed-tensors writes them, with their format; the first is also
            for layers that nobody names when it stands alone.
        ignored: Layers that are said to be left as they were, likewise.
    """

    name: str
    groups: tuple[tuple[tuple[str, ...], WeightFormat], ...]
    ignored: tuple[str, ...] = ()

    def ignores(self, layer: str) -> bool:
        """Whether a layer is said to be left as it was, by its own name or by a ``re:`` pattern."""
        return any(_names(pattern, layer) for pattern in self.ignored)

    def format_of(self, layer: str) -> WeightFormat | None:
        """Return how a quantised layer is stored; ``None`` when nothing says it.

        What names the layer comes before what names its class, as in compressed-tensors.
        """
        if len(self.groups) == 1:
            return self.groups[0][1]
        for targets, found in self.groups:
            if any(_names(target, layer) for target in targets):
                return found
        return next((found for targets, found in self.groups if "Linear" in targets), None)


def read_scheme(config: Mapping[str, Any], name: str) -> Scheme | None:
    """Return how a checkpoint is quantised, or ``None`` when its weights are not.

    Args:
        config: `config.json`.
        name: Of the model, for messages.

    Raises:
        UnsupportedModel: It names what is not read, and what is.
    """
    entry = config.get("quantization_config", config.get("compression_config"))
    if entry is None:
        return None
    if not isinstance(entry, Mapping):
        raise UnsupportedModel(f"{name}: quantization_config is {entry!r} where an object belongs")
    settings = _Settings(entry, name)
    method = str(entry.get("quant_method", "unnamed")).lower()
    if method not in _METHODS:
        raise settings.refusal(f"by the method {method!r}")
    return _METHODS[method](settings)


class _Settings:
    """Reads one object of the configuration, and refuses what it does not expect."""

    def __init__(self, entry: Mapping[str, Any], name: str) -> None:
        self.entry = entry
        self._name = name

    def refusal(self, how: str) -> UnsupportedModel:
        return UnsupportedModel(f"{self._name} is quantised {how}, which is not read; {_READ}")

    def inner(self, key: str) -> _Settings:
        """Return the settings of an object inside this one; empty where it is not there."""
        entry = self.entry.get(key)
        if entry is None:
            entry = {}
        if not isinstance(entry, Mapping):
            raise self.refusal(f"with {key} {entry!r} where an object belongs")
        return _Settings(entry, self._name)

    def whole(self, *names: str, default: int | None = None) -> int:
        """Return the first number that is there under one of these names."""
        for name in names:
            value = self.entry.get(name)
            if type(value) is int:
                return value
            if value is not None:
                raise self.refusal(f"with {name} {value!r}")
        if default is None:
            raise self.refusal(f"without saying its {names[0]}")
        return default

    def word(self, *names: str, default: str) -> str:
        found = (self.entry.get(name) for name in names)
        return str(next((value for value in found if value is not None), default)).lower()

    def names(self, *keys: str) -> tuple[str, ...]:
        """Return the lists of names under these keys, together."""
        lists = [self.entry.get(key) or [] for key in keys]
        for key, value in zip(keys, lists, strict=True):
            if not isinstance(value, Sequence) or isinstance(value, str):
                raise self.refusal(f"with {key} {value!r}")
        return tuple(str(name) for value in lists for name in value)

    def pair(self, value: Any, what: str) -> tuple[int, int]:
        """Return two positive numbers, from a list or from ``128x128``."""
        found = value.split("x") if isinstance(value, str) else value
        try:
            rows, columns = (int(size) for size in found)
        except (TypeError, ValueError):
            rows = columns = 0
        if min(rows, columns) < 1:
            raise self.refusal(f"with {what} {value!r}")
        return rows, columns

    def group_columns(self, *names: str, default: int) -> int:
        """Return how many inputs share a scale; -1 stands for all."""
        size = self.whole(*names, default=default)
        if size < 1 and size != -1:
            raise self.refusal(f"with {names[0]} {size}")
        return WHOLE if size == -1 else size


def _fp8(settings: _Settings) -> Scheme:
    number = settings.word("fmt", default="e4m3")
    if "e4m3" not in number:
        raise settings.refusal(f"as FP8 of the kind {number!r}")
    size = settings.entry.get("weight_block_size")
    block = (WHOLE, WHOLE) if size is None else settings.pair(size, "weight_block_size")
    shape = "in whole tensors" if size is None else f"in blocks of {block[0]} by {block[1]}"
    weight = WeightFormat(storage="numbers", kind="float", bits=8, block=block)
    ignored = settings.names("modules_to_not_convert", "ignored_layers")
    return Scheme(f"FP8 {shape}", ((("Linear",), weight),), ignored)


def _awq(settings: _Settings) -> Scheme:
    version = settings.word("version", "format", default="gemm")
    backend = settings.word("backend", default="")
    if version != "gemm" or backend == "llm-awq":
        raise settings.refusal(f"as AWQ of the version {backend or version!r}")
    bits = settings.whole("bits", "w_bit", default=4)
    if bits != 4:
        raise settings.refusal(f"as AWQ of {bits} bits")
    columns = settings.group_columns("group_size", "q_group_size", default=128)
    weight = WeightFormat(storage="awq", kind="int", bits=4, block=(1, columns), needs_zeros=True)
    return Scheme("AWQ", ((("Linear",), weight),), settings.names("modules_to_not_convert"))


def _gptq(settings: _Settings) -> Scheme:
    version = settings.word("checkpoint_format", "format", default="gptq")
    if settings.entry.get("is_marlin_format"):
        version = "marlin"
    if version not in ("gptq", "gptq_v2"):
        raise settings.refusal(f"as GPTQ of the format {version!r}")
    word = settings.word("pack_dtype", default="int32")
    if word != "int32":
        raise settings.refusal(f"as GPTQ packed into {word}")
    _check_overrides(settings)
    weight = WeightFormat(
        storage="gptq",
        kind="int",
        bits=_four_or_eight(settings, settings.whole("bits"), "as GPTQ"),
        block=(1, settings.group_columns("group_size", default=128)),
        needs_zeros=True,
        # the first version stored each zero point less one
        zero_shift=1 if version == "gptq" else 0,
    )
    return Scheme(f"GPTQ of {weight.bits} bits", ((("Linear",), weight),))


def _check_overrides(settings: _Settings) -> None:
    """Refuse GPTQModel's settings per layer; those that only leave layers out are harmless."""
    for pattern, changes in settings.inner("dynamic").entry.items():
        if changes and not str(pattern).startswith("-:"):
            raise settings.refusal(f"as GPTQ with other settings for {pattern}")


def _compressed_tensors(settings: _Settings) -> Scheme | None:
    sparsity = settings.inner("sparsity_config").word("format", default="dense")
    if sparsity != "dense":
        raise settings.refusal(f"and sparse ({sparsity})")
    if settings.entry.get("transform_config"):
        raise settings.refusal("with rotations of its activations (transform_config)")
    layout = settings.word("format", default="unnamed")
    all_groups = settings.inner("config_groups")
    groups = []
    for key in all_groups.entry:
        group = all_groups.inner(key)
        weights = group.inner("weights")
        if weights.entry:
            found = _compressed_weight(weights, group.word("format", default=layout))
            groups.append((group.names("targets"), found))
    if not groups:
        return None  # only what passes between layers, or the KV cache, was to be rounded
    names = dict.fromkeys(f"{'FP' if w.kind == 'float' else 'int'}{w.bits}" for _, w in groups)
    ignored = settings.names("ignore")
    return Scheme(f"compressed-tensors {', '.join(names)}", tuple(groups), ignored)


def _compressed_weight(weights: _Settings, layout: str) -> WeightFormat:
    kind = weights.word("type", default="int")
    bits = weights.whole("num_bits", default=8)
    what = f"as {layout} {kind} of {bits} bits"
    packed = layout == "pack-quantized"
    if not packed and layout not in _PLAIN_FORMATS:
        raise weights.refusal(what)
    if kind not in ("int", "float") or (kind == "float" and (packed or bits != 8)):
        raise weights.refusal(what)
    return WeightFormat(
        storage="words" if packed else "numbers",
        kind="float" if kind == "float" else "int",
        bits=_four_or_eight(weights, bits, f"as {layout}"),
        block=_compressed_block(weights),
        needs_zeros=weights.entry.get("symmetric") is False,
    )


def _compressed_block(weights: _Settings) -> tuple[int, int]:
    size = weights.entry.get("group_size")
    by_size = "tensor" if size is None else "channel" if size == -1 else "group"
    strategy = weights.word("strategy", default=by_size)
    if strategy == "tensor":
        return WHOLE, WHOLE
    if strategy == "channel":
        return 1, WHOLE
    if strategy == "group":
        return 1, weights.group_columns("group_size", default=-1)
    if strategy == "block":
        return weights.pair(weights.entry.get("block_structure"), "block_structure")
    raise weights.refusal(f"with scales by {strategy}")


def _four_or_eight(settings: _Settings, bits: int, what: str) -> Literal[4, 8]:
    if bits == 4:
        return 4
    if bits == 8:
        return 8
    raise settings.refusal(f"{what} of {bits} bits")


def _names(pattern: str, layer: str) -> bool:
    """Whether a name, or a pattern after ``re:``, names a layer."""
    if not pattern.startswith("re:"):
        return pattern == layer
    try:
        return re.match(pattern.removeprefix("re:"), layer) is not None
    except re.error:
        return False


_METHODS: dict[str, Callable[[_Settings], Scheme | None]] = {
    "fp8": _fp8,
    "awq": _awq,
    "gptq": _gptq,
    "compressed-tensors": _compressed_tensors,
}
