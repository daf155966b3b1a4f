"""FlashAttention-3 as a peer: where it is installed, or out of the library that vLLM brings.

The library registers one operator, ``_vllm_fa3_C.fwd``, whose arguments are those of vLLM 0.23's
``vllm_flash_attn/flash_attn_interface.py``. The three functions here have the names and arguments
under which nano-vllm and transformers look for it, and `write_stand_ins` lets both find them.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tools.gpu.results import NotHere

FLASH3 = "flash-attn-3"
"""Its name among the peers; what is given there is the library's path."""
_LIBRARY = "KAIWA_FLASH3_LIBRARY"
_WHOLE = (-1, -1)

_INTERFACE = '''"""FlashAttention-3 by its usual name, out of the library of {library!r}."""

import os

os.environ.setdefault({variable!r}, {library!r})
from tools.gpu.flash3 import flash_attn_func, flash_attn_varlen_func, flash_attn_with_kvcache
'''


def load(library: str | None = None) -> None:
    """Make the operator known, once.

    Raises:
        NotHere: There is no library, or it cannot be loaded.
    """
    if hasattr(torch.ops._vllm_fa3_C, "fwd"):
        return
    path = library or os.environ.get(_LIBRARY)
    if path is None:
        raise NotHere(f"there is no FlashAttention-3; --peer {FLASH3}=LIBRARY brings it")
    try:
        torch.ops.load_library(path)  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError) as error:
        raise NotHere(f"{path} cannot be loaded: {error}") from error


def flash_attn_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    *,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = _WHOLE,
    softcap: float = 0.0,
    block_table: Tensor | None = None,
) -> Tensor:
    """Attend in sequences that lie behind each other, or whose keys lie in pages.

    Args:
        q: ``[tokens, heads, dim]``.
        k: ``[tokens, kv_heads, dim]``, or with a table ``[pages, page_size, kv_heads, dim]``.
        v: Likewise.
        cu_seqlens_q: ``[sequences + 1]`` int32, where each sequence's queries begin.
        cu_seqlens_k: Likewise of its keys.
        max_seqlen_q: Longest.
        max_seqlen_k: Longest.
        softmax_scale: Of the scores.
        causal: Whether queries see only what is not behind them; the last query sees every key.
        window_size: Keys seen to the left and to the right.
        softcap: 0 for none.
        block_table: ``[sequences, pages]`` int32.

    Returns:
        ``[tokens, heads, dim]``.
    """
    lengths = None if block_table is None else cu_seqlens_k.diff()
    return _forward(
        q,
        k,
        v,
        cu_seqlens_q=cu_seqlens_q,
        cu_seqlens_k=cu_seqlens_k if block_table is None else None,
        seqused_k=lengths,
        max_seqlen_q=max_seqlen_q,
        max_seqlen_k=max_seqlen_k,
        page_table=block_table,
        softmax_scale=softmax_scale,
        causal=causal,
        window_size=window_size,
        softcap=softcap,
    )


def flash_attn_with_kvcache(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    k: Tensor | None = None,
    v: Tensor | None = None,
    *,
    cache_seqlens: Tensor | None = None,
    page_table: Tensor | None = None,
    block_table: Tensor | None = None,
    cu_seqlens_q: Tensor | None = None,
    max_seqlen_q: int | None = None,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = _WHOLE,
    softcap: float = 0.0,
    k_descale: Tensor | None = None,
    v_descale: Tensor | None = None,
    num_splits: int = 0,
) -> Tensor:
    """Attend with few queries per sequence to keys in pages, and store new keys first if there are.

    Args:
        q: ``[sequences, queries, heads, dim]``, or ``[tokens, heads, dim]`` with ``cu_seqlens_q``.
        k_cache: ``[pages, page_size, kv_heads, dim]``.
        v_cache: Likewise.
        k: ``[sequences, new, kv_heads, dim]``, written behind what is stored.
        v: Likewise.
        cache_seqlens: ``[sequences]`` int32, how many are stored.
        page_table: ``[sequences, pages]`` int32.
        block_table: The same under its other name.
        cu_seqlens_q: ``[sequences + 1]`` int32, where each sequence's queries begin.
        max_seqlen_q: Queries of one sequence at most; given with ``cu_seqlens_q``.
        softmax_scale: Of the scores.
        causal: As above.
        window_size: As above.
        softcap: As above.
        k_descale: ``[sequences, kv_heads]`` float32, of keys in eight bits.
        v_descale: Likewise.
        num_splits: Into how many parts keys are cut; 0 leaves it to the library.

    Returns:
        As ``q``.
    """
    table = block_table if page_table is None else page_table
    page_size = int(k_cache.shape[1])
    return _forward(
        q,
        k_cache,
        v_cache,
        k_new=k,
        v_new=v,
        cu_seqlens_q=cu_seqlens_q,
        seqused_k=cache_seqlens,
        max_seqlen_q=max_seqlen_q,
        max_seqlen_k=page_size * (1 if table is None else int(table.shape[1])),
        page_table=table,
        softmax_scale=softmax_scale,
        causal=causal,
        window_size=window_size,
        softcap=softcap,
        k_descale=k_descale,
        v_descale=v_descale,
        num_splits=num_splits,
    )


