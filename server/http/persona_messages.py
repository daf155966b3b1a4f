"""Puts a character around the messages of a chat completion: head, lore and last instructions.

Nothing is remembered between requests, and nothing needs to be: which lore a message wakes is
decided by what stands before it, so going through the history again writes the same notes behind
the same messages, and the prompt still begins with the one before. Post-history instructions stand
at the end, as in other programs; what was computed is kept up to there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.chat_template import ChatMessage
from server.characters.persona import Persona
from server.lore.lore import Lore
from server.lore.scene import Scene

MAX_LOOKUPS = 20_000
"""Entries times messages; lore of messages further back than that is not looked for again."""


def with_persona(
    messages: Sequence[ChatMessage], persona: Persona, clock: Callable[[], float]
) -> list[ChatMessage]:
    """Write a prompt's messages.

    Args:
        messages: The client's.
        persona: Who speaks.
        clock: Seconds from any start; bounds what a card's regular expressions take.
    """
    placed = _with_lore(messages, persona, clock) if persona.books else list(messages)
    if persona.post_history:
        end = len(placed)
        while end and placed[end - 1].role == "assistant":
            end -= 1  # a reply that the client has begun is gone on with
        placed.insert(end, ChatMessage("system", persona.post_history))
    if persona.head:
        placed.insert(0, ChatMessage("system", persona.head))
    return placed


def _with_lore(
    messages: Sequence[ChatMessage], persona: Persona, clock: Callable[[], float]
) -> list[ChatMessage]:
    lore = Lore(persona.books, seed=persona.context.seed, clock=clock)
    num_turns = sum(message.role == "user" for message in messages)
    first = num_turns - MAX_LOOKUPS // max(len(lore), 1)
    placed: list[ChatMessage] = []
    said: list[ChatMessage] = []
    standing: list[str] = []
    for message in messages:
        placed.append(message)
        if message.role not in ("user", "assistant") or not message.content:
            continue
        said.append(message)
        if message.role == "assistant":
            continue
        turn = len(standing) + 1
        standing.append(str(turn))
        if turn <= first and turn < num_turns:
            continue
        scene = Scene(
            said=tuple(said),
            item_id=standing[-1],
            turn=turn,
            standing=frozenset(standing),
            hidden=persona.hidden,
            fill=persona.fill,
        )
        woken = lore.wake(scene)
        if woken:
            placed.append(ChatMessage("system", "\n".join(entry.text for entry in woken)))
    return placed
