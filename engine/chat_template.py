"""Turns a conversation into the text that a model was trained on, as transformers would.

The model's own Jinja template does it, in a sandbox. Templates differ in what they accept, and a
character's conversation is not always what they expect: it has a system prompt, it may begin with
a greeting, and somebody may speak twice. What a template cannot do is found out *once*, by trial
renderings when it is loaded, never per conversation, so that the beginning of a conversation is
rendered the same however it goes on (the prefix cache depends on it). Then:

* A template without a system role gets the system text at the top of the first user message.
* A template with a system role, but only at the start, gets all leading system texts as one and
  later ones as part of the next user message.
* A template that demands strict turns gets neighbours of the same role as one message.
* A template that demands the user first gets a user message before a greeting: the system text
  where that has to go to the user anyway, otherwise ``SILENCE``.

Texts that become one message are joined by an empty line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NoReturn, get_args

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox
import msgspec

from engine.errors import TemplateRefused, UnsupportedModel

Role = Literal["system", "user", "assistant"]
_ROLES: tuple[str, ...] = get_args(Role)

SILENCE = "…"
"""What the user is made to say before a greeting, where a template wants the user first."""

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
    """One message of a conversation."""

    role: Role
    content: str


class _GenerationTag(jinja2.ext.Extension):
    """``{% generation %}``: marks the assistant's words for training; here it only passes them."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)


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
            self._template = _environment().from_string(source)
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
        self.system_only_first = self.merges_system or not self._accepts(
            "system", "system", "user", "assistant", "system", "user"
        )
        self.strict_turns = not self._accepts("user", "user", "assistant", "assistant", "user")
        self.user_first = not self._accepts("assistant", "user")

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

    def render(self, messages: Sequence[ChatMessage], *, add_generation_prompt: bool = True) -> str:
        """Write the conversation as the model wants it.

        Raises:
            TemplateRefused: There is no message, one has an unknown role, or the template failed.
        """
        if not messages:
            raise TemplateRefused("it has no message")
        for message in messages:
            if message.role not in _ROLES:
                raise TemplateRefused(f"{message.role!r} is none of {', '.join(_ROLES)}")
        return self._render(self._adapt(messages), add_generation_prompt)

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
            if waiting and message.role == "user":
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
        """Whether a trial conversation renders with all of its texts."""
        messages = _trial(roles)
        try:
            rendered = self._render(messages, False)
        except TemplateRefused:
            return False
        return all(message.content in rendered for message in messages)

    def _render(self, messages: Iterable[ChatMessage], add_generation_prompt: bool) -> str:
        plain = [{"role": message.role, "content": message.content} for message in messages]
        try:
            return self._template.render(
                **{"tools": None, "documents": None, **self._variables},
                messages=plain,
                add_generation_prompt=add_generation_prompt,
            )
        except Exception as error:  # a template is a program: anything may come out of it
            raise TemplateRefused(str(error) or type(error).__name__) from error


def _trial(roles: Sequence[Role]) -> list[ChatMessage]:
    return [ChatMessage(role, f"trial{index}text") for index, role in enumerate(roles)]


def _merged(messages: Iterable[ChatMessage]) -> list[ChatMessage]:
    merged: list[ChatMessage] = []
    for message in messages:
        if merged and merged[-1].role == message.role:
            content = _joined([merged[-1].content, message.content])
            merged[-1] = ChatMessage(message.role, content)
        else:
            merged.append(message)
    return merged


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(text for text in texts if text)


def _environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    """The environment that transformers gives to templates, names and whitespace rules alike."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationTag, jinja2.ext.loopcontrols]
    )
    names: dict[str, Callable[..., Any]] = {
        "raise_exception": _raise_exception,
        "strftime_now": lambda form: datetime.now().strftime(form),
    }
    environment.globals.update(names)
    environment.filters["tojson"] = _to_json
    return environment


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Unlike Jinja's own filter this does not escape for HTML."""
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )
