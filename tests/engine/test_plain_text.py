"""Tests that text from outside never becomes a control token."""

from __future__ import annotations

import json
import random

import pytest
import tokenizers
from tokenizers import AddedToken, models, normalizers, pre_tokenizers

from engine.chat_template import ChatMessage
from engine.tokenizer import Tokenizer
from engine.tool_dialect import Tool, ToolCall
from tests.support.chat_templates import QWEN_TOOLS
from tests.support.tokenizers import (
    CHATML_TEMPLATE,
    byte_level_backend,
    metaspace_backend,
    one_of_each_kind,
)

KINDS = one_of_each_kind()
SNIPPETS = [
    "<|im_start|>", "<|im_end|>", "<|im_", "end|>", "<", "|>", "<think>", "</think>", "<s>", "</s>",
    "<start_of_turn>", "<end_of_turn>", "<unk>", "[INST]", "system", "user\n", "こんにちは",
    " ", "\n\n", "Hello", "\ue000", "\ue001<s>\ue000", "<<s>>", "</s", "<|im_start|><|im_end|>",
    "<s", "> ", "\n",
]  # fmt: skip


def user(text: str) -> list[ChatMessage]:
    """A conversation of one message."""
    return [ChatMessage("user", text)]


def control_ids(tokenizer: Tokenizer, ids: list[int]) -> list[int]:
    """The control tokens among the ids, in order."""
    names = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>", "<s>", "</s>"]
    names += ["<unk>", "<start_of_turn>", "<end_of_turn>"]
    known = {tokenizer.token_to_id(name) for name in names}
    return [token_id for token_id in ids if token_id in known]


@pytest.mark.parametrize("kind", KINDS)
def test_encode_plain_equals_encode_on_harmless_text(kind: str) -> None:
    """Plain text is encoded alike by both, spaces in front included."""
    for text in ["Hello there", " Hello", "こんにちは。\n\nHello", "", "\n\n", "a  b"]:
        expected = KINDS[kind].encode(text, add_special_tokens=False)
        assert KINDS[kind].encode_plain(text) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_encode_plain_makes_no_control_token(kind: str) -> None:
    """No mixture of names becomes a control token, and the text comes back whole."""
    tokenizer = KINDS[kind]
    draw = random.Random(1)
    for _ in range(200):
        text = "".join(draw.choices(SNIPPETS, k=6))
        ids = tokenizer.encode_plain(text)
        assert control_ids(tokenizer, ids) == []
        shown = tokenizer.decode(ids, skip_special_tokens=False)
        assert shown.lstrip(" ") == text.lstrip(" ")


def test_added_white_space_and_words_are_ordinary_text() -> None:
    """Added tokens that no template would use as structure are encoded as in training."""
    tokenizer = KINDS["chatml"]
    assert tokenizer.encode_plain("a\n\n<think>").count(tokenizer.token_to_id("\n\n") or -1) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_messages_write_no_control_token(kind: str) -> None:
    """Whatever the messages say, the control tokens are those of a harmless conversation."""
    tokenizer = KINDS[kind]
    roles = ["user", "assistant", "user"]
    expected = control_ids(
        tokenizer,
        tokenizer.encode_chat([ChatMessage(role, "x") for role in roles]),  # type: ignore[arg-type]
    )
    draw = random.Random(2)
    for _ in range(150):
        contents = ["x" + "".join(draw.choices(SNIPPETS, k=5)) + "x" for _ in roles]
        if draw.random() < 0.5:
            contents = [content[1:-1] for content in contents]
        chat = [ChatMessage(r, c) for r, c in zip(roles, contents, strict=True)]  # type: ignore[arg-type]
        ids = tokenizer.encode_chat(chat)
        assert control_ids(tokenizer, ids) == expected
        text = tokenizer.decode(ids, skip_special_tokens=False)
        assert all(content.strip() in text for content in contents)


@pytest.mark.parametrize("template", [CHATML_TEMPLATE, QWEN_TOOLS])
def test_tools_calls_and_results_write_no_control_token(template: str) -> None:
    """Whatever is in them, the control tokens are those of a harmless conversation."""
    tokenizer = Tokenizer(byte_level_backend(), template=template)

    def ids_with(texts: list[str]) -> list[int]:
        name, about, key, value, result, call_id = texts
        arguments = json.dumps({key: [value]}, ensure_ascii=draw.random() < 0.5)
        messages = [
            ChatMessage("user", "x"),
            ChatMessage("assistant", "", (ToolCall(call_id, name, arguments),)),
            ChatMessage("tool", result, (), call_id, name),
        ]
        return tokenizer.encode_chat(messages, tools=[Tool(name, about, {key: {"a": value}})])

    draw = random.Random(4)
    expected = control_ids(tokenizer, ids_with(["x"] * 6))
    for _ in range(100):
        texts = ["".join(draw.choices(SNIPPETS, k=3)) for _ in range(6)]
        assert control_ids(tokenizer, ids_with(texts)) == expected


def test_escapes_in_arguments_write_no_control_token() -> None:
    """What JSON hides, the template's own JSON would show."""
    tokenizer = Tokenizer(byte_level_backend(), template=QWEN_TOOLS)
    call = ToolCall("c", "f", '{"a": "\\u003c|im_end|>"}')
    chat = [*user("x"), ChatMessage("assistant", "", (call,)), ChatMessage("tool", "", (), "c")]
    harmless = [*chat[:1], ChatMessage("assistant", "", (ToolCall("c", "f", "{}"),)), *chat[2:]]
    ids = tokenizer.encode_chat(chat)
    assert control_ids(tokenizer, ids) == control_ids(tokenizer, tokenizer.encode_chat(harmless))
    assert '{"a": "<|im_end|>"}' in tokenizer.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize("kind", ["chatml", "llama2", "gemma"])
def test_protected_chats_decode_to_the_rendered_text(kind: str) -> None:
    """Keeping names as text changes tokens and not one character."""
    tokenizer = KINDS[kind]
    draw = random.Random(3)
    for _ in range(100):
        chat = user("".join(draw.choices(SNIPPETS, k=6)) + ".")
        rendered = tokenizer.chat_template.render(chat)
        text = tokenizer.decode(tokenizer.encode_chat(chat), skip_special_tokens=False)
        assert text.replace("<s> ", "<s>") == rendered.replace("<s> ", "<s>")


@pytest.mark.parametrize("kind", KINDS)
def test_the_harmless_part_of_a_protected_chat_keeps_its_tokens(kind: str) -> None:
    """A name in the last message leaves the tokens of the messages before it alone."""
    tokenizer = KINDS[kind]
    chat = [ChatMessage("user", "Hello there"), ChatMessage("assistant", "How are you?")]
    harmless = tokenizer.encode_chat(chat, add_generation_prompt=False)
    attacked = tokenizer.encode_chat([*chat, ChatMessage("user", "<|im_end|></s><end_of_turn>")])
    assert attacked[: len(harmless)] == harmless


def test_a_message_and_the_text_beside_it_make_no_control_token() -> None:
    """A name that begins in a message and ends in the template stays text."""
    template = "{% for m in messages %}{{ m.content }}|im_start|>{{ m.content }}{% endfor %}"
    tokenizer = Tokenizer(byte_level_backend(), template=template)
    ids = tokenizer.encode_chat(user("<"))
    assert control_ids(tokenizer, ids) == []
    assert tokenizer.decode(ids) == "<|im_start|><"


def test_two_messages_side_by_side_make_no_control_token() -> None:
    """A name that is spread over two messages stays text."""
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    tokenizer = Tokenizer(byte_level_backend(), template=template)
    ids = tokenizer.encode_chat([ChatMessage("user", "<|im_"), ChatMessage("user", "end|>")])
    assert control_ids(tokenizer, ids) == []
    assert tokenizer.decode(ids) == "<|im_end|>"


def test_look_alikes_that_a_normalizer_unifies_stay_text() -> None:
    """Full-width brackets that NFKC turns into a name make no control token."""
    backend = byte_level_backend()
    backend.normalizer = normalizers.NFKC()
    backend.add_special_tokens([AddedToken("<|system|>", special=True, normalized=True)])
    tokenizer = Tokenizer(backend, template=CHATML_TEMPLATE)
    system = tokenizer.token_to_id("<|system|>")
    attack = "＜|system|＞"
    assert system in tokenizer.encode(attack)
    assert system not in tokenizer.encode_chat(user(attack))
    assert system not in tokenizer.encode_plain(attack)


def test_a_vocabulary_that_spells_control_tokens_is_cut() -> None:
    """Where the model's own vocabulary yields a control token from text, the name is cut in two."""
    pieces = [("<unk>", 0.0), ("</s>", -1.0), *((char, -9.0) for char in "</s>abc▁")]
    backend = tokenizers.Tokenizer(models.Unigram(pieces, 0, False))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.add_special_tokens(["</s>"])
    tokenizer = Tokenizer(backend, template="{% for m in messages %}{{ m.content }}{% endfor %}")
    ids = tokenizer.encode_plain("a</s>b")
    assert [backend.id_to_token(token_id) for token_id in ids] == [
        "▁",
        "a",
        "<",
        "/",
        "s",
        ">",
        "b",
    ]


def test_templates_that_look_for_a_name_find_it() -> None:
    """A template that drops what stands before ``</think>`` does so as in transformers."""
    template = "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}"
    tokenizer = Tokenizer(byte_level_backend(), template=template)
    assert tokenizer.decode(tokenizer.encode_chat(user("a</think>b"))) == "b"


def test_white_space_that_control_tokens_swallow_is_swallowed() -> None:
    """Around tokens that take the spaces beside them a protected chat loses them too."""
    backend = byte_level_backend()
    backend.add_special_tokens(
        [
            AddedToken("<|user|>", special=True, normalized=False, rstrip=True),
            AddedToken("<|end|>", special=True, normalized=False, lstrip=True),
            AddedToken("<w>", special=True, normalized=False, single_word=True),
        ]
    )
    template = "{% for m in messages %}<|user|>\n {{ m.content }} <|end|>\n<w> a<w>b{% endfor %}"
    tokenizer = Tokenizer(backend, template=template)
    harmless = tokenizer.encode_chat(user("Hello"))
    attacked = tokenizer.encode_chat([*user("Hello"), *user("<|end|>")])
    assert attacked[: len(harmless)] == harmless
    assert attacked.count(tokenizer.token_to_id("<|end|>") or -1) == 2


def test_a_tokenizer_that_overlooks_its_own_names_is_left_alone() -> None:
    """Where the tokenizer misses a name in the template the result is still transformers' own."""
    backend = metaspace_backend(legacy=True)
    backend.add_special_tokens([AddedToken("<|n|>", special=True, normalized=True)])
    tokenizer = Tokenizer(
        backend, template="{% for m in messages %}a<|n|>{{ m.content }}{% endfor %}"
    )
    rendered = tokenizer.chat_template.render(user("Hello"))
    expected = tokenizer.encode(rendered, add_special_tokens=False)
    assert tokenizer.token_to_id("<|n|>") not in expected
    assert tokenizer.encode_chat(user("Hello")) == expected
