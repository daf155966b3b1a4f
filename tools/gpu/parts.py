"""The parts of a run, in the order in which they are worth their time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartSpec:
    """One part.

    Attributes:
        name: On the command line.
        module: That measures it.
        least_s: Seconds under which it is not begun.
        most_s: Seconds after which it is ended.
        function: Of the module; takes part, options and device.
    """

    name: str
    module: str
    least_s: float
    most_s: float
    function: str = "run"


OTHER_CARD = 3
"""Exit status of a run whose folder holds figures of another card."""

PARTS = {
    spec.name: spec
    for spec in (
        PartSpec("limits", "tools.gpu.limits", 15, 45),
        PartSpec("correctness", "tools.gpu.pytest_parts", 20, 120, "run_kernels"),
        PartSpec("decode", "tools.gpu.decode", 25, 210),
        PartSpec("nanovllm", "tools.gpu.nanovllm", 25, 90),
        PartSpec("kernels", "tools.gpu.kernels", 15, 75),
        PartSpec("faults", "tools.gpu.pytest_parts", 30, 150, "run_engine"),
        PartSpec("server", "tools.gpu.server", 45, 150),
        PartSpec("peers", "tools.gpu.peers", 40, 180),
        PartSpec("formats", "tools.gpu.decode", 30, 300, "run_formats"),
        PartSpec("quality", "tools.gpu.quality", 20, 120),
    )
}
