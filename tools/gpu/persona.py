"""Whether a beginning that streams have in common is read once for all of them."""

from __future__ import annotations

from typing import Any, Literal

from tools.gpu.results import NotHere

Reading = Literal["apart", "together", "chosen"]
READINGS: tuple[Reading, ...] = ("apart", "together", "chosen")

_SWITCH = "shares_prefixes"
_WITHIN = ("_runner", "runner", "_forward", "forward")
_VALUES: dict[Reading, bool | None] = {"apart": False, "together": True, "chosen": None}


def choose_reading(runner: Any, reading: Reading) -> None:
    """Set how a runner reads what streams have in common.

    The engine has no setting for this, so the switch of what computes is looked for.

    Raises:
        NotHere: It has none, or it does not choose by itself.
    """
    owner = _owner(runner)
    if reading == "chosen" and not hasattr(owner, "chooses_sharing"):
        raise NotHere("the engine does not choose by cost whether to read together")
    setattr(owner, _SWITCH, _VALUES[reading])


def _owner(runner: Any) -> Any:
    held: list[Any] = [runner]
    for candidate in held:
        if hasattr(candidate, _SWITCH):
            return candidate
        held += [getattr(candidate, name) for name in _WITHIN if hasattr(candidate, name)]
    raise NotHere("what computes here does not read shared beginnings together")
