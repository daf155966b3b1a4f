"""Turns between tenants: who has asked for much waits behind those who have asked for little.

Start-time fair queueing (Goyal, Vin, Cheng 1996) with the clock as virtual time: a tenant's request
is tagged with the moment at which the tenant's earlier requests would have been served at its fair
share, and never with a moment that is past. Tags are fixed when a request arrives, so whatever
comes later is sooner or later behind it: nobody starves.
"""

from __future__ import annotations


class FairShare:
    """Tags requests with when it is their tenant's turn."""

    def __init__(self) -> None:
        self._turn: dict[str, float] = {}
        self._num_tagged = 0

    def tag(self, tenant: str, cost_s: float, now: float) -> float:
        """Return when it is this request's turn, and move the tenant's next turn behind it.

        Args:
            tenant: Whose request.
            cost_s: Seconds of the engine that the request will take.
            now: Seconds.
        """
        self._num_tagged += 1
        if self._num_tagged >= len(self._turn):  # tenants without a debt share nothing
            self._turn = {name: turn for name, turn in self._turn.items() if turn > now}
            self._num_tagged = 0
        turn = max(now, self._turn.get(tenant, now))
        num_tenants = len(self._turn) + (tenant not in self._turn)
        self._turn[tenant] = turn + cost_s * num_tenants
        return turn
