"""A step over sequences of which the device knows nothing yet: everything is brought along."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from engine.attention.metadata import Span
from engine.attention.transfer import bring
from engine.config import BLOCK_SIZE
from engine.gpu.attention.device_work import DeviceStep, DeviceWork, lay_out_work
from engine.gpu.attention.work_planner import WorkPlanner, sizes_of
from engine.gpu.layout import Layout


def send_spans(
    spans: Sequence[Span], token_ids: Sequence[int], planner: WorkPlanner, device: torch.device
) -> DeviceStep:
    """Plan a step and bring it to the device in one copy.

    Args:
        spans: The sequences, in the order of their tokens.
        token_ids: Their new tokens.
        planner: Of the model.
        device: Where to.
    """
    planned = planner.plan(spans)
    sizes = sizes_of(list(planned.values()))
    work = next(iter(planned.values())).work
    owners = np.repeat(np.arange(len(spans)), [span.num_tokens for span in spans])
    positions = work.ends - 1
    blocks = work.tables[owners, positions // BLOCK_SIZE]
    given = {
        "token_ids": np.asarray(token_ids, dtype=np.int32),
        "positions": positions,
        "kv_slots": blocks * BLOCK_SIZE + positions % BLOCK_SIZE,
        "ends": work.ends,
        "tables": work.tables,
    }
    shapes = {name: numbers.shape for name, numbers in given.items()}
    of_all = Layout(
        {**shapes, "work": (len(planned), Layout(sizes.shapes).length)},
    )
    flat = np.zeros(of_all.length, dtype=np.int32)
    parts = of_all.in_host(flat)
    for name, numbers in given.items():
        parts[name][...] = numbers
    of_work = Layout(sizes.shapes)
    for each, row in zip(planned.values(), parts["work"], strict=True):
        lay_out_work(each.work, each.small, of_work.in_host(row))
    there = of_all.on_device(bring(flat, device))
    works = {
        window: DeviceWork(
            **of_work.on_device(row),
            tables=there["tables"],
            ends=there["ends"],
            num_results=sizes.results,
        )
        for window, row in zip(planned, there["work"], strict=True)
    }
    return DeviceStep(there["token_ids"], there["positions"], there["kv_slots"], works)
