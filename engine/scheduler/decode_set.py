"""The streams that decode: all of them advance by one token per step, so nobody counts each.

A step costs what changes in it. Where a stream stands follows from the number of steps since it
joined; when it next needs a block, and when it has planned its last token, are known from then on.
Both are kept in calendars, and a step looks at the entries of its own day only.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.request import Request


@dataclass(slots=True)
class _Member:
    request: Request
    joined_at: int
    """Tick at which its first token here is computed."""
    start: int
    """``num_planned_tokens`` at that tick."""
    last_tick: int
    """Tick at which its last token is computed."""


class DecodeSet:
    """Who decodes in the coming step.

    Args:
        block_size: Tokens per block.
    """

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._tick = 0
        self._members: dict[int, _Member] = {}
        self._growth: list[dict[int, None]] = [{} for _ in range(block_size)]
        self._ends: dict[int, dict[int, None]] = {}
        self._slots: tuple[int, ...] | None = None
        self._num_kv_tokens = 0

    def __len__(self) -> int:
        """How many decode in the coming step."""
        return len(self._members)

    @property
    def slots(self) -> tuple[int, ...]:
        """Their slots, in the order in which they joined."""
        if self._slots is None:
            self._slots = tuple(self._members)
        return self._slots

    @property
    def num_kv_tokens(self) -> int:
        """Tokens that all of them read in the coming step, the new one included."""
        return self._num_kv_tokens

    @property
    def requests(self) -> list[Request]:
        """All of them; costs what it returns."""
        return [member.request for member in self._members.values()]

    def add(self, request: Request, *, longest: int) -> None:
        """Let a stream decode from the coming step on.

        Args:
            request: Holds a slot; everything but its newest token is planned.
            longest: Tokens, prompt and reply together, at which it ends; at least two more than
                are planned.
        """
        start = request.num_planned_tokens
        last_tick = self._tick + longest - 2 - start
        assert last_tick >= self._tick, f"{request.request_id} has nothing left to decode"
        self._members[request.slot] = _Member(request, self._tick, start, last_tick)
        self._growth[(self._tick - start) % self._block_size][request.slot] = None
        self._ends.setdefault(last_tick, {})[request.slot] = None
        self._num_kv_tokens += start + 1
        self._slots = None

    def remove(self, request: Request) -> None:
        """Take a stream out, and write down what has been planned of it."""
        member = self._members.pop(request.slot)
        request.num_planned_tokens = self._position(member)
        del self._growth[(member.joined_at - member.start) % self._block_size][request.slot]
        ends = self._ends[member.last_tick]
        del ends[request.slot]
        if not ends:
            del self._ends[member.last_tick]
        self._num_kv_tokens -= request.num_planned_tokens + 1
        self._slots = None

    def growing(self) -> list[tuple[Request, int]]:
        """Who begins a block in the coming step, and how many tokens its blocks must then cover."""
        due = self._growth[self._tick % self._block_size]
        return [
            (self._members[slot].request, self._position(self._members[slot]) + 1) for slot in due
        ]

    def advance(self) -> list[Request]:
        """Take the coming step as planned.

        Returns:
            Streams whose last token was planned with it; they are taken out.
        """
        ending = [self._members[slot].request for slot in self._ends.get(self._tick, ())]
        self._tick += 1
        self._num_kv_tokens += len(self._members)
        for request in ending:
            self.remove(request)
        return ending

    def planned_tokens(self, request: Request) -> int:
        """What has been planned of a member so far."""
        return self._position(self._members[request.slot])

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless calendars and counts agree with the members."""
        growing = [slot for day in self._growth for slot in day]
        ending = [slot for slots in self._ends.values() for slot in slots]
        assert sorted(growing) == sorted(ending) == sorted(self._members), "calendars differ"
        positions = [self._position(member) + 1 for member in self._members.values()]
        assert self._num_kv_tokens == sum(positions), "KV tokens are miscounted"
        for slot, member in self._members.items():
            assert member.request.slot == slot, "a member is misfiled"
            assert member.last_tick >= self._tick, f"{member.request.request_id} ran too long"

    def _position(self, member: _Member) -> int:
        return member.start + self._tick - member.joined_at
