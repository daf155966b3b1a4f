"""A checkpoint's files: where they are, and what is in them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
)
from transformers.utils import logging as transformers_logging

from engine.attention.interface import register_attention
from engine.errors import ModelError, ModelNotFound, UnsupportedModel
from engine.model.checks import check_weights
from engine.model.quantised.read import DenseWeights, is_quantised, read_dense
from engine.model.quantised.scheme import Scheme

logger = logging.getLogger(__name__)

Report = Callable[[float], None]
"""Called with the share that is done, from 0 to 1; never backwards."""

_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


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


def read_config(folder: Path) -> Any:
    """Return transformers' configuration of a checkpoint.

    Raises:
        UnsupportedModel: It is not understood.
    """
    try:
        return AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:  # transformers raises whatever its parsers raise
        raise UnsupportedModel(f"{folder}/config.json is not understood: {error}") from error


def read_weights(
    folder: Path,
    hf_config: Any,
    dtype: torch.dtype,
    device: torch.device,
    report: Report,
    scheme: Scheme | None = None,
    keep_payloads: bool = False,
) -> Any:
    """Return the model as transformers builds it, evaluating, with its own attention.

    Quantised weights are dequantised: the model is what their numbers say, with activations as they
    are.

    Args:
        folder: Of the checkpoint.
        hf_config: As `read_config` returns it.
        dtype: Of weights and activations.
        device: Where it is to be.
        report: Hears how much of it is read.
        scheme: How it is quantised, if it is.
        keep_payloads: Whether linear layers get an attribute `quantised`, a
            `QuantisedWeight` on the CPU, beside their dequantised weight.

    Raises:
        ModelNotFound: Weights are missing.
        UnsupportedModel: It cannot be read, or does not let its attention be replaced.
    """
    register_attention()
    hf_config = copy.deepcopy(hf_config)
    for entry in ("quantization_config", "compression_config"):
        vars(hf_config).pop(entry, None)  # transformers would look for quantisers of its own
    dense: DenseWeights | None = None
    try:
        if scheme is not None:
            dense = read_dense(folder, scheme, dtype, report, keep=keep_payloads)
        with _tensor_progress(_after(report, dense)):
            model, info = _build(folder, hf_config, dtype, dense)
    except ModelError:
        raise
    except Exception as error:  # a broken checkpoint shows itself in many ways
        raise UnsupportedModel(
            f"{folder} cannot be loaded: {error}; fetch it again, or choose another checkpoint"
        ) from error
    _check_keys(folder, info)
    if not getattr(type(model), "_supports_attention_backend", False):
        raise UnsupportedModel(
            f"{type(model).__name__} does not let its attention be replaced; "
            "choose a model of a current decoder-only family"
        )
    if dense is not None and scheme is not None and dense.share:
        count = dense.attach(model)
        logger.info(
            "quantised as %s: weights are dequantised to %s%s",
            scheme.name,
            str(dtype).removeprefix("torch."),
            f"; {count} layers keep what they were, to multiply from" if count else "",
        )
    del dense  # what moves to a GPU need not stay here as well
    return model.to(device).eval().requires_grad_(False)


def _build(
    folder: Path, hf_config: Any, dtype: torch.dtype, dense: DenseWeights | None
) -> tuple[Any, dict[str, Any]]:
    """Return transformers' model with its weights, and what it says of them."""
    build: Any = AutoModelForCausalLM
    source: dict[str, Any] = {"pretrained_model_name_or_path": str(folder)}
    if dense is not None:  # the automatic class insists on files
        build = _model_class(hf_config)
        source = {"pretrained_model_name_or_path": None, "state_dict": dense.tensors}
    model, info = build.from_pretrained(
        **source,
        config=hf_config,
        dtype=dtype,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        attn_implementation="eager",
        output_loading_info=True,
    )
    return model, info


def _model_class(hf_config: Any) -> Any:
    """Return what the automatic class would build; where it may choose, what the file names."""
    found: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(hf_config)]
    choices = found if isinstance(found, list | tuple) else [found]
    named = getattr(hf_config, "architectures", None) or ()
    return next((choice for choice in choices if choice.__name__ in named), choices[0])


def _after(report: Report, dense: DenseWeights | None) -> Report:
    """Return what tells of tensors that transformers takes after others were dequantised."""
    done = 0.0 if dense is None else dense.share
    return lambda share: report(done + share * (1.0 - done))


def _check_keys(folder: Path, info: Mapping[str, Any]) -> None:
    """Refuse what transformers would fill with random numbers, or leave without its scale."""
    unread = sorted(filter(is_quantised, info.get("unexpected_keys", ())))
    if unread:
        raise UnsupportedModel(
            f"{folder} holds {unread[0]}, which belongs to quantised weights, and its config.json "
            "does not say how; copy quantization_config from the original config.json"
        )
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        raise ModelNotFound(
            f"{folder} lacks {len(missing)} of the model's weights, {missing[0]} among them; "
            "finish the download"
        )


def eos_token_ids_of(folder: Path, hf_config: Any) -> tuple[int, ...]:
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
def _tensor_progress(report: Report) -> Iterator[None]:
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
