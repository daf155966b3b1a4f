"""Questions of a wire log, as they were noted, become the turns of a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clients.replay.script import Fault, Turn
from clients.replay.token_estimate import estimated_tokens

_CHARACTERS_PER_TOKEN = 4
"""Of English, about, where a log has no words whose tokens could be estimated."""


@dataclass(slots=True, kw_only=True)
class WireTurn:
    """A question and what became of it; times in milliseconds of the log.

    Attributes:
        sent: When it was asked.
        texts: What was said since the last one, where the log has words.
        chars: How long that is.
        limit: Of the reply's tokens.
        num_chars: Of the reply's deltas.
        cancelled: When its listener spoke over it.
        kept_chars: How much of the reply its listener had heard, where the client said so.
        done: When the reply was over.
        prompt_tokens: Of the whole prompt.
        output_tokens: Of the reply.
        faults: What befell the socket meanwhile.
    """

    sent: float
    texts: list[str]
    chars: int
    limit: int | None = None
    num_chars: int = 0
    cancelled: float | None = None
    kept_chars: int | None = None
    done: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    faults: list[Fault] = field(default_factory=list)

    def cancel(self, ms: float) -> None:
        """Its listener speaks over it."""
        if self.done is None and self.cancelled is None:
            self.cancelled = ms

    @property
    def length_behind(self) -> int | None:
        """Tokens that the conversation has after it; ``None`` where the log does not say."""
        if not self.prompt_tokens:
            return None
        kept = self.output_tokens or 0
        if self.kept_chars is not None and self.num_chars:
            kept = min(kept, round(kept * self.kept_chars / self.num_chars))
        elif self.kept_chars is not None:
            kept = self.kept_chars // _CHARACTERS_PER_TOKEN
        return self.prompt_tokens + kept


def scripted(turns: Sequence[WireTurn]) -> list[Turn]:
    """Return one session's turns, in order.

    An interruption is by its time: who interrupts on another server does so at the same moment,
    whatever has come by then.
    """
    script: list[Turn] = []
    before: WireTurn | None = None
    for turn in turns:
        length = None if before is None else before.length_behind
        new = 0 if length is None else (turn.prompt_tokens or 0) - length
        think = 0.0 if before is None or before.done is None else turn.sent - before.done
        is_cut = turn.cancelled is not None
        script.append(
            Turn(
                input_tokens=new if new > 0 else max(1, _said_tokens(turn)),
                output_tokens=turn.limit if is_cut else turn.output_tokens or None,
                text="\n".join(turn.texts),
                think_s=max(0.0, think) / 1e3,
                after="final",
                barge_in_s=None if turn.cancelled is None else (turn.cancelled - turn.sent) / 1e3,
                faults=tuple(turn.faults),
            )
        )
        before = turn
    return script


def _said_tokens(turn: WireTurn) -> int:
    if turn.texts:
        return sum(map(estimated_tokens, turn.texts))
    return turn.chars // _CHARACTERS_PER_TOKEN
