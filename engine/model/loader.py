"""From a folder or a hub id to a model in memory whose attention is ours."""

from __future__ import annotations

import ctypes
import logging
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging as transformers_logging

from engine.attention.interface import ATTENTION_NAME, register_attention
from engine.attention.kv_store import LayerShape, kv_bytes_per_token
from engine.attention.traits import AttentionTraits
from engine.config import ModelConfig
from engine.decoder.pack import PackedDecoder
from engine.decoder.surgery import NotRecognised, take_apart
from engine.errors import (
    ConfigError,
    ModelError,
    ModelNotFound,
    SelfCheckFailed,
    UnsupportedModel,
)
from engine.model.checks import check_folder, check_layers, check_weights, model_context
from engine.model.forward import Forward
from engine.model.memory import give_back_memory
from engine.model.native_forward import NativeForward
from engine.model.probe import probe_layers
from engine.model.self_check import SelfCheck
from engine.model.transformers_forward import TransformersForward
from engine.native.build import KernelsUnavailable, load_library

logger = logging.getLogger(__name__)

Progress = Callable[[float, str], None]
"""Called with a fraction from 0 to 1 and a short phrase; never backwards."""

_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
_INT8_TOLERANCE = 0.5
"""Of the logits' spread: eight bits cost more than rounding, and a wrong structure costs all."""
_SHARE = {"find": 0.02, "weights": 0.90, "probe": 0.95, "done": 1.0}


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to step.

    Attributes:
        make_forward: Given a number of KV blocks, returns the model with memory of its own.
        forward: ``native`` for the compiled kernels, ``transformers`` for its own modules.
        folder: Where its files are; the tokenizer is read from here.
        name: What it was asked for by.
        architecture: transformers' class name.
        dtype: Of weights, activations and KV.
        device: Where everything lives.
        vocab_size: Width of the logits, which may exceed the tokenizer's.
        max_model_len: Longest sequence, prompt and reply together.
        eos_token_ids: Tokens that end a reply.
        layers: What each layer stores per token.
        num_parameters: Tied weights counted once.
        weight_bytes: Memory that the weights take.
    """

    make_forward: Callable[[int], Forward]
    forward: Literal["native", "transformers"]
    folder: Path
    name: str
    architecture: str
    dtype: torch.dtype
    device: torch.device
    vocab_size: int
    max_model_len: int
    eos_token_ids: tuple[int, ...]
    layers: tuple[LayerShape, ...]
    num_parameters: int
    weight_bytes: int

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of KV memory that one token costs."""
        return kv_bytes_per_token(self.layers, self.dtype)


def load_model(config: ModelConfig, *, on_progress: Progress | None = None) -> LoadedModel:
    """Find, check, read and self-check a model.

    Only safetensors weights are read and no code of the checkpoint is ever run.

    Raises:
        ModelNotFound: The checkpoint, or a part of it, is not there.
        UnsupportedModel: It is of a kind that is not served.
        SelfCheckFailed: Paged attention disagrees with the untouched model.
        ConfigError: ``max_model_len`` or ``device`` cannot be had.
    """
    report = on_progress or _ignore
    report(0.0, "looking for the model")
    device = resolve_device(config.device)
    folder = find_checkpoint(config.model)
    raw = check_folder(folder)
    try:
        hf_config: Any = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:  # transformers raises whatever its parsers raise
        raise UnsupportedModel(f"{folder}/config.json is not understood: {error}") from error
    check_layers(hf_config.to_dict(), config.model)
    max_model_len = resolve_max_model_len(config.max_model_len, model_context(hf_config))
    dtype = resolve_dtype(config.dtype, _checkpoint_dtype(raw), device)
    read = partial(_read_weights, folder, hf_config, dtype, device)
    report(_SHARE["find"], "reading weights")
    model = read(report)
    facts = _Facts(
        architecture=type(model).__name__,
        vocab_size=int(model.get_output_embeddings().weight.shape[0]),
        num_parameters=sum(p.numel() for p in model.parameters()),
    )
    report(_SHARE["weights"], "looking at the layers")
    layers, traits = probe_layers(model)
    report(_SHARE["probe"], "checking it against the model as transformers runs it")
    check = SelfCheck(model, layers, max_model_len=max_model_len) if config.self_check else None
    body: _Body
    try:
        body = _native_body(model, traits, config, device, max_model_len, check)
    except (NotRecognised, KernelsUnavailable, SelfCheckFailed) as error:
        if config.quantization is not None:
            raise UnsupportedModel(
                f"quantization {config.quantization} needs the compiled kernels, and they do not "
                f"run {facts.architecture} here: {error}; leave quantization out, or mend that"
            ) from error
        logger.info("%s runs on transformers' own modules: %s", facts.architecture, error)
        if isinstance(error, SelfCheckFailed):
            model = read(_ignore)  # its weights are gone
        body = _transformers_body(model, layers, check)
    del model
    give_back_memory()
    loaded = LoadedModel(
        make_forward=body.make_forward,
        forward=body.name,
        folder=folder,
        name=config.model,
        architecture=facts.architecture,
        dtype=dtype,
        device=device,
        vocab_size=facts.vocab_size,
        max_model_len=max_model_len,
        eos_token_ids=_eos_token_ids(folder, hf_config),
        layers=tuple(body.layers),
        num_parameters=facts.num_parameters,
        weight_bytes=body.weight_bytes,
    )
    report(_SHARE["done"], "model loaded")
    logger.info(
        "loaded %s: %s, %.1f M parameters in %.0f MB, %s on %s, %s, context %d",
        config.model,
        loaded.architecture,
        loaded.num_parameters / 1e6,
        loaded.weight_bytes / 1e6,
        str(dtype).removeprefix("torch."),
        device,
        loaded.forward,
        max_model_len,
    )
    return loaded


