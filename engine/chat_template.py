"""Turns a conversation into the text that a model was trained on, as transformers would.

The model's own Jinja template does it, in a sandbox. Templates differ in what they accept, and a
character's conversation is not always what they expect: it has a system prompt, it may begin with
a greeting, and somebody may speak twice. What a template cannot do is found out *once*, by trial
renderings when it is loaded, never per conversation, so that the beginning of a conversation is
rendered the same however it goes on (the prefix cache depends on it). Then:

* A template without a system role gets the system text at the top of the first user message.
* A template with a system role, but only at the start, gets all leading system texts as one. A
  later one becomes a user message of its own behind a user's, and otherwise part of the next one.
  The same goes for a template that gathers system texts at the start: what was rendered before
  would change with each.
* A template that demands strict turns gets neighbours of the same role as one message.
* A template that demands the user first gets a user message before a greeting: the system text
  where that has to go to the user anyway, otherwise ``SILENCE``.
* A template that does not show tools, calls and results (``engine.tool_dialect``) gets all three as
  text, and so does every result whose call is not there.

Texts that become one message are joined by an empty line.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import jinja2
import msgspec

from engine.errors import TemplateRefused, UnsupportedModel
from engine.template_environment import make_environment
from engine.tool_dialect import (
    Tool,
    ToolCall,
    ToolDialect,
    describe_tools,
    map_call,
    write_result,
)
from engine.tool_skills import ToolSkills

Role = Literal["system", "user", "assistant", "tool"]
_ROLES: tuple[str, ...] = get_args(Role)

SILENCE = "…"
"""What somebody is made to say where a template demands that it is their turn."""

MAX_TEMPLATE_LENGTH = 256 * 1024
"""Characters; the longest published templates, with tools and all, have about 20,000."""

CHATML = """\
{{ bos_token }}
{%- for message in messages %}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{%- endif %}
"""

PLAIN = """\
{{ bos_token }}
{%- for message in messages %}
{% if message.role == 'system' %}
{{ message.content + '\\n\\n' }}
{%- elif message.role == 'user' %}
{{ 'User: ' + message.content + '\\n' }}
{%- else %}
{{ 'Assistant: ' + message.content + '\\n' }}
{%- endif %}
{% endfor %}
{% if add_generation_prompt %}
{{ 'Assistant:' }}
{%- endif %}
"""


class ChatMessage(msgspec.Struct, frozen=True):
    """One message of a conversation.

    Attributes:
        role: Who speaks; ``tool`` is a tool's result.
        content: The words; may be empty beside calls.
        tool_calls: What an assistant called, after its words.
        tool_call_id: Of a result: the call's.
        name: Of a result: the tool's.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None


def map_message(change: Callable[[str], str], message: ChatMessage) -> ChatMessage:
    """The message with every text in it changed but its role."""
    return ChatMessage(
        message.role,
        change(message.content),
        tuple(map_call(change, call) for call in message.tool_calls),
        None if message.tool_call_id is None else change(message.tool_call_id),
        None if message.name is None else change(message.name),
    )


