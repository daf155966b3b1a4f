"""Tests of the chat template."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from engine.chat_template import (
    CHATML,
    MAX_TEMPLATE_LENGTH,
    PLAIN,
    SILENCE,
    ChatMessage,
    ChatTemplate,
)
from engine.errors import RequestError, TemplateRefused, UnsupportedModel
from engine.tool_dialect import Tool, ToolCall
from tests.support.chat_templates import (
    GATHERING,
    LLAMA3,
    LLAMA3_TOOLS,
    MISTRAL,
    MISTRAL_TOOLS,
    QWEN3,
    QWEN_TOOLS,
)
from tests.support.tokenizers import CHATML_TEMPLATE, GEMMA_TEMPLATE, LLAMA2_TEMPLATE

VARIABLES = {"bos_token": "<s>", "eos_token": "</s>"}
NAMES = {"s": "system", "u": "user", "a": "assistant"}
BARE = "{% for m in messages %}[{{ m.role[0] }}:{{ m.content }}]{% endfor %}"
FIRST_SYSTEM_ONLY = (
    "{% for m in messages %}{% if m.role == 'system' and not loop.first %}"
    "{{ raise_exception('system comes first') }}{% endif %}"
    "[{{ m.role[0] }}:{{ m.content }}]{% endfor %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role != 'system' %}"
    "[{{ m.role[0] }}:{{ m.content }}]{% endif %}{% endfor %}"
)


def chat(*turns: str) -> list[ChatMessage]:
    """Messages from ``"s:text"``, ``"u:text"`` and ``"a:text"``."""
    return [ChatMessage(NAMES[turn[0]], turn[2:]) for turn in turns]  # type: ignore[arg-type]


def test_messages_are_rendered_with_the_generation_prompt() -> None:
    """The template writes each message and the beginning of the reply."""
    assert ChatTemplate(CHATML_TEMPLATE).render(chat("u:hi")) == (
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_generation_prompt_can_be_left_out() -> None:
    """Without it the text ends with the last message."""
    text = ChatTemplate(CHATML_TEMPLATE).render(chat("u:hi"), add_generation_prompt=False)
    assert text == "<|im_start|>user\nhi<|im_end|>\n"


def test_variables_reach_the_template() -> None:
    """Switches such as enable_thinking are visible to the template."""
    template = ChatTemplate(
        BARE + "{% if not enable_thinking %}off{% endif %}", {"enable_thinking": False}
    )
    assert template.render(chat("u:x")).endswith("off")


def test_a_template_that_accepts_everything_changes_nothing() -> None:
    """A conversation is rendered message by message where the template allows it."""
    text = ChatTemplate(BARE).render(chat("s:1", "a:2", "a:3", "u:4", "u:5", "s:6"))
    assert text == "[s:1][a:2][a:3][u:4][u:5][s:6]"


@pytest.mark.parametrize("source", [NO_SYSTEM, NO_SYSTEM.replace("!=", "==", 0)])
def test_system_text_moves_into_the_first_user_message(source: str) -> None:
    """Where system messages vanish their text goes to the top of the user's."""
    assert ChatTemplate(source).render(chat("s:be", "s:kind", "u:hi")) == "[u:be\n\nkind\n\nhi]"


def test_system_text_is_a_user_message_before_a_greeting() -> None:
    """Where there is no user message to take the system text it becomes one."""
    assert ChatTemplate(NO_SYSTEM).render(chat("s:be", "a:hello", "u:hi")) == (
        "[u:be][a:hello][u:hi]"
    )


def test_later_system_text_goes_to_the_next_user_message() -> None:
    """A system message in the middle is kept even where only the first may be one."""
    text = ChatTemplate(FIRST_SYSTEM_ONLY).render(chat("s:a", "s:b", "u:c", "a:d", "s:e", "u:f"))
    assert text == "[s:a\n\nb][u:c][a:d][u:e\n\nf]"


def test_system_text_at_the_end_is_a_user_message() -> None:
    """A system message that nobody follows is not lost."""
    text = ChatTemplate(FIRST_SYSTEM_ONLY).render(chat("s:a", "u:c", "a:d", "s:e"))
    assert text == "[s:a][u:c][a:d][u:e]"


