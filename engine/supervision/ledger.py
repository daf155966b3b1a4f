"""What is known of every live request, so that another engine can go on with it.

A request that was lost with its engine is submitted again with the tokens of its reply so far. To
the scheduler it is then one that was preempted: what follows is computed from the same tokens, at
the same places, so it is the same.

Some request may be what engines are lost by. Whoever was there at several losses in a row, and got
no token in between, is a *suspect*: suspects are let in one at a time, and the one that is there at
the next loss ends with an error. So the others survive it, and the engine does too.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.errors import EngineError, EngineRestarted
from engine.outputs import StepFrame, TokenOutput
from engine.playback import Playback
from engine.request import EngineRequest, FinishReason, RequestUpdate


class _Entry:
    """One live request.

    Attributes:
        request: As it was submitted; what has changed since is beside it.
        prompt_token_ids: With what was appended.
        is_sent: The present engine has it.
        num_losses: In a row, without a token in between.
        first: Cached tokens and seconds in the queue, as its first token told them.
        was_resumed: Another engine had it before.
        odd_updates: What the engine is going to refuse; kept, so that the next one does too.
    """

    __slots__ = (
        "first",
        "is_cancelled",
        "is_final",
        "is_sent",
        "num_losses",
        "odd_updates",
        "output_token_ids",
        "params",
        "playback",
        "prompt_token_ids",
        "request",
        "was_resumed",
    )

    def __init__(self, request: EngineRequest, *, is_sent: bool) -> None:
        self.request = request
        self.prompt_token_ids = list(request.prompt_token_ids)
        self.output_token_ids: list[int] = []
        self.params = request.params
        self.is_final = request.service.is_final
        listener = request.service.listener
        self.playback = (
            None if listener is None else Playback(listener.tokens_per_s, listener.reserve_s)
        )
        self.is_sent = is_sent
        self.is_cancelled = False
        self.num_losses = 0
        self.first: tuple[int, float] | None = None
        self.was_resumed = False
        self.odd_updates: list[RequestUpdate] = []

    def end(self, reason: FinishReason, error: EngineError | None = None) -> TokenOutput:
        """Return the terminal output that no engine will send."""
        num_cached_tokens, queue_s = self.first or (0, 0.0)
        return TokenOutput(
            request_id=self.request.request_id,
            token_ids=[],
            finish_reason=reason,
            num_prompt_tokens=len(self.prompt_token_ids),
            num_cached_tokens=num_cached_tokens,
            num_output_tokens=len(self.output_token_ids),
            queue_s=queue_s,
            error_code=None if error is None else error.code,
            error_message=None if error is None else error.message,
        )

    def resumed(self, now: float) -> tuple[EngineRequest, list[RequestUpdate]]:
        """Return what to submit, and what to tell of it behind that."""
        request = EngineRequest(
            request_id=self.request.request_id,
            prompt_token_ids=self.prompt_token_ids,
            params=self.params,
            service=msgspec.structs.replace(self.request.service, is_final=self.is_final),
            output_token_ids=self.output_token_ids,
            is_resumed=True,
        )
        updates = list(self.odd_updates)
        if self.playback is not None and self.output_token_ids:
            heard = self.playback.num_heard(now)
            updates.append(RequestUpdate(request_id=request.request_id, num_heard_tokens=heard))
        return request, updates


class RequestLedger:
    """Follows requests from their submission to their end, through any number of engines.

    Args:
        max_losses: Losses in a row that end a request.
    """

    def __init__(self, *, max_losses: int) -> None:
        self._max_losses = max_losses
        self._entries: dict[str, _Entry] = {}
        self._unread: set[str] = set()  # unfinished prompts that were there at the last loss
        self._num_held = 0

    def __len__(self) -> int:
        """Requests that have not ended."""
        return len(self._entries)

    @property
    def num_held(self) -> int:
        """Requests that the present engine has not been given."""
        return self._num_held

    @property
    def num_unanswered(self) -> int:
        """Requests without a token so far."""
        return sum(not entry.output_token_ids for entry in self._entries.values())

    def add(self, request: EngineRequest, *, is_sent: bool) -> None:
        """Take up a request, which is handed to the engine or waits for one."""
        self._entries[request.request_id] = _Entry(request, is_sent=is_sent)
        self._num_held += not is_sent

    def update(self, update: RequestUpdate, now: float) -> bool:
        """Take in news of a request.

        Args:
            update: Of an unknown request it is passed over.
            now: Seconds, rising.

        Returns:
            Whether the present engine is to be told.
        """
        entry = self._entries.get(update.request_id)
        if entry is None:
            return False
        if update.num_heard_tokens is not None and entry.playback is not None:
            entry.playback.report(update.num_heard_tokens, now)
        if update.token_ids or update.is_final:
            if entry.is_final:
                entry.odd_updates.append(update)
            else:
                entry.prompt_token_ids += update.token_ids
                entry.params = update.params or entry.params
                entry.is_final = update.is_final
                self._unread.discard(update.request_id)
        return entry.is_sent

    def cancel(self, request_id: str) -> tuple[bool, TokenOutput | None]:
        """Call a request off.

        Returns:
            Whether the present engine is to be told, and the request's end when it is not.
        """
        entry = self._entries.get(request_id)
        if entry is None:
            return False, None
        entry.is_cancelled = True
        if entry.is_sent:
            return True, None
        self._forget(request_id)
        return False, entry.end(FinishReason.ABORT)

    def take(self, frame: StepFrame, now: float) -> StepFrame:
        """Take in what a step brought.

        Returns:
            The frame for callers, changed in place: what it says of a resumed request's beginning
            is what the first engine said.
        """
        outputs = frame.outputs
        for index, output in enumerate(outputs):
            entry = self._entries.get(output.request_id)
            if entry is None:
                continue
            if entry.was_resumed and entry.first is not None:
                num_cached_tokens, queue_s = entry.first
                outputs[index] = output = msgspec.structs.replace(
                    output, num_cached_tokens=num_cached_tokens, queue_s=queue_s
                )
            if output.token_ids:
                self._take_tokens(entry, output, now)
            if output.finish_reason is not None:
                self._forget(output.request_id)
        if self._unread and frame.stats is not None:
            self._clear(request_id for request_id, _, _ in frame.stats.batch)
        return frame

    def lose(self) -> list[TokenOutput]:
        """Take note that the engine is lost.

        Returns:
            The ends of those that were called off, and of those that may be to blame.
        """
        ended = []
        for request_id, entry in list(self._entries.items()):
            if entry.is_sent:
                entry.num_losses += 1
                entry.was_resumed = True
                entry.is_sent = False
                self._num_held += 1
                if not entry.is_final:
                    self._unread.add(request_id)
            if entry.is_cancelled:
                ended.append(entry.end(FinishReason.ABORT))
            elif entry.num_losses >= self._max_losses:
                error = EngineRestarted(entry.num_losses)
                ended.append(entry.end(FinishReason.ERROR, error))
            else:
                continue
            self._forget(request_id)
        return ended

    def let_in(self, now: float) -> list[tuple[EngineRequest, list[RequestUpdate]]]:
        """Give out who may be handed to the present engine now.

        To be called when an engine is ready, and after each of its frames as long as anybody is
        held.

        Returns:
            Requests, oldest first, each with what has to be told of it behind its submission.
        """
        given = []
        has_suspect = any(e.is_sent and self._is_suspect(e) for e in self._entries.values())
        for entry in self._entries.values():
            if entry.is_sent:
                continue
            if self._is_suspect(entry):
                if has_suspect:
                    continue
                has_suspect = True
            entry.is_sent = True
            self._num_held -= 1
            given.append(entry.resumed(now))
        return given

    def check_integrity(self) -> None:
        """Raise ``AssertionError`` unless everybody is counted right."""
        entries = self._entries.values()
        assert self._num_held == sum(not e.is_sent for e in entries), "the held are miscounted"
        assert self._unread <= self._entries.keys(), "somebody has ended and is still here"
        suspects = [e for e in entries if e.is_sent and self._is_suspect(e)]
        assert len(suspects) <= 1, "suspects share an engine"
        for entry in entries:
            assert entry.num_losses < self._max_losses, "somebody should have been ended"
            assert entry.is_final or not entry.output_token_ids, "a reply to half a prompt"

    def _is_suspect(self, entry: _Entry) -> bool:
        return entry.num_losses >= self._max_losses - 1

    def _take_tokens(self, entry: _Entry, output: TokenOutput, now: float) -> None:
        entry.output_token_ids += output.token_ids
        entry.num_losses = 0
        if entry.first is None:
            entry.first = (output.num_cached_tokens, output.queue_s)
        if entry.playback is not None:
            for _ in output.token_ids:
                entry.playback.deliver(now)

    def _clear(self, computed: Iterable[str]) -> None:
        """An unfinished prompt brings no token; that it was computed speaks for it."""
        for request_id in self._unread.intersection(computed):
            self._entries[request_id].num_losses = 0
            self._unread.discard(request_id)

    def _forget(self, request_id: str) -> None:
        entry = self._entries.pop(request_id)
        self._num_held -= not entry.is_sent
        self._unread.discard(request_id)
