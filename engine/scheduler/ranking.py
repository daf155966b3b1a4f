"""A request's place in the queue: fixed when it arrives, so that everybody is first one day."""

from __future__ import annotations

from engine.config import SchedulerConfig
from engine.cost_model import StepCostModel
from engine.request import Request
from engine.scheduler.admission import Admission
from engine.scheduler.fair_share import FairShare


class Ranking:
    """Gives requests their deadline and their key.

    Under ``fcfs`` the key is priority, then arrival. Otherwise it is the moment by which the first
    token is due, from when it is the tenant's turn, put off by ``aging_s`` per step of priority.
    """

    def __init__(
        self, config: SchedulerConfig, cost_model: StepCostModel, admission: Admission
    ) -> None:
        self._config = config
        self._cost_model = cost_model
        self._admission = admission
        self._shares = FairShare()

    def rank(self, request: Request, now: float) -> None:
        """Set deadline and key of a request that has arrived, or whose prompt is whole now."""
        service = request.service
        target_s = service.ttft_target_s or self._config.ttft_target_s
        request.deadline = now + target_s
        if self._config.policy == "fcfs":
            return
        turn = self._shares.tag(service.tenant, self._cost_s(request), now)
        aged = turn + target_s + service.priority * self._config.aging_s
        request.key = (aged, request.sequence_number)

    def _cost_s(self, request: Request) -> float:
        """Seconds of the engine that a request will take."""
        cost = self._cost_model.coefficients
        per_reply_token = cost.per_seq_s + request.num_tokens * cost.per_kv_token_s
        num_reply = self._admission.expect(request)
        return request.num_tokens * cost.per_new_token_s + num_reply * per_reply_token
