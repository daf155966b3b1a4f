"""Tests of the tokenizer."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.chat_template import ChatMessage
from engine.errors import ModelNotFound, UnsupportedModel
from engine.tokenizer import Tokenizer
from tests.support.tokenizers import (
    CHATML_TEMPLATE,
    GEMMA_TEMPLATE,
    LLAMA2_TEMPLATE,
    byte_level_backend,
    metaspace_backend,
    one_of_each_kind,
    write_folder,
)

KINDS = one_of_each_kind()
CONFIG: dict[str, object] = {"eos_token": {"content": "<|im_end|>"}, "bos_token": None}


def user(text: str) -> list[ChatMessage]:
    """A conversation of one message."""
    return [ChatMessage("user", text)]


@pytest.mark.parametrize("kind", KINDS)
def test_decode_undoes_encode(kind: str) -> None:
    """Text in two languages survives the way there and back."""
    text = "Hello there! こんにちは。 鬱😀"
    tokenizer = KINDS[kind]
    assert tokenizer.decode(tokenizer.encode(text)).lstrip(" ") == text


def test_encode_adds_the_tokens_around_a_text_on_request() -> None:
    """The beginning-of-sequence token is added unless it is not wanted."""
    tokenizer = KINDS["llama2"]
    with_bos = tokenizer.encode("Hello")
    assert with_bos == [
        tokenizer.token_to_id("<s>"),
        *tokenizer.encode("Hello", add_special_tokens=False),
    ]


def test_encode_trusts_its_text() -> None:
    """In a prompt of our own the names of special tokens are these tokens."""
    tokenizer = KINDS["chatml"]
    assert tokenizer.encode("<|im_end|>") == [tokenizer.token_to_id("<|im_end|>")]


def test_truncation_and_padding_of_the_file_are_ignored() -> None:
    """A tokenizer saved in the middle of a training run does not cut prompts."""
    backend = byte_level_backend()
    backend.enable_truncation(2)
    backend.enable_padding(length=50)
    assert Tokenizer(backend).encode("Hello there") == KINDS["chatml"].encode("Hello there")


@pytest.mark.parametrize("kind", KINDS)
def test_harmless_chats_are_encoded_as_rendered(kind: str) -> None:
    """Without names of control tokens the rendered template is encoded in one go."""
    tokenizer = KINDS[kind]
    chat = [
        ChatMessage("user", " a < b, [c] "),
        ChatMessage("assistant", "> quoted\nこんにちは <"),
        ChatMessage("user", "|"),
    ]
    rendered = tokenizer.chat_template.render(chat)
    assert tokenizer.encode_chat(chat) == tokenizer.encode(rendered, add_special_tokens=False)


def test_lone_surrogates_are_replaced() -> None:
    """Half of a surrogate pair, which JSON can bring, does not stop a conversation."""
    tokenizer = KINDS["chatml"]
    assert "a\ufffdb" in tokenizer.decode(tokenizer.encode_chat(user("a\ud83db")))
    assert tokenizer.decode(tokenizer.encode_plain("\ud83d\ude00")) == "😀"


def test_special_tokens_are_known() -> None:
    """Special tokens, the named ones among them, are told by id; other added tokens are not."""
    tokenizer = KINDS["chatml"]
    names = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    assert tokenizer.special_token_ids == {tokenizer.token_to_id(name) for name in names}
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.bos_token is None


def test_named_tokens_become_special() -> None:
    """A token that the configuration names as end token is special even if the file forgot."""
    tokenizer = Tokenizer(byte_level_backend(), named_tokens={"eos_token": "</think>"})
    assert tokenizer.token_to_id("</think>") in tokenizer.special_token_ids


def test_vocab_size_is_above_every_id() -> None:
    """No id reaches the size of the vocabulary."""
    backend = byte_level_backend()
    assert Tokenizer(backend).vocab_size == max(backend.get_vocab().values()) + 1


@pytest.mark.parametrize("kind", KINDS)
def test_ids_containing_finds_tokens_by_their_text(kind: str) -> None:
    """Exactly the tokens whose text has one of the strings are found."""
    tokenizer = KINDS[kind]
    found = tokenizer.ids_containing(["\n", "。", "he"])
    for token_id in range(tokenizer.vocab_size):
        text = tokenizer.decode([token_id], skip_special_tokens=False)
        assert (token_id in found) == any(part in text for part in ("\n", "。", "he"))


def test_ids_containing_gives_each_caller_its_own_list() -> None:
    """Changing an answer does not change the next one."""
    tokenizer = KINDS["chatml"]
    first = tokenizer.ids_containing(["a"])
    first.clear()
    assert tokenizer.ids_containing(["a"])


def test_a_folder_is_read(tmp_path: Path) -> None:
    """Vocabulary, named tokens and template come from the checkpoint's files."""
    folder = write_folder(
        tmp_path, byte_level_backend(), CONFIG | {"chat_template": CHATML_TEMPLATE}
    )
    tokenizer = Tokenizer.from_folder(folder)
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.encode_chat(user("hi")) == KINDS["chatml"].encode_chat(user("hi"))


def test_the_template_file_comes_before_the_configuration(tmp_path: Path) -> None:
    """chat_template.jinja wins over tokenizer_config.json."""
    write_folder(tmp_path, byte_level_backend(), CONFIG | {"chat_template": CHATML_TEMPLATE})
    (tmp_path / "chat_template.jinja").write_text("{{ messages[-1].content }}", encoding="utf-8")
    assert Tokenizer.from_folder(tmp_path).chat_template.render(user("hi")) == "hi"


