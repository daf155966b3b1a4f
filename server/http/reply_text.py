"""A chat completion's text and calls, out of what its model writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.request import FinishReason
from server.text.tag_dialects import TagText
from server.text.tool_calls import (
    ArgumentsPiece,
    CallBegun,
    ReplyPiece,
    ToolCallParser,
    Words,
)

Delta = dict[str, object]
"""What a chunk of a stream adds to the message."""


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    def as_plain(self) -> dict[str, object]:
        function = {"name": self.name, "arguments": "".join(self.arguments)}
        return {"id": self.id, "type": "function", "function": function}


class ReplyText:
    """Reads one reply.

    Attributes:
        content: Its text so far, as the client asked to see it.
    """

    def __init__(self, tags: TagText, parser: ToolCallParser | None, call_stem: str) -> None:
        """Begin a reply.

        Args:
            tags: Shows text.
            parser: Finds calls; ``None`` where none is looked for.
            call_stem: Beginning of the calls' ids.
        """
        self.content = ""
        self._calls: list[_Call] = []
        self._tags = tags
        self._parser = parser
        self._call_stem = call_stem

    @property
    def calls(self) -> list[dict[str, object]]:
        """Its calls so far, in OpenAI's form."""
        return [call.as_plain() for call in self._calls]

    def feed(self, text: str) -> list[Delta]:
        """Take more of what the model writes; return what it adds to the message."""
        if self._parser is not None:
            return self._show(self._parser.feed(text))
        return self._show([Words(text)])

    def finish(self, reason: FinishReason, *, at_stop_string: bool = False) -> list[Delta]:
        """End the reply; a call or tag that may have begun is dropped where it was cut off.

        Args:
            reason: Why it ended.
            at_stop_string: It was a stop string, which may have cut a tag.
        """
        if reason is not FinishReason.STOP:
            return []
        deltas = [] if self._parser is None else self._show(self._parser.finish())
        return deltas + self._add_text(self._tags.finish(at_stop_string=at_stop_string))

    def finish_reason(self, reason: FinishReason) -> str:
        """Why it ended, in OpenAI's words."""
        return "tool_calls" if self._calls and reason is FinishReason.STOP else reason.value

    def _show(self, pieces: Iterable[ReplyPiece]) -> list[Delta]:
        deltas: list[Delta] = []
        for piece in pieces:
            match piece:
                case Words(text):
                    deltas += self._add_text(self._tags.feed(text))
                case CallBegun(name):
                    deltas += self._add_text(self._tags.finish())
                    deltas.append({"tool_calls": [self._begin_call(name)]})
                case ArgumentsPiece(text):
                    self._calls[-1].arguments.append(text)
                    more = {"index": len(self._calls) - 1, "function": {"arguments": text}}
                    deltas.append({"tool_calls": [more]})
        return deltas

    def _add_text(self, text: str) -> list[Delta]:
        self.content += text
        return [{"content": text}] if text else []

    def _begin_call(self, name: str) -> dict[str, object]:
        index = len(self._calls)
        call = _Call(f"{self._call_stem}{index}", name)
        self._calls.append(call)
        return {"index": index, **call.as_plain()}
