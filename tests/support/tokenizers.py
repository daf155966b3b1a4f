"""Small tokenizers of every kind that is served, trained in memory in milliseconds."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import tokenizers
from tokenizers import (
    AddedToken,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from engine.tokenizer import Tokenizer

TEXT = [
    "Hello there! How are you today? I am fine, thank you very much.",
    "The quick brown fox jumps over the lazy dog; it isn't there any more.",
    "User: what is the system? Assistant: the system is a token, a start and an end.",
    "こんにちは。今日はいい天気ですね。会話を始めましょう！",
    "あなたの名前は何ですか？ 私はあおいです。よろしくお願いします。",
    "人工知能と話すのは楽しい。「そうですね」と彼女は言った。",
]

CHATML_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' "
    "+ message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

LLAMA2_TEMPLATE = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}"
    "{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)

GEMMA_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/...') }}{% endif %}"
    "{% if message['role'] == 'assistant' %}{% set role = 'model' %}"
    "{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


@functools.cache
def _byte_level_json() -> str:
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXT, trainer)
    backend.add_special_tokens(
        [_added(name, special=True) for name in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")]
    )
    backend.add_tokens([_added("<think>"), _added("</think>"), _added("\n\n"), _added("感情<笑>")])
    return str(backend.to_str())


@functools.cache
def _metaspace_json(legacy: bool, strip: bool) -> str:
    backend = tokenizers.Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.train_from_iterator(TEXT, trainer)
    spec = json.loads(backend.to_str())
    # Byte tokens are part of the vocabulary, as in SentencePiece, and no added tokens.
    spec["added_tokens"] = [t for t in spec["added_tokens"] if not t["content"].startswith("<0x")]
    backend = tokenizers.Tokenizer.from_str(json.dumps(spec))
    if legacy:
        backend.pre_tokenizer = None
        backend.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    backend.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if strip else steps)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
    )
    backend.add_special_tokens(
        [_added("<start_of_turn>", special=True), _added("<end_of_turn>", special=True)]
    )
    return str(backend.to_str())


def byte_level_backend() -> tokenizers.Tokenizer:
    """GPT-2's, Qwen's and Llama 3's kind."""
    return tokenizers.Tokenizer.from_str(_byte_level_json())


def metaspace_backend(*, legacy: bool = False, strip: bool = True) -> tokenizers.Tokenizer:
    """SentencePiece's kind; ``legacy`` puts a space after each special token, as Llama 2 did."""
    return tokenizers.Tokenizer.from_str(_metaspace_json(legacy, strip))


def word_piece_backend() -> tokenizers.Tokenizer:
    """BERT's kind."""
    backend = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=400, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False
    )
    backend.train_from_iterator(TEXT, trainer)
    return backend


def chatml_tokenizer() -> Tokenizer:
    """Byte-level BPE with a ChatML template."""
    return Tokenizer(
        byte_level_backend(),
        named_tokens={"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        template=CHATML_TEMPLATE,
    )


def llama2_tokenizer(*, legacy: bool = False) -> Tokenizer:
    """Metaspace BPE with byte fallback and the template that alternates strictly."""
    return Tokenizer(
        metaspace_backend(legacy=legacy),
        named_tokens={"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        template=LLAMA2_TEMPLATE,
    )


def gemma_tokenizer() -> Tokenizer:
    """Metaspace BPE that keeps the leading space, with the template without a system role."""
    return Tokenizer(
        metaspace_backend(strip=False),
        named_tokens={"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        template=GEMMA_TEMPLATE,
    )


def one_of_each_kind() -> dict[str, Tokenizer]:
    """The tokenizers with chat templates, by name."""
    return {
        "chatml": chatml_tokenizer(),
        "llama2": llama2_tokenizer(),
        "llama2-legacy": llama2_tokenizer(legacy=True),
        "gemma": gemma_tokenizer(),
    }


def write_folder(
    folder: Path, backend: tokenizers.Tokenizer, config: dict[str, object] | None = None
) -> Path:
    """Save a tokenizer as a checkpoint would bring it."""
    folder.mkdir(parents=True, exist_ok=True)
    backend.save(str(folder / "tokenizer.json"))
    text = json.dumps(config or {}, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    return folder


def _added(name: str, *, special: bool = False) -> AddedToken:
    return AddedToken(name, special=special, normalized=False)
