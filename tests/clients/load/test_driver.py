"""The driver does what the player decides at the very moment, and keeps true records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from clients.load.driver import Driver
from clients.replay.records import RequestRecord
from clients.replay.script import Fault, Session, Turn
from clients.replay.texts import SessionTexts, make_texts
from tests.clients.load.scripted_target import Reply, ScriptedTarget


class Words:
    """Says who it is and which turn."""

    def opening(self, session: Session) -> str:
        """The persona's name."""
        return session.persona

    def turn(self, session: Session, index: int) -> str:
        """Session and turn."""
        return f"{session.session_id} {index}"


def texts_of(sessions: Sequence[Session]) -> SessionTexts:
    """What they say."""
    return make_texts(sessions, Words())


async def play(
    sessions: Sequence[Session],
    target: ScriptedTarget,
    *,
    max_sessions: int | None = None,
    report_every_s: float | None = None,
) -> list[RequestRecord]:
    """Play from second 2 of the loop's clock on."""
    loop = asyncio.get_running_loop()
    driver = Driver(
        sessions,
        texts_of(sessions),
        target,
        starts_at=2.0,
        clock=loop.time,
        max_sessions=max_sessions,
        report_every_s=report_every_s,
    )
    return await driver.run()


def session(name: str, start_s: float = 0.0, *turns: Turn, speed: float = 5.5) -> Session:
    """A session with one turn unless more are given."""
    chosen = list(turns) or [Turn(input_tokens=3, output_tokens=2)]
    return Session(
        session_id=name, start_s=start_s, turns=chosen, persona="aoi", tokens_per_s=speed
    )


async def test_each_session_opens_a_second_ahead_and_asks_when_its_time_has_come() -> None:
    """However slow the others' replies are: the loop is open between sessions."""
    target = ScriptedTarget(lambda session_id, index: Reply(end_s=50.0))
    await play([session("b", 4.0), session("a", 0.5)], target)
    assert [(round(at, 3), name, persona) for at, name, persona in target.opened] == [
        (1.5, "a", "aoi"),
        (5.0, "b", "aoi"),
    ]
    assert [(round(at, 3), text) for at, _, text in target.asked] == [(2.5, "a 0"), (6.0, "b 0")]


async def test_known_delays_are_reported_to_the_microsecond() -> None:
    """The first token, every gap, and the end."""
    reply = Reply(((0.12, "a"), (0.2, "bc"), (0.75, "d")), 0.8)
    (record,) = await play([session("a", 1.0)], ScriptedTarget(lambda *_: reply))
    assert record.sent_s == pytest.approx(1.0, abs=1e-6)
    assert record.planned_s == pytest.approx(1.0, abs=1e-6)
    assert record.lag_s == pytest.approx(0.0, abs=1e-6)
    assert record.token_times_s == pytest.approx([1.12, 1.2, 1.75], abs=1e-6)
    assert record.ended_s == pytest.approx(1.8, abs=1e-6)
    assert (record.finish, record.error_code) == ("length", None)


async def test_tokens_of_merged_pieces_are_spread_by_the_targets_own_count() -> None:
    """Three pieces that were six tokens; the longest held the most."""
    reply = Reply(((0.1, "a"), (0.2, "bbbbbb"), (0.3, "c")), 0.4, num_tokens=6)
    (record,) = await play([session("a")], ScriptedTarget(lambda *_: reply))
    assert record.output_tokens == 6
    assert record.token_times_s == pytest.approx([0.1, 0.2, 0.2, 0.2, 0.3, 0.3], abs=1e-6)


async def test_the_next_turn_waits_for_the_reader() -> None:
    """Two tokens at one a second are read a second after the second one's turn has come."""
    turns = [Turn(input_tokens=1), Turn(input_tokens=1, think_s=3.0)]
    target = ScriptedTarget()
    await play([session("a", 0.0, *turns, speed=1.0)], target)
    first, second = (at for at, _, _ in target.asked)
    assert second - first == pytest.approx(0.1 + 1.0 + 3.0, abs=1e-6)


async def test_an_error_ends_the_session_and_nobody_elses() -> None:
    """It has no second turn; the other one has."""
    turns = (Turn(input_tokens=1), Turn(input_tokens=1, after="final"))

    def reply(session_id: str, index: int) -> Reply:
        return Reply(error_code="queue_full" if session_id == "a" else None)

    target = ScriptedTarget(reply)
    records = await play([session("a", 0.0, *turns), session("b", 0.0, *turns)], target)
    assert [record.request_id for record in records] == ["a/0", "b/0", "b/1"]
    assert records[0].error_code == "queue_full"
    assert sorted(target.closed) == ["a", "b"]


async def test_an_interruption_leaves_in_time_and_its_answer_is_timed() -> None:
    """A reply of ten seconds, cut after one; the target needs 0.1 s to obey."""
    reply = Reply(tuple((0.1 * n, "x") for n in range(1, 100)), 10.0)
    target = ScriptedTarget(lambda *_: reply)
    (record,) = await play([session("a", 0.0, Turn(input_tokens=1, barge_in_s=1.0))], target)
    ((cancelled_at, _),) = target.cancelled
    assert cancelled_at == pytest.approx(3.0, abs=1e-6)
    assert record.cancelled_s == pytest.approx(1.0, abs=1e-6)
    assert record.cancel_acked_s == pytest.approx(1.1, abs=1e-6)
    assert record.finish == "abort"


async def test_a_reply_that_never_ends_is_given_up() -> None:
    """As an error, which ends its session; nothing hangs."""
    target = ScriptedTarget(lambda *_: Reply(end_s=1e9))
    turns = [Turn(input_tokens=1), Turn(input_tokens=1)]
    (record,) = await play([session("a", 0.0, *turns)], target)
    assert (record.finish, record.error_code) == ("error", "timeout")
    assert record.ended_s == pytest.approx(600.0, abs=1e-6)
    assert target.closed == ["a"]


async def test_faults_come_when_the_script_says() -> None:
    """After the question, in order of time."""
    faults = (Fault(0.2, "stall", 1.0), Fault(0.1, "drop"))
    target = ScriptedTarget()
    await play([session("a", 0.0, Turn(input_tokens=1, faults=faults))], target)
    assert [(round(at, 3), fault) for at, fault in target.broken] == [
        (2.1, faults[1]),
        (2.2, faults[0]),
    ]


async def test_a_closed_loop_never_has_more_sessions_at_a_time() -> None:
    """The next begins when one is over."""
    target = ScriptedTarget()
    await play([session(str(n), 100.0) for n in range(5)], target, max_sessions=2)
    began = [round(at - 2.0, 2) for at, _, _ in target.asked]
    assert began == [0.0, 0.0, 0.25, 0.25, 0.5]


async def test_playback_is_reported_in_code_points() -> None:
    """Both pieces have been begun after half a second, eight code points."""
    target = ScriptedTarget(lambda *_: Reply(end_s=2.0))
    await play([session("a", speed=100.0)], target, report_every_s=0.5)
    at, num_chars = target.reported[0]
    assert (round(at, 3), num_chars) == (2.5, 8)


async def test_a_workload_without_turns_is_over_at_once() -> None:
    """Nobody waits for nothing."""
    assert await play([Session(session_id="a", start_s=0.0)], ScriptedTarget()) == []
