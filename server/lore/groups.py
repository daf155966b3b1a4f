"""Of each inclusion group at most one entry comes up at a time (SillyTavern's World Info)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from server.lore.known import Known
from server.lore.scene import Scene


def without_rivals(
    fresh: Sequence[Known],
    active: Sequence[Known],
    scene: Scene,
    draw: Callable[[str, Scene], random.Random],
) -> list[Known]:
    """Leave of each group only the one that comes up.

    That is one that has come up in this turn already, else one that stands or goes on, else the one
    with the highest order among those that lead, else one drawn by weight.

    Args:
        fresh: What matches, in the books' order.
        active: What has come up in this turn.
        scene: The turn.
        draw: Chance, by what it is for.
    """
    left = list(fresh)
    for group in sorted({name for member in fresh for name in member.rules.groups}):
        rivals = [member for member in left if group in member.rules.groups]
        if any(group in member.rules.groups for member in active):
            winner = None
        elif len(rivals) < 2:
            continue
        else:
            winner = _winner(rivals, scene, draw(f"group:{group}", scene))
        left = [member for member in left if member not in rivals or member is winner]
    return left


def _winner(rivals: Sequence[Known], scene: Scene, draw: random.Random) -> Known:
    for member in rivals:
        if member.is_standing(scene) or member.is_sticky(scene):
            return member
    leaders = [member for member in rivals if member.rules.leads_group]
    if leaders:
        return max(leaders, key=lambda member: (member.entry.insertion_order, -member.place))
    weights = [member.rules.group_weight for member in rivals]
    if not any(weights):
        weights = [1.0] * len(rivals)
    return draw.choices(rivals, weights)[0]