@dataclass(frozen=True, slots=True)
class _Facts:
    architecture: str
    vocab_size: int
    num_parameters: int


@dataclass(frozen=True, slots=True)
class _Body:
    name: Literal["native", "transformers"]
    make_forward: Callable[[int], Forward]
    layers: Sequence[LayerShape]
    weight_bytes: int


def _native_body(
    model: Any,
    traits: Sequence[AttentionTraits],
    config: ModelConfig,
    device: torch.device,
    max_model_len: int,
    check: SelfCheck | None,
) -> _Body:
    """Pack a model for the compiled kernels; takes its weights once it is understood.

    Raises:
        NotRecognised: Its structure is not understood.
        KernelsUnavailable: The kernels cannot be had.
        SelfCheckFailed: It was understood wrongly.
    """
    if config.kernels == "torch":
        raise KernelsUnavailable("kernels is 'torch'; 'auto' takes the compiled ones")
    if device.type != "cpu":
        raise KernelsUnavailable(f"they run on a CPU, and the device is {device.type!r}")
    library = load_library()
    with torch.inference_mode():
        spec = take_apart(model, traits, max_model_len=max_model_len)
        decoder = PackedDecoder(spec, int8=config.quantization == "int8")
    make_forward = partial(_make_native, decoder, library)
    if check is not None:
        tolerance = _INT8_TOLERANCE if config.quantization == "int8" else None
        agreement = check.compare(make_forward, tolerance=tolerance)
        logger.info(
            "against transformers: KL divergence %.2g, %.0f %% of the likeliest tokens alike",
            agreement.kl_divergence,
            100 * agreement.greedy,
        )
    layers = [
        LayerShape(spec.kv_heads, decoder.head_dim, decoder.head_dim, trait.window)
        for trait in traits
    ]
    return _Body("native", make_forward, layers, decoder.num_bytes)


def _make_native(decoder: PackedDecoder, library: ctypes.CDLL, num_blocks: int) -> Forward:
    return NativeForward(decoder, library, num_blocks, num_threads=torch.get_num_threads())


def _transformers_body(model: Any, layers: Sequence[LayerShape], check: SelfCheck | None) -> _Body:
    model.set_attn_implementation(ATTENTION_NAME)

    def make_forward(num_blocks: int) -> Forward:
        return TransformersForward(model, layers, num_blocks)

    if check is not None:
        check.compare(make_forward)
    weights = {p.data_ptr(): p.numel() * p.element_size() for p in model.parameters()}
    return _Body("transformers", make_forward, layers, sum(weights.values()))


def find_checkpoint(model: str) -> Path:
    """Return the local folder of a path or a hub id, downloading the latter when it is not cached.

    Raises:
        ModelNotFound: There is no such folder and no such model can be had from the hub.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if folder.exists():
        raise ModelNotFound(f"{model} is a file; name the folder that holds config.json")
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise ModelNotFound(
            f"there is no folder {model!r}, and it is not a hub id of the form owner/name"
        )
    from huggingface_hub import snapshot_download

    try:
        cached = Path(snapshot_download(model, allow_patterns=_FILES, local_files_only=True))
        check_weights(cached)
        return cached
    except ModelNotFound as error:
        logger.info("%s is in the local cache in part; fetching the rest: %s", model, error)
    except Exception as error:  # not in the cache, in any of the hub library's wordings
        logger.debug("%s is not in the local cache: %s", model, error)
    try:
        return Path(snapshot_download(model, allow_patterns=_FILES))
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelNotFound(
            f"{model!r} is neither a folder here nor whole in the local hub cache, and it could "
            f"not be fetched ({reason}); check the name and the network, or name a local folder"
        ) from error


def resolve_device(asked: str) -> torch.device:
    """Turn ``auto`` into a device.

    Raises:
        ConfigError: ``cuda`` was asked for and there is none.
    """
    has_cuda = torch.cuda.is_available()
    if asked == "cuda" and not has_cuda:
        raise ConfigError("device is 'cuda' but torch sees no GPU; use 'cpu'", param="device")
    return torch.device("cuda" if has_cuda and asked != "cpu" else "cpu")


def resolve_dtype(asked: str, checkpoint: torch.dtype | None, device: torch.device) -> torch.dtype:
    """Choose between bfloat16 and float32.

    A float16 checkpoint is taken as bfloat16: its range is the smaller one, and no CPU computes in
    it. A CPU that would have to emulate bfloat16 gets float32.
    """
    if asked != "auto":
        return torch.bfloat16 if asked == "bfloat16" else torch.float32
    if checkpoint is None or checkpoint not in (torch.bfloat16, torch.float16):
        return torch.float32
    if device.type == "cpu" and not cpu_has_bfloat16():
        return torch.float32
    return torch.bfloat16


def cpu_has_bfloat16() -> bool:
    """Whether this processor has bfloat16 arithmetic rather than conversions only."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux; Apple's processors have had it since the M2
        return platform.machine() == "arm64"
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", " bf16"))


