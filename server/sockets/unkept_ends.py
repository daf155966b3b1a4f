"""What becomes of a reply's end that could not be made safe: it is told as a failure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from server.errors import ProtocolError
from server.protocol.codec import decode_server_event
from server.protocol.objects import StatusDetails
from server.protocol.server_events import ResponseCreated, ResponseDone
from server.session.failures import describe


def ends_as_failed(dropped: Sequence[bytes], error: ProtocolError) -> list[ResponseDone]:
    """End those replies that the client has heard the beginning of.

    Args:
        dropped: Events, encoded, that will not be told.
        error: Why.
    """
    events = [decode_server_event(payload) for payload in dropped]
    unheard = {event.response.id for event in events if isinstance(event, ResponseCreated)}
    details = StatusDetails(type="failed", error=describe(error))
    return [
        ResponseDone(
            response=msgspec.structs.replace(
                event.response, status="failed", status_details=details, output=[]
            )
        )
        for event in events
        if isinstance(event, ResponseDone) and event.response.id not in unheard
    ]
