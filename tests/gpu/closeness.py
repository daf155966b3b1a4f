"""How far numbers are from what they should be."""

from __future__ import annotations

from torch import Tensor


def error(found: Tensor, expected: Tensor) -> float:
    """Relative, by norms in float64; not a number never passes."""
    expected = expected.cpu().double()
    return float((found.cpu().double() - expected).norm() / expected.norm())
