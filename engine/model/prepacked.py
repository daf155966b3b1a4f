"""Linear layers laid out for this processor, in models that run on transformers' own modules.

oneDNN reads weights in blocks of its own; a plain linear layer is brought into them anew at every
call. Laid out once, a bfloat16 product of few rows takes about half the time and gives the same
bits (these are the operators that Inductor's freezing emits).
"""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

_ROWS = 16
"""A hint for the layout; it hardly matters."""


class PrepackedLinear(nn.Module):
    """A linear layer without gradients, on a CPU, in bfloat16.

    Args:
        linear: Whose weight it takes.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x @ weight.T + bias`` for ``[..., in_features]``."""
        product: Any = torch.ops.mkldnn._linear_pointwise
        out: Tensor = product(x, self._weight, self._bias, "none", [], "")
        return out


def can_prepack() -> bool:
    """Whether torch has oneDNN and the processor what its bfloat16 products need."""
    return torch._C._has_mkldnn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def prepack_linears(model: nn.Module) -> int:
    """Replace a model's linear layers; returns how many.

    Layers whose weight is used elsewhere too, such as an output projection that is the embedding,
    stay: laying them out would keep a second copy. So do all on other devices and in other types.
    """
    if not can_prepack():
        return 0
    users: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            users[id(parameter)] = users.get(id(parameter), 0) + 1
    count = 0
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if _can_be_packed(child) and users[id(child.weight)] == 1:
                setattr(module, name, PrepackedLinear(child))
                count += 1
    return count


def _can_be_packed(module: nn.Module) -> TypeGuard[nn.Linear]:
    if type(module) is not nn.Linear:
        return False
    return module.weight.device.type == "cpu" and module.weight.dtype == torch.bfloat16
