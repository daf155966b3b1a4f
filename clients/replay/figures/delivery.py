"""What the wire did to replies: interruptions, resumed connections, events lost or doubled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from clients.replay.figures.distribution import Distribution, distribution
from clients.replay.records import RequestRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelFigures:
    """How soon interruptions worked; seconds on the client's clock.

    Attributes:
        count: Interruptions that were sent.
        acked_s: From sending one to the target's word that the reply is over.
        last_token_s: From sending one to the last token of the reply; 0 where none came any more.
        tokens_under_way: Tokens that came between the two; the target could not know yet.
        tokens_after: Tokens that came after the target had said that the reply was over.
        steps_max: The most steps of the engine that began after a cancel and still held its
            request; ``None`` where nobody saw the engine.
    """

    count: int
    acked_s: Distribution
    last_token_s: Distribution
    tokens_under_way: int
    tokens_after: int
    steps_max: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFigures:
    """What numbered events show of a connection.

    Attributes:
        resumes: Times that a client came back over another connection during a reply.
        gaps: Events that never came.
        duplicates: Events that came twice.
        text_differs: Replies whose deltas were not the text that their end stated.
    """

    resumes: int
    gaps: int
    duplicates: int
    text_differs: int


def cancel_figures(requests: Sequence[RequestRecord]) -> CancelFigures:
    """Measure the interruptions of a run."""
    steps = [r.cancel_steps for r in requests if r.cancel_steps is not None]
    sent = [(r, r.cancelled_s) for r in requests if r.cancelled_s is not None]
    return CancelFigures(
        count=len(sent),
        acked_s=distribution(
            None if r.cancel_acked_s is None else r.cancel_acked_s - cancelled_s
            for r, cancelled_s in sent
        ),
        last_token_s=distribution(
            max(r.token_times_s[-1] - cancelled_s, 0.0) if r.token_times_s else None
            for r, cancelled_s in sent
        ),
        tokens_under_way=sum(_under_way(r, cancelled_s) for r, cancelled_s in sent),
        tokens_after=sum(r.tokens_after_cancel for r in requests),
        steps_max=max(steps, default=None),
    )


def _under_way(request: RequestRecord, cancelled_s: float) -> int:
    until_s = math.inf if request.cancel_acked_s is None else request.cancel_acked_s
    return sum(cancelled_s < time_s <= until_s for time_s in request.token_times_s)


def wire_figures(requests: Sequence[RequestRecord], *, is_numbered: bool) -> WireFigures | None:
    """Count what went wrong between the target and the client.

    Args:
        requests: All replies.
        is_numbered: Whether the target numbers its events and states each reply's text again, so
            that a zero means something.

    Returns:
        ``None`` where nothing could be seen and nothing was.
    """
    found = WireFigures(
        resumes=sum(r.num_resumes for r in requests),
        gaps=sum(r.num_gaps for r in requests),
        duplicates=sum(r.num_duplicates for r in requests),
        text_differs=sum(r.text_differs for r in requests),
    )
    seen = found.resumes or found.gaps or found.duplicates or found.text_differs
    return found if is_numbered or seen else None
