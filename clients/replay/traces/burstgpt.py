"""BurstGPT's tables: who used two chat services of a campus, and with how many tokens.

``Timestamp`` in seconds, ``Model``, ``Request tokens``, ``Response tokens``, ``Total tokens``,
``Log Type``; newer files also ``Session ID``, which only conversations have, and ``Elapsed time``.
https://github.com/HPMLL/BurstGPT
"""

from __future__ import annotations

from collections import defaultdict

from clients.replay.script import Session
from clients.replay.traces.chains import Request, as_sessions
from clients.replay.traces.fields import Note, csv_rows
from clients.replay.traces.times import from_first

COLUMNS = ("Timestamp", "Request tokens", "Response tokens")


def parse_burstgpt(text: str, name: str, note: Note) -> list[Session]:
    """Return a session per conversation, and one per row that belongs to none.

    In a conversation a row's prompt contains the rows before it. Rows without a reply are
    failures of the service that was traced, and are left out.

    Raises:
        ScriptError: The table cannot be read.
    """
    conversations: dict[str, list[Request]] = defaultdict(list)
    num_failed = 0
    for number, row in enumerate(csv_rows(text, name, COLUMNS), start=1):
        time_s = row.number("Timestamp")
        asked, answered = row.tokens("Request tokens"), row.tokens("Response tokens")
        if asked == 0 or answered == 0:
            num_failed += 1
            continue
        key = row.text("Session ID").strip() or f"row-{number}"
        conversations[key].append(Request(time_s, asked, answered))
    if num_failed:
        note(
            f"{name}: rows without a reply are left out, {num_failed} of them: they failed when "
            "they were traced"
        )
    return from_first(
        [
            session
            for key, requests in conversations.items()
            for session in as_sessions(key, sorted(requests, key=lambda request: request.time_s))
        ]
    )
