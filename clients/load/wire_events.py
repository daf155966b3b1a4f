"""Reads what a Kaiwa server says on one session, over any number of sockets; no socket here.

Ids of events rise by one over the whole session (docs/wire.md), so what never came and what came
twice is seen by their numbers, whatever the text says.
"""

from __future__ import annotations

import msgspec

from clients.load.line import LineListener, ReplyEnd

AGAIN = "-again"
"""Behind the event id of a question that is asked once more, because it got lost on its way."""

_FINISH = {"completed": "stop", "incomplete": "length", "cancelled": "abort", "failed": "error"}


class _Resume(msgspec.Struct):
    token: str = ""
    resumed: bool = False
    gap: bool = False
    replayed: int = 0


class _Session(msgspec.Struct):
    resume: _Resume | None = None


class _Cached(msgspec.Struct):
    cached_tokens: int = 0


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: _Cached = msgspec.field(default_factory=_Cached)


class _Error(msgspec.Struct):
    code: str | None = None
    type: str | None = None
    event_id: str | None = None


class _Details(msgspec.Struct):
    error: _Error | None = None


class _Response(msgspec.Struct):
    id: str = ""
    status: str = ""
    status_details: _Details | None = None
    usage: _Usage | None = None


class _Gaps(msgspec.Struct):
    p50: float | None = None
    p95: float | None = None
    max: float | None = None


class _Metrics(msgspec.Struct):
    ttft_ms: float | None = None
    queue_ms: float | None = None
    prefill_ms: float | None = None
    total_ms: float | None = None
    first_segment_ms: float | None = None
    itl_ms: _Gaps | None = None


class _Event(msgspec.Struct):
    type: str
    event_id: str = ""
    delta: str = ""
    text: str = ""
    item_id: str = ""
    kind: str = ""
    session: _Session | None = None
    response: _Response | None = None
    error: _Error | None = None
    x_metrics: _Metrics | None = None


class WireEvents:
    """Follows one session.

    Attributes:
        resume_token: To come back with; empty where the server gives none.
        last_event_id: Of the newest event that was read.
        item_id: Of the newest message; empty before the first.
        is_greeted: Whether a session has begun or been resumed on the present socket.
        was_resumed: Whether the last greeting went on with the session.
        is_set_up: Whether the session has answered to its settings.
    """

    def __init__(self, listener: LineListener) -> None:
        """Wait for the greeting."""
        self._listener = listener
        self._decode = msgspec.json.Decoder(_Event).decode
        self._last_number = 0
        self._asked = ""  # the event id of the question that waits for its end
        self._text: list[str] = []
        self._stated: list[str] = []
        self._has_segment = False
        self._is_begun = False  # of the reply that is waited for
        self._num_missed = 0  # events that a resumed session is still to be told
        self.resume_token = ""
        self.last_event_id = ""
        self.item_id = ""
        self.is_greeted = False
        self.was_resumed = False
        self.is_set_up = False

    @property
    def is_unheard(self) -> bool:
        """Whether a question has no reply, although all that was missed has been told."""
        return bool(self._asked) and not self._is_begun and self._num_missed == 0

    def asked(self, event_id: str) -> None:
        """A question leaves, under this event id."""
        self._asked = event_id
        self._text, self._stated = [], []
        self._has_segment = self._is_begun = False

    def lost(self) -> None:
        """The socket is gone; the next one greets again."""
        self.is_greeted = False

    def broken(self, code: str) -> None:
        """No end will come of what was asked."""
        if self._asked:
            self._asked = ""
            self._listener.on_end(ReplyEnd(finish="error", error_code=code))

    def take(self, message: str | bytes) -> None:
        """Read one message.

        Raises:
            msgspec.MsgspecError: It is no event of such a server.
        """
        event = self._decode(message)
        is_greeting = event.type == "session.created"
        if is_greeting:
            self._greet(event)
        elif self._num_missed:
            self._num_missed -= 1
        if self._is_repeated(event.event_id, is_first=is_greeting and not self.was_resumed):
            return  # as a client does that trusts the numbers
        match event.type:
            case "session.updated":
                self.is_set_up = True
            case "response.created":
                self._is_begun = True
            case "response.output_text.delta":
                self._is_begun = True  # its beginning may be in a gap
                self.item_id = event.item_id
                self._text.append(event.delta)
                self._listener.on_text(event.delta)
            case "response.output_text.done":
                self._stated.append(event.text)
            case "character.segment":
                if self._asked and not self._has_segment and event.kind == "speech":
                    self._has_segment = True
                    self._listener.on_first_segment()
            case "response.done" if event.response is not None:
                self._end(event.response, event.x_metrics)
            case "error" if event.error is not None:
                self._refused(event.error)

    def _refused(self, error: _Error) -> None:
        is_again = error.event_id == self._asked + AGAIN
        if is_again and error.code == "conversation_already_has_active_response":
            return  # it had been heard after all
        if self._asked and (is_again or error.event_id == self._asked):
            self.broken(error.code or error.type or "unknown")

    def _greet(self, event: _Event) -> None:
        resume = event.session.resume if event.session is not None else None
        self.is_greeted = True
        self.was_resumed = resume is not None and resume.resumed
        self.resume_token = "" if resume is None else resume.token
        self._num_missed = 0 if resume is None else resume.replayed
        self.is_set_up = self.is_set_up and self.was_resumed
        if self.was_resumed:
            self._listener.on_resumed()
            if resume is not None and resume.gap:
                self._listener.on_disorder(num_gaps=1)

    def _is_repeated(self, event_id: str, *, is_first: bool) -> bool:
        """Count an event by its number; tells whether it came before."""
        stem, _, digits = event_id.rpartition("_")
        if not stem or not digits.isdecimal():
            return False
        number = int(digits)
        if not is_first and number <= self._last_number:
            self._listener.on_disorder(num_duplicates=1)
            return True
        if not is_first and number > self._last_number + 1:
            self._listener.on_disorder(num_gaps=number - self._last_number - 1)
        self.last_event_id, self._last_number = event_id, number
        return False

    def _end(self, response: _Response, metrics: _Metrics | None) -> None:
        if not self._asked:
            return
        self._asked = ""
        error = response.status_details.error if response.status_details is not None else None
        code = (error.code or error.type) if error is not None else None
        usage = response.usage
        end = ReplyEnd(
            finish=_FINISH.get(response.status, "error"),
            error_code=code or ("unknown" if response.status == "failed" else None),
            prompt_tokens=0 if usage is None else usage.input_tokens,
            cached_tokens=None if usage is None else usage.input_token_details.cached_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
            server_ms=_timings(metrics),
            text_differs="".join(self._text) != "".join(self._stated),
        )
        self._listener.on_end(end)


def _timings(metrics: _Metrics | None) -> dict[str, float]:
    if metrics is None:
        return {}
    told = {
        "queue": metrics.queue_ms,
        "prefill": metrics.prefill_ms,
        "ttft": metrics.ttft_ms,
        "first_segment": metrics.first_segment_ms,
        "itl_p50": None if metrics.itl_ms is None else metrics.itl_ms.p50,
        "total": metrics.total_ms,
    }
    return {name: value for name, value in told.items() if value is not None}
