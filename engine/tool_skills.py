"""What a chat template does with tools, found out by trial renderings when it is loaded.

A made-up conversation with a call is rendered; what stands around the call's name and its arguments
is the dialect in which the model writes calls. A template that does not show tools, calls and
results, or whose calls are no JSON objects, is not *native*: all three are then written as text.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from engine.tool_dialect import HERMES, Tool, ToolCall, ToolDialect, read_arguments

Render = Callable[[list[dict[str, Any]], list[dict[str, Any]] | None], str]
"""Renders plain messages and tools with a chat template; raises what the template raises."""

_HEAD = re.compile(
    r'(?P<marker>[^{\["]*(?:\[[A-Z_]+\])?)\s*(?P<array>\[)?\s*\{[^{}\[\]]*"(?P<key>\w+)":\s*"'
)
_MIDDLE = re.compile(r'",\s*"(?P<key>\w+)":\s*')
_TAIL = re.compile(r"\s*\}\s*(?P<array>\])?\s*(?P<marker>.*)", re.DOTALL)
_ID_MEMBER = re.compile(r',\s*"id":\s*"(?:call_)?trialid\d\d"')
_TRIAL_IDS = ("trialid00", "trialid11")  # nine letters and digits, which Mistral's template demands
_PLAIN = "trialtext"


class ToolSkills(msgspec.Struct, frozen=True, kw_only=True):
    """What a template was found to do with tools.

    Attributes:
        dialect: How calls are written.
        is_native: The template shows tools, calls and results by itself.
        text_arguments: It wants arguments as JSON text and not as an object.
        short_ids: It wants ids of nine letters and digits.
    """

    dialect: ToolDialect = HERMES
    is_native: bool = False
    text_arguments: bool = False
    short_ids: bool = False

    @classmethod
    def of(cls, render: Render, *, has_system: bool) -> ToolSkills:
        """Find out by trial renderings what a template can do.

        Args:
            render: The template.
            has_system: Whether it shows system texts; only then tools have to stand beside one.
        """
        for short_ids in (False, True):
            for text_arguments in (False, True):
                trial = _Trial(render, short_ids=short_ids, text_arguments=text_arguments)
                dialect = trial.read_dialect()
                if dialect is not None and trial.shows_tools(has_system) and trial.shows_results():
                    return cls(
                        dialect=dialect,
                        is_native=True,
                        text_arguments=text_arguments,
                        short_ids=short_ids,
                    )
        return cls()

    def plain_call(self, call: ToolCall) -> dict[str, Any]:
        """The form in which the template wants a call."""
        arguments = call.arguments if self.text_arguments else read_arguments(call.arguments)
        function = {"name": call.name, "arguments": arguments}
        return {"id": self.plain_id(call.id), "type": "function", "function": function}

    def plain_id(self, call_id: str) -> str:
        """The form in which the template wants a call's id."""
        if not self.short_ids or re.fullmatch(r"[a-zA-Z0-9]{9}", call_id):
            return call_id
        return hashlib.blake2b(call_id.encode(), digest_size=5).hexdigest()[:9]


class _Trial:
    """Renders made-up conversations with calls in one of the forms that templates take."""

    def __init__(self, render: Render, *, short_ids: bool, text_arguments: bool) -> None:
        self._render = render
        self._ids = [text if short_ids else f"call_{text}" for text in _TRIAL_IDS]
        self._text_arguments = text_arguments
        self._tools = [Tool(f"trialname{i}", "trialhelp", _SCHEMA).as_plain() for i in (0, 1)]

    def read_dialect(self) -> ToolDialect | None:
        """What stands around calls; ``None`` where there are none, or they are no JSON objects."""
        plain = self._try([_USER, {"role": "assistant", "content": _PLAIN}])
        one = self._try([_USER, self._calls(1)])
        if plain is None or one is None:
            return None
        around = _around(one, 1)
        if around is None:
            return None
        first, middle, last = around[0][_common(plain, one) :], around[1], around[2]
        last = last[: len(last) - _common(plain[::-1], last[::-1])]
        two = self._try([_USER, self._calls(2)])
        more = None if two is None else _around(two, 2)
        between = None if more is None else _ID_MEMBER.sub("", more[2])
        last = _ID_MEMBER.sub("", last)
        head, key, tail = _HEAD.fullmatch(first), _MIDDLE.fullmatch(middle), _TAIL.fullmatch(last)
        if head is None or key is None or tail is None:
            return None
        if bool(head["array"]) != bool(tail["array"]):
            return None
        return ToolDialect(
            first=first,
            middle=middle,
            between=between,
            last=last,
            marker=head["marker"].strip(),
            end_marker=tail["marker"].strip(),
            name_key=head["key"],
            arguments_key=key["key"],
        )

    def shows_tools(self, has_system: bool) -> bool:
        """Whether tools are in the prompt, and a system text beside them."""
        system = {"role": "system", "content": "trialsystem"}
        for messages in ([_USER], [system, _USER])[: 1 + has_system]:
            text = self._try(messages)
            wanted = ["trialname0", "trialname1", "trialhelp", "trialkey"]
            wanted += [message["content"] for message in messages]
            if text is None or not all(word in text for word in wanted):
                return False
        return True

    def shows_results(self) -> bool:
        """Whether results are shown, at the end and with talk after them."""
        result = {
            "role": "tool",
            "name": "trialname0",
            "content": "trialresult",
            "tool_call_id": self._ids[0],
        }
        after = [{"role": "assistant", "content": "trialafter"}, _USER]
        for messages in ([], after):
            text = self._try([_USER, self._calls(1), result, *messages])
            if text is None or "trialresult" not in text:
                return False
            if messages and "trialafter" not in text:
                return False
        return True

    def _calls(self, count: int) -> dict[str, Any]:
        calls = []
        for index in range(count):
            arguments: Any = {"trialkey": f"trialvalue{index}"}
            if self._text_arguments:
                arguments = json.dumps(arguments)
            function = {"name": f"trialname{index}", "arguments": arguments}
            calls.append({"id": self._ids[index], "type": "function", "function": function})
        return {"role": "assistant", "content": "", "tool_calls": calls}

    def _try(self, messages: Sequence[Mapping[str, Any]]) -> str | None:
        try:
            return self._render([dict(message) for message in messages], self._tools)
        except Exception:  # a template is a program: anything may come out of it
            return None


_USER: dict[str, Any] = {"role": "user", "content": "trialuser"}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"trialkey": {"type": "string", "description": "trialhelp"}},
    "required": ["trialkey"],
}


def _around(text: str, count: int) -> list[str] | None:
    """The text before the first call's name, between it and its arguments, and after these.

    With two calls the third text ends where the second name begins. ``None`` where a template
    writes a call otherwise.
    """
    spots = []
    at = text.rfind("trialuser")
    for index in range(count):
        for part in (f"trialname{index}", f'{{"trialkey": "trialvalue{index}"}}'):
            begin = text.find(part, at)
            if begin < 0:
                return None
            at = begin + len(part)
            spots += [begin, at]
    before, middle = text[: spots[0]], text[spots[1] : spots[2]]
    if count == 2 and text[spots[5] : spots[6]] != middle:
        return None
    return [before, middle, text[spots[3] : spots[4] if count == 2 else len(text)]]


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
