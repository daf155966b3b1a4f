"""FlashAttention-3 under the names by which others call it, over a stand-in for its operator."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tools.gpu.flash3 import (
    flash_attn_func,
    flash_attn_varlen_func,
    flash_attn_with_kvcache,
    load,
    write_stand_ins,
)
from tools.gpu.results import NotHere

ROOT = Path(__file__).parents[2]
SCHEMA = (
    "fwd(Tensor! q, Tensor k, Tensor v, Tensor? k_new, Tensor? v_new, Tensor? q_v, Tensor!? out, "
    "Tensor? cu_seqlens_q, Tensor? cu_seqlens_k, Tensor? cu_seqlens_k_new, Tensor? seqused_q, "
    "Tensor? seqused_k, int? max_seqlen_q, int? max_seqlen_k, Tensor? page_table, "
    "Tensor? kv_batch_idx, Tensor? leftpad_k, Tensor? rotary_cos, Tensor? rotary_sin, "
    "Tensor? seqlens_rotary, Tensor? q_descale, Tensor? k_descale, Tensor? v_descale, "
    "float softmax_scale, bool is_causal, int window_size_left, int window_size_right, "
    "float softcap, bool is_rotary_interleaved, Tensor? scheduler_metadata, int num_splits, "
    "bool? pack_gqa, int sm_margin, Tensor? s_aux, int cp_world_size, int cp_rank, "
    "Tensor? cp_tot_seqused_k) -> Tensor[]"
)
"""As the library of vLLM 0.23 registers it."""
PLACES = {name: place for place, name in enumerate(part.split()[1] for part in SCHEMA.split(", "))}
HEADS, DIM, PAGE = 2, 8, 4


def attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """One sequence, written out; the last query sees every key."""
    scores = torch.einsum("qhd,khd->hqk", query, keys) * DIM**-0.5
    behind = torch.ones(len(query), len(keys)).tril(len(keys) - len(query)).bool()
    weights = scores.masked_fill(~behind, float("-inf")).softmax(dim=-1)
    return torch.einsum("hqk,khd->qhd", weights, values)


def forward(*given: Any) -> list[Tensor]:
    """What the operator does with the arguments that are used here, causal throughout."""

    def one(name: str) -> Any:
        return given[PLACES[name]]

    q, k, v = given[:3]
    table, lengths = one("page_table"), one("seqused_k")
    firsts_q, firsts_k = one("cu_seqlens_q"), one("cu_seqlens_k")
    assert one("is_causal")
    queries = list(q) if firsts_q is None else list(q.split(firsts_q.diff().tolist()))
    found = []
    for i, query in enumerate(queries):
        if table is not None:
            length = int(lengths[i])
            keys, values = (pages[table[i].long()].flatten(0, 1) for pages in (k, v))
            if one("k_new") is not None:
                keys[length] = one("k_new")[i, 0]
                values[length] = one("v_new")[i, 0]
                length += 1
            keys, values = keys[:length], values[:length]
        elif firsts_k is not None:
            place = slice(int(firsts_k[i]), int(firsts_k[i + 1]))
            keys, values = k[place], v[place]
        else:
            keys, values = k[i], v[i]
        found.append(attend(query, keys, values))
    return [torch.stack(found) if firsts_q is None else torch.cat(found), q, q, q]


@pytest.fixture(scope="module")
def library() -> Iterator[None]:
    """The operator, on a CPU."""
    make: Any = torch.library.Library
    made = make("_vllm_fa3_C", "FRAGMENT")
    made.define(SCHEMA)
    made.impl("fwd", forward, "CPU")
    yield
    made._destroy()


def random(*shape: int) -> Tensor:
    """Numbers."""
    return torch.randn(*shape)


def test_without_a_library_there_is_none(tmp_path: Path) -> None:
    """And what would bring one is said."""
    with pytest.raises(NotHere, match="--peer flash-attn-3=LIBRARY"):
        load()
    with pytest.raises(NotHere, match="cannot be loaded"):
        load(str(tmp_path / "none.so"))


@pytest.mark.usefixtures("library")
def test_sequences_behind_each_other() -> None:
    """As a prompt is read: of two lengths, queries at the ends of their keys."""
    q, k, v = random(5, HEADS, DIM), random(9, HEADS, DIM), random(9, HEADS, DIM)
    firsts_q, firsts_k = torch.tensor([0, 2, 5]), torch.tensor([0, 6, 9])
    found = flash_attn_varlen_func(q, k, v, firsts_q, firsts_k, 3, 6, causal=True)
    assert torch.allclose(found[:2], attend(q[:2], k[:6], v[:6]))
    assert torch.allclose(found[2:], attend(q[2:], k[6:], v[6:]))


@pytest.mark.usefixtures("library")
def test_keys_in_pages() -> None:
    """As tokens are decoded; both names of the table, and several queries per sequence."""
    keys, values = random(5, PAGE, HEADS, DIM), random(5, PAGE, HEADS, DIM)
    table, lengths = torch.tensor([[3, 1], [0, 4]]), torch.tensor([6, 3])
    q = random(2, 1, HEADS, DIM)
    dense = [pages[table[0]].flatten(0, 1)[:6] for pages in (keys, values)]
    for name in ("page_table", "block_table"):
        named: dict[str, Any] = {name: table}
        found = flash_attn_with_kvcache(
            q, keys, values, cache_seqlens=lengths, causal=True, **named
        )
        assert torch.allclose(found[0], attend(q[0], *dense))
    several = random(3, HEADS, DIM)
    found = flash_attn_with_kvcache(
        several,
        keys,
        values,
        cache_seqlens=lengths,
        page_table=table,
        cu_seqlens_q=torch.tensor([0, 2, 3]),
        max_seqlen_q=2,
        causal=True,
    )
    assert torch.allclose(found[:2], attend(several[:2], *dense))


@pytest.mark.usefixtures("library")
def test_new_keys_are_seen_behind_those_that_are_stored() -> None:
    """As transformers decodes."""
    keys, values = random(2, PAGE, HEADS, DIM), random(2, PAGE, HEADS, DIM)
    q, k, v = random(1, 1, HEADS, DIM), random(1, 1, HEADS, DIM), random(1, 1, HEADS, DIM)
    table, lengths = torch.tensor([[1, 0]]), torch.tensor([5])
    found = flash_attn_with_kvcache(
        q, keys, values, k, v, cache_seqlens=lengths, page_table=table, causal=True
    )
    stored = [pages[table[0]].flatten(0, 1)[:5] for pages in (keys, values)]
    both = [torch.cat([old, new[0]]) for old, new in zip(stored, (k, v), strict=True)]
    assert torch.allclose(found[0], attend(q[0], *both))


@pytest.mark.usefixtures("library")
def test_a_batch_of_one_length() -> None:
    """As static batches are."""
    q, k, v = (random(2, 3, HEADS, DIM) for _ in range(3))
    assert torch.allclose(flash_attn_func(q, k, v, causal=True)[1], attend(q[1], k[1], v[1]))


@pytest.mark.slow
def test_others_find_it_under_its_usual_names(tmp_path: Path) -> None:
    """Imported as nano-vllm does, and owned by the distribution that transformers asks for."""
    folder = write_stand_ins(tmp_path / "there", "libflash.so")
    code = (
        "from transformers.utils.import_utils import _package_distribution_mapping as owners;"
        "assert owners()['flash_attn_interface'] == ['flash-attn-3'];"
        "from flash_attn import flash_attn_varlen_func, flash_attn_with_kvcache;"
        "from flash_attn_interface import flash_attn_func;"
        "import os; print(os.environ['KAIWA_FLASH3_LIBRARY'])"
    )
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.stdout.strip().endswith("libflash.so")
