"""A checkpoint's files: where they are, and what is in them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging as transformers_logging

from engine.attention.interface import register_attention
from engine.errors import ModelError, ModelNotFound, UnsupportedModel
from engine.model.checks import check_weights

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
    folder: Path, hf_config: Any, dtype: torch.dtype, device: torch.device, report: Report
) -> Any:
    """Return the model as transformers builds it, evaluating, with its own attention.

    Raises:
        ModelNotFound: Weights are missing.
        UnsupportedModel: It cannot be read, or does not let its attention be replaced.
    """
    register_attention()
    try:
        with _tensor_progress(report):
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