def test_a_list_of_templates_has_a_default(tmp_path: Path) -> None:
    """Of several templates by name the default is taken."""
    templates = [
        {"name": "tool_use", "template": "no"},
        {"name": "default", "template": "{{ messages[-1].content }}!"},
    ]
    write_folder(tmp_path, byte_level_backend(), CONFIG | {"chat_template": templates})
    assert Tokenizer.from_folder(tmp_path).chat_template.render(user("hi")) == "hi!"


def test_a_model_without_a_template_gets_chatml_if_it_knows_it(tmp_path: Path) -> None:
    """The vocabulary decides on the fallback template."""
    write_folder(tmp_path, byte_level_backend(), CONFIG)
    assert Tokenizer.from_folder(tmp_path).encode_chat(user("hi")) == KINDS["chatml"].encode_chat(
        user("hi")
    )


def test_a_plain_fallback_begins_as_every_prompt_does(tmp_path: Path) -> None:
    """Where prompts begin with a beginning-of-sequence token the fallback has it too."""
    write_folder(tmp_path, metaspace_backend(), {"bos_token": "<s>", "eos_token": "</s>"})
    text = Tokenizer.from_folder(tmp_path).chat_template.render(user("hi"))
    assert text == "<s>User: hi\nAssistant:"


def test_template_variables_are_passed_on(tmp_path: Path) -> None:
    """Switches given by the operator reach the template."""
    config = CONFIG | {"chat_template": "{{ messages[-1].content }}{{ mood }}"}
    write_folder(tmp_path, byte_level_backend(), config)
    tokenizer = Tokenizer.from_folder(tmp_path, template_variables={"mood": "!"})
    assert tokenizer.chat_template.render(user("hi")) == "hi!"


def test_a_folder_that_is_not_there_is_named() -> None:
    """The error says what is missing and where."""
    with pytest.raises(ModelNotFound, match=r"no tokenizer\.json in .*nowhere"):
        Tokenizer.from_folder(Path("nowhere"))


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    """A file that cannot be read makes the model unsupported, by its name."""
    write_folder(tmp_path, byte_level_backend(), CONFIG)
    (tmp_path / name).write_text("{", encoding="utf-8")
    with pytest.raises(UnsupportedModel, match=name):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.slow
def test_a_folder_with_older_files_is_read_by_transformers(tmp_path: Path) -> None:
    """Without tokenizer.json the vocabulary and merges of GPT-2's format do."""
    spec = json.loads(byte_level_backend().to_str())
    merges = "\n".join(" ".join(pair) for pair in spec["model"]["merges"])
    vocabulary = json.dumps(spec["model"]["vocab"] | {"<|endoftext|>": 500})
    (tmp_path / "vocab.json").write_text(vocabulary, encoding="utf-8")
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    config = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert tokenizer.decode(tokenizer.encode("Hello there")) == "Hello there"


@pytest.mark.slow
def test_a_folder_without_any_tokenizer_is_refused(tmp_path: Path) -> None:
    """The error says which file is missing when transformers finds nothing either."""
    with pytest.raises(ModelNotFound, match=r"tokenizer\.json"):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["chatml", "llama2", "llama2-legacy", "gemma"])
def test_chats_equal_those_of_transformers(tmp_path: Path, kind: str) -> None:
    """Ids and text of harmless conversations are transformers' own."""
    from transformers import PreTrainedTokenizerFast

    backend, template = {
        "chatml": (byte_level_backend(), CHATML_TEMPLATE),
        "llama2": (metaspace_backend(), LLAMA2_TEMPLATE),
        "llama2-legacy": (metaspace_backend(legacy=True), LLAMA2_TEMPLATE),
        "gemma": (metaspace_backend(strip=False), GEMMA_TEMPLATE),
    }[kind]
    names = {"bos_token": "<s>", "eos_token": "</s>"} if kind != "chatml" else {}
    make: Any = PreTrainedTokenizerFast
    theirs = make(tokenizer_object=backend, chat_template=template, **names)
    theirs.save_pretrained(tmp_path)
    ours = Tokenizer.from_folder(tmp_path)
    draw = random.Random(4)
    words = [
        "Hello",
        " there",
        "\n",
        "\n\n",
        "  ",
        "こんにちは",
        "。",
        "😀",
        "<",
        ">",
        "[",
        "é",
        ".",
    ]
    for _ in range(30):
        chat = [
            ChatMessage(
                "assistant" if turn % 2 else "user", "".join(draw.choices(words, k=8)) + "x"
            )
            for turn in range(draw.randint(1, 5))
        ]
        plain = [{"role": message.role, "content": message.content} for message in chat]
        for prompt in (True, False):
            expected = theirs.apply_chat_template(
                plain, add_generation_prompt=prompt, return_dict=False
            )
            assert ours.encode_chat(chat, add_generation_prompt=prompt) == expected
            text = theirs.apply_chat_template(plain, add_generation_prompt=prompt, tokenize=False)
            assert ours.chat_template.render(chat, add_generation_prompt=prompt) == text
        assert ours.decode(expected) == theirs.decode(expected, skip_special_tokens=True)


@pytest.mark.slow
def test_the_text_edge_imports_no_model_code() -> None:
    """The process that holds the sockets gets neither torch nor transformers from here."""
    code = (
        "import sys, engine.detokenizer\n"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
