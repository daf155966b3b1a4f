"""What goes into one transaction, and what becomes of its parts when it fails.

Everything that waits goes together. A transaction that fails is taken apart and its writes are
tried one by one, so that one that cannot be kept does not take its neighbours with it. Where it was
nobody's fault, because the database itself is not there, nothing else is tried.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Sequence

from server.store.interface import Write
from server.store.writing import Erase, Job, Outcome

MAX_POISONED = 10_000
"""Writers of conversations that are remembered for a failed write; the oldest are forgotten."""


class TransactionFailed(Exception):
    """Nothing of a transaction is kept.

    Attributes:
        why: In words that quote nobody.
        is_for_all: Any other would fail as well now.
    """

    def __init__(self, why: str, *, is_for_all: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.is_for_all = is_for_all


class Poisoned:
    """Who may not go on writing to a conversation, because something before is missing."""

    def __init__(self) -> None:
        """Nobody yet."""
        self._keys: OrderedDict[tuple[str, str], str] = OrderedDict()

    def add(self, job: Job, why: str) -> None:
        """A write has failed."""
        if isinstance(job, Write):
            self._keys.setdefault((job.conversation_id, job.writer), why)
            if len(self._keys) > MAX_POISONED:
                self._keys.popitem(last=False)

    def why(self, job: Job) -> str | None:
        """Why something cannot be written any more; ``None`` where it can."""
        if not isinstance(job, Write):
            return None
        return self._keys.get((job.conversation_id, job.writer))


Told = Sequence[Outcome] | TransactionFailed
Attempts = Generator[list[Job], Told, list[Outcome]]


def attempt(jobs: Sequence[Job], poisoned: Poisoned) -> Attempts:
    """Say what to do in one transaction after the other.

    Args:
        jobs: In order.
        poisoned: Who may not go on; grows.

    Yields:
        Jobs; to be sent what each came to, or why nothing of them is kept.

    Returns:
        What became of each job, in order.
    """
    outcomes: list[Outcome] = []
    hopeless: str | None = None
    for group in _groups(jobs):
        alive = [job for job in group if poisoned.why(job) is None]
        if len(alive) > 1 and hopeless is None:
            told = yield alive
            if not isinstance(told, TransactionFailed):
                done = iter(told)
                for job in group:
                    why = poisoned.why(job)
                    outcomes.append(next(done) if why is None else Outcome(why=why))
                continue
            hopeless = told.why if told.is_for_all else None
        for job in group:
            why = poisoned.why(job) or hopeless
            if why is None:
                told = yield [job]
                if not isinstance(told, TransactionFailed):
                    outcomes.append(told[0])
                    continue
                why, hopeless = told.why, told.why if told.is_for_all else None
            poisoned.add(job, why)
            outcomes.append(Outcome(why=why))
    return outcomes


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Writes and claims that follow each other together, what is erased by itself."""
    groups: list[list[Job]] = []
    for job in jobs:
        if isinstance(job, Erase) or not groups or isinstance(groups[-1][0], Erase):
            groups.append([])
        groups[-1].append(job)
    return groups
