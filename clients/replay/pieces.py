"""How many tokens the pieces of a streamed reply are, where the stream does not say."""

from __future__ import annotations

from collections.abc import Sequence


def spread(pieces: Sequence[tuple[float, int]], num_tokens: int | None) -> list[float]:
    """Return when each token came, tokens of one piece sharing its time.

    A piece is taken for one token as long as the target does not count otherwise. Where it counts
    more, a slow reader's pieces were merged: the tokens are spread over the pieces by their
    lengths, each having at least one. Where it counts fewer, some of its tokens were cut into
    several pieces, and every piece stays one.

    Args:
        pieces: When each came, in seconds, and how many code points it held, in order.
        num_tokens: How many tokens the target counts in them all; ``None`` where it does not.
    """
    if num_tokens is None or num_tokens <= len(pieces) or not pieces:
        return [time_s for time_s, _ in pieces]
    spare, num_chars = num_tokens - len(pieces), sum(chars for _, chars in pieces)
    times: list[float] = []
    seen = given = 0
    for time_s, chars in pieces:
        seen += chars
        share = spare * seen // num_chars if num_chars else 0
        times += [time_s] * (1 + share - given)
        given = share
    return times + [pieces[-1][0]] * (num_tokens - len(times))