def resolve_max_model_len(asked: int | None, own: int | None) -> int:
    """Return what was asked for, at most the model's own.

    Raises:
        ConfigError: More was asked for than the model can do, or nothing says how much that is.
    """
    if own is None:
        if asked is None:
            raise ConfigError(
                "the model does not say how long its context is; set max_model_len",
                param="max_model_len",
            )
        return asked
    if asked is not None and asked > own:
        raise ConfigError(
            f"max_model_len is {asked} but the model's own context is {own}; ask for at most {own}",
            param="max_model_len",
        )
    return asked or own


def _checkpoint_dtype(raw: Mapping[str, Any]) -> torch.dtype | None:
    name = str(raw.get("dtype") or raw.get("torch_dtype") or "").removeprefix("torch.")
    found = getattr(torch, name, None) if name else None
    return found if isinstance(found, torch.dtype) else None


def _read_weights(
    folder: Path, hf_config: Any, dtype: torch.dtype, device: torch.device, report: Progress
) -> Any:
    register_attention()
    low, high = _SHARE["find"], _SHARE["weights"]
    try:
        with _tensor_progress(lambda share: report(low + share * (high - low), "reading weights")):
            read: Any = AutoModelForCausalLM.from_pretrained
            model, info = read(
                str(folder),
                config=hf_config,
                dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                attn_implementation="eager",
                output_loading_info=True,
            )
    except ModelError:
        raise
    except Exception as error:  # a broken checkpoint shows itself in many ways
        raise UnsupportedModel(f"{folder} cannot be loaded: {error}") from error
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        raise ModelNotFound(
            f"{folder} lacks {len(missing)} of the model's weights, {missing[0]} among them; "
            "finish the download"
        )
    if not getattr(type(model), "_supports_attention_backend", False):
        raise UnsupportedModel(
            f"{type(model).__name__} does not let its attention be replaced; "
            "choose a model of a current decoder-only family"
        )
    return model.to(device).eval().requires_grad_(False)


def _eos_token_ids(folder: Path, hf_config: Any) -> tuple[int, ...]:
    """End tokens of the generation configuration and of the model's, the former first."""
    sources: list[Any] = []
    if (folder / "generation_config.json").is_file():
        try:
            sources.append(GenerationConfig.from_pretrained(str(folder)).eos_token_id)
        except (OSError, ValueError, TypeError) as error:
            raise UnsupportedModel(
                f"{folder}/generation_config.json is not understood: {error}"
            ) from error
    sources.append(getattr(hf_config, "eos_token_id", None))
    ids: dict[int, None] = {}
    for source in sources:
        several: Sequence[Any] = source if isinstance(source, list | tuple) else [source]
        ids.update({int(token_id): None for token_id in several if isinstance(token_id, int)})
    return tuple(ids)


@contextmanager
def _tensor_progress(report: Callable[[float], None]) -> Iterator[None]:
    """Hear of every tensor that transformers reads, and keep its own bar off the terminal."""

    class Bar:
        def __init__(self, items: Any) -> None:
            self._items = items

        def __iter__(self) -> Iterator[Any]:
            total = max(1, len(self._items))
            for done, item in enumerate(self._items, start=1):
                yield item
                report(done / total)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def __getattr__(self, _: str) -> Callable[..., None]:
            return lambda *args, **kwargs: None

    def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return Bar(args[0] if args else kwargs.get("iterable", ()))

    previous = transformers_logging.set_tqdm_hook(hook)
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(40)  # errors only
    try:
        yield
    finally:
        transformers_logging.set_tqdm_hook(previous)
        transformers_logging.set_verbosity(verbosity)


def _ignore(fraction: float, what: str) -> None:
    del fraction, what