class ChatTemplate:
    """A compiled template together with what it was found to accept.

    Args:
        source: Jinja text.
        variables: What the template may refer to beside the messages: ``bos_token``,
            ``eos_token``, and switches such as ``enable_thinking``.

    Raises:
        UnsupportedModel: The template is too long, does not parse or renders no conversation.
    """

    def __init__(self, source: str, variables: Mapping[str, object] | None = None) -> None:
        if len(source) > MAX_TEMPLATE_LENGTH:
            raise UnsupportedModel(
                f"the chat template has {len(source)} characters and the limit is "
                f"{MAX_TEMPLATE_LENGTH}; serve the model with a shorter chat_template.jinja"
            )
        try:
            self._template = make_environment().from_string(source)
        except jinja2.TemplateError as error:
            raise UnsupportedModel(
                f"the chat template does not parse: {error}; "
                "serve the model with another chat_template.jinja"
            ) from error
        self._variables = dict(variables or {})
        try:
            said = "trial0text" in self._render(_trial(("user",)), True)
        except TemplateRefused as error:
            raise UnsupportedModel(
                f"the chat template fails on any conversation: {error.reason}; "
                "serve the model with another chat_template.jinja"
            ) from error
        if not said:
            raise UnsupportedModel(
                "the chat template leaves out what the user says; "
                "serve the model with another chat_template.jinja"
            )
        self.merges_system = not self._accepts("system", "user")
        self.system_only_first = self.merges_system or not (
            self._accepts("system", "system", "user", "assistant", "system", "user")
            and self._accepts("system", "user", "system", "assistant", "user", "system")
        )
        self.strict_turns = not self._accepts("user", "user", "assistant", "assistant", "user")
        self.user_first = not self._accepts("assistant", "user")
        self._skills = ToolSkills.of(
            lambda messages, tools: self._render_plain(messages, False, tools),
            has_system=not self.merges_system,
        )

    @property
    def tool_dialect(self) -> ToolDialect:
        """How the model writes the call of a tool."""
        return self._skills.dialect

    @classmethod
    def fallback(
        cls, *, chatml: bool, variables: Mapping[str, object] | None = None
    ) -> ChatTemplate:
        """A template for a model that brings none.

        Args:
            chatml: Whether the vocabulary has ``<|im_start|>``.
            variables: See the class.
        """
        return cls(CHATML if chatml else PLAIN, variables)

    def render(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        add_generation_prompt: bool = True,
    ) -> str:
        """Write the conversation as the model wants it.

        Args:
            messages: At least one.
            tools: What the model may call.
            add_generation_prompt: Whether to end where the assistant's reply begins.

        Raises:
            TemplateRefused: There is no message, one has an unknown role, or the template failed.
        """
        if not messages:
            raise TemplateRefused("it has no message")
        for message in messages:
            if message.role not in _ROLES:
                raise TemplateRefused(f"{message.role!r} is none of {', '.join(_ROLES)}")
        shown = [tool.as_plain() for tool in tools] if self._skills.is_native else None
        adapted = self._adapt(self._place_tools(messages, tools))
        return self._render(adapted, add_generation_prompt, shown or None)

    def _place_tools(
        self, messages: Sequence[ChatMessage], tools: Sequence[Tool]
    ) -> list[ChatMessage]:
        """Turn what the template cannot show into text."""
        is_native = self._skills.is_native
        answered = {message.tool_call_id for message in messages if message.role == "tool"}
        known: set[str | None] = set()
        placed: list[ChatMessage] = []
        for message in messages:
            called = {call.id for call in message.tool_calls}
            if message.role == "tool" and message.tool_call_id not in known:
                message = ChatMessage("user", write_result(message.content))
            elif called and is_native and not (self.strict_turns and called - answered):
                known |= called
            elif called:
                calls = self.tool_dialect.write(message.tool_calls)
                text = "\n".join(text for text in (message.content, calls) if text)
                message = ChatMessage(message.role, text)
            placed.append(message)
        if tools and not is_native:
            at = sum(1 for _ in itertools.takewhile(lambda one: one.role == "system", placed))
            placed.insert(at, ChatMessage("system", describe_tools(tools)))
        return _one_call_each(placed) if self.tool_dialect.between is None else placed

    def _adapt(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        """The same conversation within what the template accepts; see the module."""
        adapted = list(messages)
        if self.system_only_first:
            adapted = self._place_system(adapted)
        if self.user_first:
            start = sum(1 for message in adapted[:1] if message.role == "system")
            if adapted[start:] and adapted[start].role == "assistant":
                adapted.insert(start, ChatMessage("user", SILENCE))
        return _merged(adapted) if self.strict_turns else adapted

    def _place_system(self, messages: list[ChatMessage]) -> list[ChatMessage]:
        leading = 0
        while leading < len(messages) and messages[leading].role == "system":
            leading += 1
        head = _merged(messages[:leading])
        waiting = [message.content for message in head] if self.merges_system else []
        placed = [] if self.merges_system else head
        for message in messages[leading:]:
            if message.role == "system":
                waiting.append(message.content)
                continue
            if message.role == "tool":  # belongs right after its call
                placed.append(message)
                continue
            follows_user = bool(placed) and placed[-1].role == "user"
            if waiting and message.role == "user" and not follows_user:
                message = ChatMessage("user", _joined([*waiting, message.content]))
                waiting = []
            elif waiting:
                placed.append(ChatMessage("user", _joined(waiting)))
                waiting = []
            placed.append(message)
        if waiting:
            placed.append(ChatMessage("user", _joined(waiting)))
        return placed

    def _accepts(self, *roles: Role) -> bool:
        """Whether a trial conversation renders with all of its texts, in their order."""
        messages = _trial(roles)
        try:
            rendered = self._render(messages, False)
        except TemplateRefused:
            return False
        places = [rendered.find(message.content) for message in messages]
        return places[0] >= 0 and places == sorted(places)

    def _render(
        self,
        messages: Iterable[ChatMessage],
        add_generation_prompt: bool,
        tools: list[dict[str, Any]] | None = None,
    ) -> str:
        plain = [self._plain(message) for message in messages]
        return self._render_plain(plain, add_generation_prompt, tools)

    def _plain(self, message: ChatMessage) -> dict[str, Any]:
        """The form in which transformers hands messages to templates."""
        plain: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.tool_calls:
            plain["tool_calls"] = [self._skills.plain_call(call) for call in message.tool_calls]
        if message.tool_call_id is not None:
            plain["tool_call_id"] = self._skills.plain_id(message.tool_call_id)
        if message.name is not None:
            plain["name"] = message.name
        return plain

    def _render_plain(
        self,
        messages: list[dict[str, Any]],
        add_generation_prompt: bool,
        tools: list[dict[str, Any]] | None,
    ) -> str:
        try:
            return self._template.render(
                **{"documents": None, **self._variables, "tools": tools},
                messages=messages,
                add_generation_prompt=add_generation_prompt,
            )
        except Exception as error:  # a template is a program: anything may come out of it
            raise TemplateRefused(str(error) or type(error).__name__) from error


def _trial(roles: Sequence[Role]) -> list[ChatMessage]:
    return [ChatMessage(role, f"trial{index}text") for index, role in enumerate(roles)]


def _merged(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """Neighbours of one role as one message, but for calls and results."""
    merged: list[ChatMessage] = []
    for message in messages:
        last = merged[-1] if merged else None
        if last is not None and last.role == "tool" and message.role == "user":
            last = ChatMessage("assistant", SILENCE)  # it is its turn after a result
            merged.append(last)
        if last is None or last.role != message.role or message.role == "tool" or last.tool_calls:
            merged.append(message)
        else:
            content = _joined([last.content, message.content])
            merged[-1] = ChatMessage(message.role, content, message.tool_calls)
    return merged


def _one_call_each(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    """Let each call be a message of its own, with its result after it."""
    messages = list(messages)
    results = {message.tool_call_id: message for message in messages if message.role == "tool"}
    moved: set[str | None] = set()
    placed: list[ChatMessage] = []
    for message in messages:
        if len(message.tool_calls) < 2:
            if message.role != "tool" or message.tool_call_id not in moved:
                placed.append(message)
            continue
        for index, call in enumerate(message.tool_calls):
            placed.append(ChatMessage(message.role, message.content * (index == 0), (call,)))
            if call.id in results:
                placed.append(results[call.id])
                moved.add(call.id)
    return placed


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(text for text in texts if text)