def test_system_text_behind_a_user_message_is_one_of_its_own() -> None:
    """So that it does not depend on who speaks next."""
    template = ChatTemplate(FIRST_SYSTEM_ONLY)
    begun = "[s:a][u:c][u:e]"
    assert template.render(chat("s:a", "u:c", "s:e")) == begun
    assert template.render(chat("s:a", "u:c", "s:e", "u:f")) == f"{begun}[u:f]"
    assert template.render(chat("s:a", "u:c", "s:e", "a:f")) == f"{begun}[a:f]"


def test_a_template_that_gathers_system_text_gets_it_at_the_start_only() -> None:
    """Otherwise each later text would change the beginning."""
    template = ChatTemplate(GATHERING)
    assert template.system_only_first
    turns = chat("s:be", "u:hi", "s:note", "a:yes", "u:so", "s:more")
    texts = [
        template.render(turns[:count], add_generation_prompt=False)
        for count in range(2, len(turns) + 1)
    ]
    assert all(long.startswith(short) for short, long in itertools.pairwise(texts))


def test_strict_turns_merge_neighbours() -> None:
    """Where roles must alternate, messages of one speaker become one."""
    text = ChatTemplate(LLAMA2_TEMPLATE, VARIABLES).render(chat("u:a", "u:b", "a:c", "a:d", "u:e"))
    assert text == "<s>[INST] a\n\nb [/INST] c\n\nd </s><s>[INST] e [/INST]"


def test_a_greeting_follows_a_silent_user() -> None:
    """Where the user must come first, a greeting answers silence."""
    text = ChatTemplate(LLAMA2_TEMPLATE, VARIABLES).render(chat("s:be", "a:hello", "u:hi"))
    assert text == (
        f"<s>[INST] <<SYS>>\nbe\n<</SYS>>\n\n{SILENCE} [/INST] hello </s><s>[INST] hi [/INST]"
    )


def test_a_greeting_without_system_text_follows_a_silent_user() -> None:
    """The silence does not depend on a system message."""
    text = ChatTemplate(GEMMA_TEMPLATE, VARIABLES).render(chat("a:hello", "u:hi"))
    assert text.startswith(f"<s><start_of_turn>user\n{SILENCE}<end_of_turn>\n<start_of_turn>model")


def test_a_template_without_a_system_role_takes_the_greeting_after_it() -> None:
    """Gemma gets the system text as the user's first message, which the greeting answers."""
    text = ChatTemplate(GEMMA_TEMPLATE, VARIABLES).render(chat("s:be", "a:hello", "u:hi"))
    assert text == (
        "<s><start_of_turn>user\nbe<end_of_turn>\n<start_of_turn>model\nhello<end_of_turn>\n"
        "<start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n"
    )


@pytest.mark.parametrize("source", [CHATML_TEMPLATE, LLAMA2_TEMPLATE, GEMMA_TEMPLATE, BARE])
def test_the_beginning_does_not_depend_on_the_end(source: str) -> None:
    """Each longer conversation begins with the text of the shorter one."""
    template = ChatTemplate(source, VARIABLES)
    turns = chat("s:be", "a:hello", "u:hi", "a:so", "u:well", "a:yes", "u:no")
    texts = [
        template.render(turns[:count], add_generation_prompt=False)
        for count in range(2, len(turns) + 1)
    ]
    assert all(long.startswith(short) for short, long in zip(texts, texts[1:], strict=False))


def test_fallback_is_chatml_where_the_vocabulary_has_it() -> None:
    """A model without a template but with <|im_start|> gets ChatML."""
    template = ChatTemplate.fallback(chatml=True)
    conversation = chat("s:be", "u:hi", "a:yes")
    assert template.render(conversation) == ChatTemplate(CHATML_TEMPLATE).render(conversation)


def test_fallback_is_plain_text_otherwise() -> None:
    """Any other model without a template gets a script with two speakers."""
    template = ChatTemplate.fallback(chatml=False, variables=VARIABLES)
    assert template.render(chat("s:be", "u:hi", "a:yes", "u:no")) == (
        "<s>be\n\nUser: hi\nAssistant: yes\nUser: no\nAssistant:"
    )


def test_no_message_is_refused() -> None:
    """An empty conversation is the request's fault."""
    with pytest.raises(TemplateRefused, match="no message") as caught:
        ChatTemplate(BARE).render([])
    assert isinstance(caught.value, RequestError)
    assert caught.value.param == "messages"


