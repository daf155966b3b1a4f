"""Answers the audio events, which a text-mode client may send out of habit.

Clearing a buffer that is always empty succeeds; pipecat does it at every interruption, and dies of
any error. A stream of audio gets one error, not one per piece.
"""

from __future__ import annotations

from server.errors import ErrorCode, Unsupported
from server.protocol.client_events import (
    ClientEvent,
    InputAudioBufferAppend,
    InputAudioBufferClear,
)
from server.protocol.server_events import InputAudioBufferCleared, ServerEvent


class NoAudio:
    """Of one session."""

    def __init__(self) -> None:
        self._has_refused = False

    def answer(self, event: ClientEvent) -> list[ServerEvent]:
        """Say what can be said.

        Raises:
            Unsupported: It is audio.
        """
        if isinstance(event, InputAudioBufferClear):
            return [InputAudioBufferCleared()]
        if isinstance(event, InputAudioBufferAppend):
            if self._has_refused:
                return []
            self._has_refused = True
        raise Unsupported(
            f"{event.__struct_config__.tag}: this server speaks and reads text only; "
            "send conversation.item.create with an input_text",
            code=ErrorCode.UNSUPPORTED_MODALITY,
        )
