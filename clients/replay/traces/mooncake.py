"""Mooncake's traces (FAST'25): ``conversation``, ``toolagent``, ``synthetic``.

JSON lines with ``timestamp`` in milliseconds, ``input_length``, ``output_length`` and
``hash_ids``, one for each 512 tokens of the prompt; equal ids stand for equal prefixes.
https://github.com/kvcache-ai/Mooncake, FAST25-release/traces
"""

from __future__ import annotations

from clients.replay.script import ScriptError, Session, Turn
from clients.replay.traces.fields import Note, json_lines, shown
from clients.replay.traces.times import from_first

HASH_BLOCK = 512
_OTHERS = ("text_input", "messages", "payload", "session_id", "delay")


def parse_mooncake(text: str, name: str, note: Note) -> list[Session]:
    """Return one session of one turn per request.

    Raises:
        ScriptError: A line cannot be read, or has fields that aiperf added to the format.
    """
    sessions: list[Session] = []
    for record in json_lines(text, name):
        for key in _OTHERS:
            if key in record.fields:
                raise ScriptError(
                    f"{record.where}: {key} is {shown(record.fields[key])}; a Mooncake trace has "
                    "timestamp, input_length, output_length and hash_ids. Write what is said as a "
                    "script with 'turns'"
                )
        turn = Turn(
            input_tokens=record.tokens("input_length", least=1),
            output_tokens=record.tokens("output_length") or 1,
            hash_ids=record.hash_ids(),
            hash_block=HASH_BLOCK,
        )
        sessions.append(
            Session(
                session_id=f"request-{len(sessions) + 1}",
                start_s=record.number("timestamp") / 1e3,
                turns=[turn],
            )
        )
    return from_first(sessions)
