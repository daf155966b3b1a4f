"""What a client process is told arrives as it was meant."""

from __future__ import annotations

import msgspec

from clients.load.completions import CompletionsTarget
from clients.load.job import Job, TargetSpec
from clients.load.kaiwa import KaiwaTarget
from clients.replay.script import Fault, Session, Turn
from tests.clients.load.test_driver import texts_of


def test_a_share_is_the_same_on_the_other_side() -> None:
    """Faults, words and settings included."""
    turn = Turn(input_tokens=3, text="良い夜", barge_in_s=0.5, faults=(Fault(0.1, "drop", 0.2),))
    session = Session(session_id="a", start_s=0.5, turns=[turn], persona_text="You are Aoi.")
    target = TargetSpec(kind="chat", url="http://a", fields={"temperature": 0})
    job = Job(target=target, sessions=[session], texts=texts_of([session]), max_sessions=2)
    assert msgspec.json.decode(msgspec.json.encode(job), type=Job) == job


def test_a_target_is_made_of_its_kind() -> None:
    """Within the process that will use it."""
    assert isinstance(TargetSpec(kind="kaiwa", url="ws://a").make(), KaiwaTarget)
    assert isinstance(TargetSpec(kind="chat", url="http://a").make(), CompletionsTarget)
