"""Which of the things that a character knows come up with a user's message.

Entries are *woken* by what was said, in rounds: first by the words themselves, then, where the book
scans recursively, by the entries of the round before. What is woken is written behind the user's
message for good (a *frozen note*), so the prompt only grows and its computed beginning is kept. So
an entry that still stands in what the model reads is matched again, but not written again; it is
written anew once its turn has left the context, or stands far back.

Everything is decided by the scene and the seed: the same conversation has the same lore. Constant
entries are part of the head (``server.lore.rules.stands_in_head``) and not woken here.

A token budget bounds what one turn adds, not what stands: that is the context's to bound. Within a
round higher priority is served first, then higher insertion order. What does not fit stays away
this time, as if it had not been matched. In the note a lower insertion order comes first.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from server.cards.lorebook import Lorebook, LoreEntry
from server.cards.macros import hidden_keys
from server.errors import LimitExceeded
from server.lore.groups import without_rivals
from server.lore.keys import KeyFinder, KeyStyle, Scanned
from server.lore.known import Known
from server.lore.rules import Rules, rules_of, stands_in_head
from server.lore.scene import Scene, Window

DEFAULT_SCAN_DEPTH = 4
"""Messages that are searched where neither book nor entry says how many."""
DEFAULT_TOKEN_BUDGET = 1024
"""Of a book that has none, for one turn."""
MAX_ROUNDS = 8
"""The words themselves, and what entries wake in turn."""
MAX_KEPT = 16
"""Characters whose lore stays read, so that the next session with one need not read it again."""
MAX_KEYS = 20_000
"""Of all books together; each is looked for behind every message of the user."""


@dataclass(frozen=True, slots=True)
class Woken:
    """An entry that has come up.

    Attributes:
        id: The entry's own.
        name: The entry's own.
        text: What the model is to read.
    """

    id: str
    name: str
    text: str


@dataclass(slots=True)
class _Found:
    """What has come up in one turn so far.

    Attributes:
        active: Entries that count as said, written or not.
        new: Those of them that are to be written, with their text.
        spent: Tokens, by book.
        left_out: Entries for which there was no room.
    """

    active: list[Known] = field(default_factory=list)
    new: list[tuple[Known, str]] = field(default_factory=list)
    spent: dict[int, float] = field(default_factory=dict)
    left_out: list[Known] = field(default_factory=list)


class Lore:
    """The lorebooks of one session, and where their entries stand.

    Args:
        books: Whose entries may come up.
        seed: Of chances and groups.
        characters_per_token: Of the texts, about; for budgets.
        clock: Seconds from any start, to bound what regular expressions take; best the processor's,
            as on a busy machine the wall's would leave good ones out (``time.thread_time``).

    Raises:
        LimitExceeded: The books have too many keys.
    """

    def __init__(
        self,
        books: Sequence[Lorebook],
        *,
        seed: int,
        characters_per_token: float = 3.0,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._books = tuple(books)
        _check_keys(self._books)
        self._seed = seed
        self._characters_per_token = characters_per_token
        self._finder = KeyFinder(clock)
        self._known = [
            Known(entry, rules, number, place)
            for place, (number, entry, rules) in enumerate(_read(_Same(self._books)))
        ]

    def __len__(self) -> int:
        return len(self._known)

    def take_problems(self) -> list[str]:
        """Sentences for the log about patterns that were switched off, each once."""
        return self._finder.take_problems()

    def wake(self, scene: Scene) -> list[Woken]:
        """Decide what is written behind a user's message, and remember that it stands there.

        Returns:
            In the order of the note.
        """
        self._finder.begin_turn()
        window, found = Window(scene), _Found()
        candidates = [known for known in self._known if self._may_come(known, scene)]
        for number in range(MAX_ROUNDS):
            fresh = list(self._round(number, candidates, found, window, scene))
            if not fresh:
                break
            fresh = without_rivals(fresh, found.active, scene, self._draw)
            self._take(fresh, found, scene)
        for known in found.active:
            known.matched(scene.message_number)
        for known, _ in found.new:
            known.item_id, known.turn = scene.item_id, scene.turn
        found.new.sort(key=lambda one: (one[0].entry.insertion_order, one[0].place))
        return [Woken(known.entry.id, known.entry.name, text) for known, text in found.new]

    def _may_come(self, known: Known, scene: Scene) -> bool:
        """Whether anything that is said could wake it now."""
        rules = known.rules
        if rules.is_off or (rules.is_once and known.has_matched):
            return False
        if rules.is_certain:
            return True
        if scene.replies < rules.after or (rules.every > 1 and scene.replies % rules.every):
            return False
        if rules.greeting is not None and scene.greeting not in (None, rules.greeting):
            return False
        if known.is_sticky(scene):
            return True
        number = scene.message_number
        return number >= rules.delay and number > known.cooldown_until

    def _round(
        self,
        number: int,
        candidates: Sequence[Known],
        found: _Found,
        window: Window,
        scene: Scene,
    ) -> Iterator[Known]:
        """What matches in one round; the first has the words alone."""
        wakers = [known for known in found.active if not known.rules.stops_recursion]
        texts = [self._findable(known, scene) for known in wakers if self._recurses(known)]
        if number and not texts:
            return
        told = (Scanned.of("\n".join(texts)),) if texts else ()
        decided = {known.place for known in (*found.active, *found.left_out)}
        for known in candidates:
            if known.place in decided:
                continue
            rules = known.rules
            if number and (rules.ignores_recursion or not self._recurses(known)):
                continue
            if rules.recursion_level > number and not known.is_sticky(scene):
                continue
            if self._matches(known, scene, (window.newest(self._depth(known)), *told)):
                yield known

    def _matches(self, known: Known, scene: Scene, texts: Sequence[Scanned]) -> bool:
        rules = known.rules

        def are_said(keys: Iterable[str], style: KeyStyle) -> Iterator[bool]:
            for key in keys:
                key = scene.fill(key) if "{{" in key or "<" in key else key
                yield any(self._finder.finds(key, text, style) for text in texts)

        if known.is_sticky(scene) or rules.is_certain or (rules.keeps and known.has_matched):
            return True
        if not rules.is_free:
            if not any(are_said(known.entry.keys, rules.style)):
                return False
            seconds = list(are_said(rules.secondary_keys, rules.plain_style))
            if seconds and not rules.logic.holds(seconds):
                return False
        if not all(any(are_said(keys, rules.style)) for keys in rules.additional):
            return False
        if any(are_said(rules.excluded, rules.plain_style)):
            return False
        if rules.probability >= 1:
            return True
        return self._draw(f"chance:{known.place}", scene).random() < rules.probability

    def _take(self, fresh: Sequence[Known], found: _Found, scene: Scene) -> None:
        """Let what has matched come up, as far as the budget goes."""

        def rank(known: Known) -> tuple[bool, float, float, int]:
            entry = known.entry
            return (known.rules.goes_first, -entry.priority, -entry.insertion_order, known.place)

        for known in sorted(fresh, key=rank):
            if known.is_standing(scene):
                found.active.append(known)
                continue
            text = scene.fill(known.entry.content).strip()
            cost = len(text) / self._characters_per_token
            spent = found.spent.get(known.book, 0.0) + cost
            budget = self._books[known.book].token_budget
            limit = DEFAULT_TOKEN_BUDGET if budget is None else budget
            if spent > limit and not known.rules.ignores_budget:
                found.left_out.append(known)
                continue
            found.spent[known.book] = spent
            found.active.append(known)
            if text:
                found.new.append((known, text))

    def _findable(self, known: Known, scene: Scene) -> str:
        """An entry's content as others find keys in it, hidden ones too."""
        content = known.entry.content
        return "\n".join([scene.fill(content), *hidden_keys(content)])

    def _recurses(self, known: Known) -> bool:
        return self._books[known.book].recursive_scanning

    def _depth(self, known: Known) -> int:
        depth, book = known.rules.scan_depth, self._books[known.book].scan_depth
        if depth is None:
            depth = DEFAULT_SCAN_DEPTH if book is None else book
        return max(depth, 0)

    def _draw(self, what: str, scene: Scene) -> random.Random:
        """A source of chance for one thing in one turn."""
        return random.Random(f"{self._seed}:{scene.turn}:{what}")


class _Same:
    """Books that are the same only if they are the very same objects."""

    __slots__ = ("books",)

    def __init__(self, books: tuple[Lorebook, ...]) -> None:
        self.books = books

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Same)
            and len(self.books) == len(other.books)
            and all(a is b for a, b in zip(self.books, other.books, strict=True))
        )

    def __hash__(self) -> int:
        return hash(tuple(map(id, self.books)))


@functools.lru_cache(maxsize=MAX_KEPT)
def _read(same: _Same) -> tuple[tuple[int, LoreEntry, Rules], ...]:
    """What may come up, with its book's number; all sessions with a character share it."""
    return tuple(
        (number, entry, rules_of(entry))
        for number, book in enumerate(same.books)
        for entry in book.entries
        if not stands_in_head(entry)
    )


def _check_keys(books: Sequence[Lorebook]) -> None:
    count = sum(
        len(entry.keys) + len(entry.secondary_keys) for book in books for entry in book.entries
    )
    if count > MAX_KEYS:
        raise LimitExceeded(
            "the number of keys in all lorebooks",
            count,
            MAX_KEYS,
            "use a smaller book, or switch lore off",
            param="session.character",
        )
