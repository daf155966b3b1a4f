"""Who is in the batch, and as what."""

from __future__ import annotations

from engine.request import Request, RequestStatus
from engine.scheduler.batch import Batch
from tests.engine.scheduler.requests import make_request


def make_batch() -> Batch:
    """Four slots, two rows, blocks of four."""
    return Batch(num_slots=4, max_rows=2, block_size=4)


def decoding(batch: Batch, name: str, *, longest: int = 100) -> Request:
    """Let a request join and plan its whole prompt."""
    request = make_request(name)
    batch.join(request, step=1)
    request.num_planned_tokens = request.num_tokens
    batch.begin_decoding(request, longest)
    return request


def test_prompts_are_read_in_the_order_of_keys() -> None:
    """Whoever is due first, whenever they joined."""
    batch = make_batch()
    for name, key in (("late", 2.0), ("soon", 1.0)):
        batch.join(make_request(name, key=key), step=1)
    assert [r.request_id for r in batch.extending] == ["soon", "late"]


def test_a_reply_of_one_token_ends_with_its_prompt() -> None:
    """It holds its slot, but no row, until that token has come."""
    batch = make_batch()
    request = decoding(batch, "short", longest=5)
    assert (request.status, batch.num_rows, len(batch)) == (RequestStatus.ENDING, 0, 1)


def test_sleepers_hold_a_slot_and_no_row() -> None:
    """Two rows serve three streams if one of them sleeps."""
    batch = make_batch()
    first = decoding(batch, "first")
    decoding(batch, "second")
    assert not batch.has_row
    batch.sleep(first)
    decoding(batch, "third")
    batch.check_integrity()
    assert (len(batch), batch.num_rows, batch.num_asleep) == (3, 2, 1)


def test_whoever_leaves_is_gone_from_everywhere() -> None:
    """Reading, decoding, asleep, or about to end."""
    batch = make_batch()
    asleep, awake = decoding(batch, "asleep"), decoding(batch, "awake")
    batch.sleep(asleep)
    reading = make_request("reading")
    batch.join(reading, step=2)
    batch.leave(awake)
    ending = decoding(batch, "ending", longest=5)
    for request in (asleep, reading, ending):
        batch.leave(request)
        request.status = RequestStatus.FINISHED
    batch.check_integrity()
    assert (len(batch), batch.num_rows, batch.num_asleep) == (0, 0, 0)