def test_an_unknown_role_is_refused() -> None:
    """A role that the wire let through does not reach the template."""
    with pytest.raises(TemplateRefused, match="none of system, user, assistant, tool"):
        ChatTemplate(BARE).render([ChatMessage("<|im_start|>", "x")])  # type: ignore[arg-type]


def test_a_template_that_fails_on_a_conversation_refuses_it() -> None:
    """Whatever a template raises on certain words becomes the request's error."""
    template = ChatTemplate(BARE + "{% if messages[0].content == 'x' %}{{ 1 // 0 }}{% endif %}")
    with pytest.raises(TemplateRefused, match="division"):
        template.render(chat("u:x"))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% if %}", "does not parse"),
        ("a" * (MAX_TEMPLATE_LENGTH + 1), "the limit is"),
        ("nothing", "leaves out what the user says"),
    ],
)
def test_templates_that_cannot_work_are_found_at_start(source: str, reason: str) -> None:
    """A template that renders no conversation at all makes the model unsupported."""
    with pytest.raises(UnsupportedModel, match=reason):
        ChatTemplate(source)


def test_a_template_that_always_fails_is_found_at_start() -> None:
    """The template's own reason is told."""
    with pytest.raises(UnsupportedModel, match="never"):
        ChatTemplate("{{ raise_exception('never') }}")


@pytest.mark.parametrize(
    "attack",
    [
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(messages[0]) }}",
        "{{ raise_exception.__globals__['json'].dumps(1) }}",
    ],
)
def test_templates_run_in_a_sandbox(attack: str) -> None:
    """A template can neither reach the interpreter nor change what it is given."""
    with pytest.raises(UnsupportedModel):
        ChatTemplate(BARE + attack)


def test_transformers_helpers_exist() -> None:
    """Loop controls, tojson without HTML escapes, strftime_now and generation tags work."""
    template = ChatTemplate(
        "{% for m in messages %}{% generation %}{{ m.content | tojson }}{% endgeneration %}"
        "{% if loop.first %}{% continue %}{% endif %}{% break %}{% endfor %}"
        "{{ strftime_now('%Y') | length }}{{ {'a': 1} | tojson(indent=1) }}"
    )
    expected = f"{json.dumps('<é>', ensure_ascii=False)}4" + '{\n "a": 1\n}'
    assert template.render(chat("u:<é>")) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [CHATML_TEMPLATE, LLAMA2_TEMPLATE, GEMMA_TEMPLATE, LLAMA3, QWEN3, MISTRAL, CHATML, PLAIN],
)
@pytest.mark.parametrize("prompt", [True, False])
def test_text_equals_that_of_transformers(source: str, prompt: bool) -> None:
    """Conversations that a template accepts as they are look as in transformers."""
    from transformers.utils import chat_template_utils

    variables = VARIABLES | {"enable_thinking": False}
    template = ChatTemplate(source, variables)
    turns = chat("s:be <kind>", "u: hi\n", "a:<think>\nso\n</think>\n\nyes ", "u:é & 会話")
    for conversation in (turns, turns[1:], turns[1:2]):
        if template.merges_system and conversation[0].role == "system":
            continue
        plain = [{"role": message.role, "content": message.content} for message in conversation]
        render: Any = chat_template_utils.render_jinja_template
        theirs = render([plain], chat_template=source, add_generation_prompt=prompt, **variables)
        assert template.render(conversation, add_generation_prompt=prompt) == theirs[0][0]


ROLL = Tool("roll", "Roll a die.", {"type": "object", "properties": {"n": {"type": "integer"}}})
ONE, TWO = ToolCall("call_1", "roll", '{"n":6}'), ToolCall("call_2", "roll", '{"n":7}')
ROUND_TRIP = [
    ChatMessage("user", "go"),
    ChatMessage("assistant", "Well.", (ONE, TWO)),
    ChatMessage("tool", "four", (), "call_1", "roll"),
    ChatMessage("tool", "five", (), "call_2", "roll"),
]
TOOL_TEMPLATES = [QWEN_TOOLS, LLAMA3_TOOLS, MISTRAL_TOOLS, CHATML_TEMPLATE, GEMMA_TEMPLATE]


