"""What a checkpoint must be before any of its weights is read.

Works on the files and on ``config.json`` alone, so that a refusal costs milliseconds and says what
is wrong with the folder that somebody pointed at. What passes here and still cannot be served is
caught by the probe and by the self-check after loading.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import ModelNotFound, UnsupportedModel
from engine.model.quantised.scheme import read_scheme

_PICKLE_PATTERNS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "tekken.json",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
)
_ATTENTION_LAYERS = {"full_attention", "sliding_attention"}
_RECURRENT_KEYS = (
    "attn_layer_period",
    "block_types",
    "conv_L_cache",
    "hybrid_override_pattern",
    "layers_block_type",
    "linear_num_key_heads",
    "lru_width",
    "mamba_d_state",
    "ssm_cfg",
    "ssm_state_size",
    "state_size",
    "time_step_rank",
)
_RECURRENT_TYPES = {"rwkv", "xlstm", "reformer"}
_MULTIMODAL_KEYS = ("vision_config", "audio_config", "speech_config", "image_token_id")


def read_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json``.

    Raises:
        ModelNotFound: It is not there, or it is no JSON object.
    """
    path = folder / "config.json"
    if (folder / "adapter_config.json").is_file() and not path.is_file():
        raise UnsupportedModel(
            f"{folder} holds an adapter, not a model; merge it into its base model first"
        )
    if not path.is_file():
        raise ModelNotFound(f"{folder} has no config.json; name a transformers checkpoint folder")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelNotFound(f"{path} cannot be read as JSON ({error}); fetch it again") from error
    if not isinstance(config, dict):
        raise ModelNotFound(f"{path} is not a JSON object; fetch it again")
    return config


def check_folder(folder: Path) -> dict[str, Any]:
    """Refuse a folder that cannot be served; return its configuration.

    Raises:
        ModelNotFound: A file is missing.
        UnsupportedModel: The files are of a kind that is not served.
    """
    config = read_config(folder)
    check_config(config)
    check_weights(folder)
    check_tokenizer(folder)
    return config


def check_config(config: Mapping[str, Any]) -> None:
    """Refuse architectures that this engine does not run.

    Raises:
        UnsupportedModel: It names what the model is and what is served instead.
    """
    model_type = str(config.get("model_type", ""))
    architectures = config.get("architectures") or []
    name = str(architectures[0]) if architectures else model_type or "the model"
    if not model_type or not _known_to_transformers(model_type):
        if config.get("auto_map"):
            raise UnsupportedModel(
                f"{name} needs code from its own repository (auto_map), which is never run; "
                "choose a model that transformers itself implements"
            )
        raise UnsupportedModel(
            f"model type {model_type!r} is not known to the installed transformers; "
            "upgrade transformers or choose another model"
        )
    if config.get("is_encoder_decoder"):
        raise UnsupportedModel(
            f"{name} is an encoder-decoder model; decoder-only models are served"
        )
    for key in _MULTIMODAL_KEYS:
        if config.get(key) is not None:
            raise UnsupportedModel(
                f"{name} is multimodal ({key}); choose the text-only checkpoint of this family"
            )
    check_layers(config, name)
    read_scheme(config, name)
    if not _is_causal_lm(name, model_type, has_architecture=bool(architectures)):
        raise UnsupportedModel(
            f"{name} is not a causal language model; choose a checkpoint whose architecture "
            "ends in ForCausalLM"
        )


def check_weights(folder: Path) -> None:
    """Refuse a folder without complete safetensors weights.

    Raises:
        ModelNotFound: There are no weights, or a shard named in the index is missing.
        UnsupportedModel: The weights are pickled; loading them would run whatever they hold.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            shards = sorted(
                set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
            )
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise ModelNotFound(f"{index} cannot be read ({error}); fetch it again") from error
        missing = [shard for shard in shards if not (folder / str(shard)).is_file()]
        if missing:
            raise ModelNotFound(
                f"{folder} lacks {missing[0]} ({len(missing)} of {len(shards)} weight files are "
                "missing); finish the download"
            )
        return
    if (folder / "model.safetensors").is_file():
        return
    pickled = sorted(path.name for pattern in _PICKLE_PATTERNS for path in folder.glob(pattern))
    if pickled:
        raise UnsupportedModel(
            f"{folder} holds pickled weights ({pickled[0]}), which can run code when read; "
            "convert them to safetensors"
        )
    gguf = sorted(path.name for path in folder.glob("*.gguf"))
    if gguf:
        raise UnsupportedModel(
            f"{folder} holds a GGUF file ({gguf[0]}); choose the safetensors checkpoint"
        )
    raise ModelNotFound(f"{folder} has no model.safetensors; finish the download")


def check_tokenizer(folder: Path) -> None:
    """Refuse a folder without a tokenizer.

    Raises:
        ModelNotFound: It names the file that is missing.
    """
    if any((folder / name).is_file() for name in _TOKENIZER_FILES):
        return
    raise ModelNotFound(
        f"{folder} has no tokenizer.json, nor another tokenizer file; copy the tokenizer of the "
        "original model into the folder"
    )


def model_context(config: Any) -> int | None:
    """The longest sequence the model was made for, from its transformers configuration.

    Frequencies that change with the longest sequence of the batch (``longrope``, ``dynamic``) would
    make one sequence's keys depend on its batch-mates; such models are held to the length up to
    which the frequencies stay put.
    """
    limits = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions")]
    rope = getattr(config, "rope_parameters", None) or {}
    per_layer = [part for part in rope.values() if isinstance(part, dict)]
    for part in per_layer or [rope]:
        if part.get("rope_type") in ("longrope", "dynamic"):
            limits.append(part.get("original_max_position_embeddings"))
            limits.append(getattr(config, "original_max_position_embeddings", None))
    found = [int(limit) for limit in limits if isinstance(limit, int | float) and limit > 0]
    return min(found, default=None)


def check_layers(config: Mapping[str, Any], name: str) -> None:
    """Refuse layers that are not attention over the sequence's own keys.

    Called for the file and once more for what transformers makes of it, which fills in what older
    files leave out.

    Raises:
        UnsupportedModel: It names what was found.
    """
    model_type = str(config.get("model_type", ""))
    layer_types = config.get("layer_types") or []
    strange = sorted({str(kind) for kind in layer_types} - _ATTENTION_LAYERS)
    recurrent = [key for key in _RECURRENT_KEYS if config.get(key) is not None]
    if strange or recurrent or model_type in _RECURRENT_TYPES:
        what = (strange or recurrent or [model_type])[0]
        raise UnsupportedModel(
            f"{name} has recurrent, linear or chunked layers ({what}); "
            "models whose every layer is full or sliding-window attention are served"
        )
    if config.get("num_kv_shared_layers"):
        raise UnsupportedModel(
            f"{name} shares keys and values between layers (num_kv_shared_layers="
            f"{config['num_kv_shared_layers']}), which this engine does not do yet"
        )
    if config.get("use_bidirectional_attention") or config.get("is_causal") is False:
        raise UnsupportedModel(f"{name} attends in both directions; causal models are served")


def _known_to_transformers(model_type: str) -> bool:
    from transformers import CONFIG_MAPPING

    return model_type in CONFIG_MAPPING


def _is_causal_lm(name: str, model_type: str, *, has_architecture: bool) -> bool:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    known = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(model_type)
    if known is None:
        return False
    names = (known,) if isinstance(known, str) else tuple(known)
    return name in names or not has_architecture
