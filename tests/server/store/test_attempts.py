"""One transaction where it can be, one by one where it must."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from server.store import attempts
from server.store.attempts import Poisoned, Told, TransactionFailed, attempt
from server.store.interface import Write
from server.store.writing import Erase, Job, Outcome


def job(conversation_id: str, writer: str = "w") -> Write:
    """A write, known by its conversation."""
    return Write(
        principal="mio",
        conversation_id=conversation_id,
        model="aoi",
        at=1.0,
        begins=True,
        changes=(),
        writer=writer,
    )


def play(
    jobs: Sequence[Job], database: Callable[[list[Job]], Told], poisoned: Poisoned | None = None
) -> tuple[list[Outcome], list[list[Job]]]:
    """Do what is asked for; returns what became of the jobs, and the transactions."""
    transactions: list[list[Job]] = []
    steps = attempt(jobs, poisoned or Poisoned())
    try:
        group = next(steps)
        while True:
            transactions.append(group)
            group = steps.send(database(group))
    except StopIteration as stop:
        return stop.value, transactions


def refuses(*names: str) -> Callable[[list[Job]], Told]:
    """A database that cannot keep some conversations, and erases three of each."""

    def answer(group: list[Job]) -> Told:
        if any(isinstance(one, Write) and one.conversation_id in names for one in group):
            return TransactionFailed("it is bad")
        return [Outcome(3 if isinstance(one, Erase) else 0) for one in group]

    return answer


def test_all_that_waits_goes_together() -> None:
    """One transaction."""
    jobs = [job("a"), job("b"), job("a")]
    assert play(jobs, refuses()) == ([Outcome()] * 3, [jobs])


def test_what_is_erased_goes_by_itself_and_in_order() -> None:
    """It tells how many there were."""
    jobs: list[Job] = [job("a"), job("b"), Erase("mio", None), job("c")]
    outcomes, transactions = play(jobs, refuses())
    assert transactions == [jobs[:2], [jobs[2]], [jobs[3]]]
    assert outcomes[2] == Outcome(num_found=3)


def test_a_bad_one_fails_alone_and_whoever_wrote_it_goes_on_with_nothing() -> None:
    """Others may go on with the same conversation, and the same writer with others."""
    jobs = [job("a"), job("bad"), job("b"), job("bad"), job("bad", "v"), job("c")]
    poisoned = Poisoned()
    outcomes, transactions = play(jobs, refuses("bad"), poisoned)
    assert [one.why for one in outcomes] == [
        None,
        "it is bad",
        None,
        "it is bad",
        "it is bad",
        None,
    ]
    assert [len(group) for group in transactions] == [6, 1, 1, 1, 1, 1]
    outcomes, transactions = play([job("bad"), job("bad", "u"), job("a")], refuses(), poisoned)
    assert [one.why for one in outcomes] == ["it is bad", None, None]
    assert [len(group) for group in transactions] == [2]


def test_a_single_one_is_not_tried_twice() -> None:
    """It was alone already."""
    outcomes, transactions = play([job("bad")], refuses("bad"))
    assert (outcomes, len(transactions)) == ([Outcome(why="it is bad")], 1)


def test_where_the_database_is_away_nothing_else_is_tried() -> None:
    """Everything that waits fails, and everybody's conversations with it."""
    poisoned = Poisoned()
    jobs: list[Job] = [job("a"), job("b"), Erase("mio", "c"), job("d")]
    outcomes, transactions = play(
        jobs, lambda _: TransactionFailed("away", is_for_all=True), poisoned
    )
    assert (outcomes, len(transactions)) == ([Outcome(why="away")] * 4, 1)
    assert [poisoned.why(one) for one in jobs] == ["away", "away", None, "away"]


def test_it_may_go_away_between_two() -> None:
    """What was kept until then stays kept."""
    answers: list[Told] = [
        TransactionFailed("it is bad"),
        [Outcome()],
        TransactionFailed("away", is_for_all=True),
    ]
    outcomes, _ = play([job("a"), job("b"), job("c")], lambda _: answers.pop(0))
    assert [one.why for one in outcomes] == [None, "away", "away"]


def test_the_memory_for_failures_is_bounded() -> None:
    """The oldest is forgotten."""
    poisoned = Poisoned()
    for number in range(attempts.MAX_POISONED + 1):
        poisoned.add(job(str(number)), "bad")
    assert poisoned.why(job("0")) is None
    assert poisoned.why(job("1")) == "bad"