def flash_attn_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = _WHOLE,
    softcap: float = 0.0,
) -> Tensor:
    """Attend in a batch of sequences of one length, ``[sequences, tokens, heads, dim]``."""
    return _forward(
        q,
        k,
        v,
        softmax_scale=softmax_scale,
        causal=causal,
        window_size=window_size,
        softcap=softcap,
    )


def _forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    softmax_scale: float | None,
    causal: bool,
    window_size: tuple[int, int],
    softcap: float,
    k_new: Tensor | None = None,
    v_new: Tensor | None = None,
    cu_seqlens_q: Tensor | None = None,
    cu_seqlens_k: Tensor | None = None,
    seqused_k: Tensor | None = None,
    max_seqlen_q: int | None = None,
    max_seqlen_k: int | None = None,
    page_table: Tensor | None = None,
    k_descale: Tensor | None = None,
    v_descale: Tensor | None = None,
    num_splits: int = 0,
) -> Tensor:
    load()
    out, *_ = torch.ops._vllm_fa3_C.fwd(
        q,
        k,
        v,
        k_new,
        v_new,
        None,  # q_v
        None,  # out
        cu_seqlens_q,
        cu_seqlens_k,
        None,  # cu_seqlens_k_new
        None,  # seqused_q
        seqused_k,
        max_seqlen_q,
        max_seqlen_k,
        page_table,
        None,  # kv_batch_idx
        None,  # leftpad_k
        None,  # rotary_cos
        None,  # rotary_sin
        None,  # seqlens_rotary
        None,  # q_descale
        k_descale,
        v_descale,
        q.shape[-1] ** -0.5 if softmax_scale is None else softmax_scale,
        causal,
        *window_size,
        softcap,
        True,  # rotary_interleaved
        None,  # scheduler_metadata
        num_splits,
        None,  # pack_gqa
        0,  # sm_margin
        None,  # s_aux
        1,  # cp_world_size
        0,  # cp_rank
        None,  # cp_tot_seqused_k
    )
    attended: Tensor = out
    return attended


def write_stand_ins(folder: Path, library: str) -> Path:
    """Write modules and metadata by which others find the library under its usual names.

    transformers takes ``flash_attn_interface`` only from a distribution called ``flash-attn-3``;
    nano-vllm imports ``flash_attn``.

    Returns:
        The folder, to import from.
    """
    library = str(Path(library).expanduser().resolve())
    text = _INTERFACE.format(variable=_LIBRARY, library=library)
    package, facts = folder / "flash_attn", folder / "flash_attn_3-3.0.0.dist-info"
    for made in (package, facts):
        made.mkdir(parents=True, exist_ok=True)
    (folder / "flash_attn_interface.py").write_text(text, encoding="utf-8")
    (package / "__init__.py").write_text(text, encoding="utf-8")
    metadata = "Metadata-Version: 2.1\nName: flash-attn-3\nVersion: 3.0.0\n"
    (facts / "METADATA").write_text(metadata, encoding="utf-8")
    (facts / "top_level.txt").write_text("flash_attn_interface\n", encoding="utf-8")
    return folder


def flash3_decode(library: str | None) -> Any:
    """Return the function that attends to pages, of whichever FlashAttention-3 there is.

    Raises:
        NotHere: There is none.
    """
    if importlib.util.find_spec("flash_attn_interface") is not None:
        return importlib.import_module("flash_attn_interface").flash_attn_with_kvcache
    load(library)
    return flash_attn_with_kvcache
