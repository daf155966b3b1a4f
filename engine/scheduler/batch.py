"""Who is in the batch, and what each of them does in the coming step."""

from __future__ import annotations

from bisect import insort

from engine.request import IN_BATCH, Request, RequestStatus
from engine.scheduler.decode_set import DecodeSet
from engine.scheduler.slots import SlotTable


class Batch:
    """The holders of slots: reading a prompt, decoding, asleep, or about to end.

    Args:
        num_slots: Sequences that may hold a slot.
        max_rows: Sequences computed in one step; less than ``num_slots`` where some may sleep.
        block_size: Tokens per block.
    """

    def __init__(self, num_slots: int, max_rows: int, block_size: int) -> None:
        self.slots = SlotTable(num_slots)
        self.decodes = DecodeSet(block_size)
        self.extending: list[Request] = []
        self._max_rows = max_rows
        self._num_asleep = 0

    def __len__(self) -> int:
        """Everybody in it."""
        return len(self.slots)

    @property
    def num_rows(self) -> int:
        """Sequences that compute something in the coming step."""
        return len(self.decodes) + len(self.extending)

    @property
    def has_row(self) -> bool:
        """Whether one more could be computed in the coming step."""
        return self.num_rows < self._max_rows

    @property
    def num_asleep(self) -> int:
        """Sequences that are skipped."""
        return self._num_asleep

    def join(self, request: Request, step: int) -> None:
        """Give a request a slot; it reads its prompt, in the order of keys."""
        self.slots.take(request, step)
        request.status = RequestStatus.EXTENDING
        insort(self.extending, request, key=lambda r: r.key)

    def begin_decoding(self, request: Request, longest: int) -> None:
        """Everything known of a request is planned: from the coming step on it decodes.

        Args:
            request: Was extending.
            longest: Tokens at which it ends.
        """
        self.extending.remove(request)
        if request.num_planned_tokens + 1 >= longest:
            request.status = RequestStatus.ENDING
        else:
            request.status = RequestStatus.DECODING
            self.decodes.add(request, longest=longest)

    def advance(self) -> None:
        """Take the decodes of the coming step as planned."""
        for request in self.decodes.advance():
            request.status = RequestStatus.ENDING

    def sleep(self, request: Request) -> None:
        """Skip a decoding stream until it is woken; it keeps slot and blocks."""
        self.decodes.remove(request)
        request.status = RequestStatus.ASLEEP
        self._num_asleep += 1

    def wake(self, request: Request, longest: int) -> None:
        """Let a sleeping stream decode from the coming step on."""
        self._num_asleep -= 1
        request.status = RequestStatus.DECODING
        self.decodes.add(request, longest=longest)

    def leave(self, request: Request) -> None:
        """Take a request out; what its status is from now on is for the caller to say."""
        match request.status:
            case RequestStatus.EXTENDING:
                self.extending.remove(request)
            case RequestStatus.DECODING:
                self.decodes.remove(request)
            case RequestStatus.ASLEEP:
                self._num_asleep -= 1
        self.slots.release(request)

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless everybody is where their status says."""
        self.decodes.check_integrity()
        holders = self.slots.holders()
        assert len(holders) == len(self.slots), "slots are miscounted"
        assert all(r.status in IN_BATCH for r in holders), "a slot is held wrongly"
        by_status = {s: {r for r in holders if r.status is s} for s in IN_BATCH}
        assert by_status[RequestStatus.EXTENDING] == set(self.extending)
        assert by_status[RequestStatus.DECODING] == set(self.decodes.requests)
        assert len(by_status[RequestStatus.ASLEEP]) == self._num_asleep
        assert self.num_rows <= self._max_rows, "too many rows"
        keys = [r.key for r in self.extending]
        assert keys == sorted(keys), "prompts are out of order"