@pytest.mark.parametrize("source", [*TOOL_TEMPLATES, LLAMA2_TEMPLATE, LLAMA3, QWEN3, MISTRAL])
def test_calls_and_results_are_shown_by_every_template(source: str) -> None:
    """By the template itself, or as text where it cannot."""
    text = ChatTemplate(source, VARIABLES).render(ROUND_TRIP, tools=[ROLL])
    assert "Roll a die." in text
    assert all(word in text for word in ("four", "five", '"roll"', "6", "7"))
    assert text.index("6") < text.index("four")


def test_a_template_that_knows_tools_is_given_them() -> None:
    """Nothing is added to what it writes."""
    text = ChatTemplate(QWEN_TOOLS).render(chat("s:be", "u:go"), tools=[ROLL])
    assert text.startswith('<|im_start|>system\nbe\n\n# Tools\n\n<tools>\n{"type": "function"')
    assert "You may call" not in text


def test_another_template_reads_of_tools_after_the_system_text() -> None:
    """The persona stays the beginning, which all its conversations share."""
    text = ChatTemplate(FIRST_SYSTEM_ONLY).render(chat("s:be", "u:go"), tools=[ROLL])
    assert text.startswith("[s:be\n\n# Tools\n\nYou may call")
    assert text.endswith("[u:go]")


def test_one_call_per_message_where_the_template_takes_no_more() -> None:
    """Each result follows its call."""
    text = ChatTemplate(LLAMA3_TOOLS, VARIABLES).render(ROUND_TRIP, tools=[ROLL])
    spots = [text.rindex(word) for word in ('{"n": 6}', "four", '{"n": 7}', "five")]
    assert spots == sorted(spots)


def test_a_result_without_its_call_is_text() -> None:
    """The call may have been dropped to fit the context."""
    orphan = [ChatMessage("user", "go"), ChatMessage("tool", "four", (), "gone", "roll")]
    text = ChatTemplate(MISTRAL_TOOLS, VARIABLES).render(orphan)
    assert "<tool_response>\nfour\n</tool_response>[/INST]" in text


def test_a_call_that_was_never_answered_does_not_break_strict_turns() -> None:
    """The user may speak before the tool does."""
    messages = [ChatMessage("user", "a"), ChatMessage("assistant", "", (ONE,)), *chat("u:b")]
    text = ChatTemplate(MISTRAL_TOOLS, VARIABLES).render(messages)
    assert text.endswith("[INST] b[/INST]")
    assert '[TOOL_CALLS] [{"name": "roll"' in text


def test_strict_turns_keep_results_and_calls_apart() -> None:
    """Only words of one speaker become one message."""
    text = ChatTemplate(MISTRAL_TOOLS, VARIABLES).render([*chat("u:a"), *ROUND_TRIP])
    assert text.count("[TOOL_RESULTS]") == 2
    assert "[INST] a\n\ngo[/INST]" in text


def test_system_text_never_comes_between_a_call_and_its_result() -> None:
    """It waits for the next user message."""
    messages = [*ROUND_TRIP[:2], *chat("s:quick"), *ROUND_TRIP[2:], *chat("u:so")]
    text = ChatTemplate(MISTRAL_TOOLS, VARIABLES).render(messages)
    assert text.endswith("[/TOOL_RESULTS] …</s>[INST] quick\n\nso[/INST]")


@pytest.mark.slow
@pytest.mark.parametrize("source", [QWEN_TOOLS, LLAMA3_TOOLS])
def test_tools_look_as_in_transformers(source: str) -> None:
    """Tools, a call and its result, with their ids and names."""
    from transformers.utils import chat_template_utils

    messages = [*chat("s:be", "u:go"), ChatMessage("assistant", "", (ONE,)), ROUND_TRIP[2]]
    call = {"name": "roll", "arguments": {"n": 6}}
    plain: list[dict[str, Any]] = [
        {"role": "system", "content": "be"},
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"type": "function", "function": call}],
        },
        {"role": "tool", "content": "four", "tool_call_id": "call_1", "name": "roll"},
    ]
    plain[2]["tool_calls"][0]["id"] = "call_1"
    render: Any = chat_template_utils.render_jinja_template
    theirs = render([plain], tools=[ROLL.as_plain()], chat_template=source, **VARIABLES)
    ours = ChatTemplate(source, VARIABLES).render(
        messages, tools=[ROLL], add_generation_prompt=False
    )
    assert ours == theirs[0][0]
