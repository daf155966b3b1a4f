"""Train the byte-level BPE tokenizer and write dialogues as token ids."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from tools.demo_dialogues.generator import Dialogue

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCAB_SIZE = 4096

CHAT_TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""

# A name must become the same tokens wherever it stands, or the model cannot copy it: a blank
# before a capital is a token of its own, digits stand alone, Japanese is cut where the script
# changes, and the syllables that follow a name are cut off from it.
_SUFFIXES = "さん|です|だよ|って|という|といい|と申"
_PIECES = (
    rf"\[[a-z]+\]|{_SUFFIXES}|'(?:m|s|re|t|ll|ve|d)(?![a-z])"
    r"| ?[a-z]+|[A-Z]+[a-z]*|\p{N}|[\p{Han}々]+|[\p{Katakana}ー]+"
    rf"|(?:(?!{_SUFFIXES})\p{{Hiragana}})+| ?[^\s\p{{L}}\p{{N}}\[\]']+|\s+"
)


def train_tokenizer(texts: Iterable[str], *, vocab_size: int = VOCAB_SIZE) -> Tokenizer:
    """Learn merges from ``texts``; all bytes are in the vocabulary, so any text round-trips."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[
            AddedToken(text, special=True, normalized=False) for text in (PAD, START, END)
        ],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, directory: Path) -> None:
    """Write what ``tokenizers`` and ``AutoTokenizer`` read."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 2048,
    }
    (directory / "tokenizer_config.json").write_text(
        json.dumps(config, indent=2) + "\n", encoding="utf-8"
    )
    (directory / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Example:
    """One dialogue as ids; ``learn[i]`` tells whether ``ids[i]`` is a token to be predicted."""

    ids: list[int]
    learn: list[bool]


def encode_dialogue(dialogue: Dialogue, tokenizer: Tokenizer) -> Example:
    """Write a dialogue in the chat template and mark what the model is to learn."""
    ids: list[int] = []
    learn: list[bool] = []
    for message in dialogue.messages:
        head = tokenizer.encode(f"{START}{message.role}\n").ids
        body = tokenizer.encode(f"{message.content}{END}").ids
        tail = tokenizer.encode("\n").ids
        ids += head + body + tail
        flags = [message.learn != "none"] * len(body)
        if message.learn == "body":
            flags[0] = False
        learn += [False] * len(head) + flags + [False] * len(tail)
    return Example(ids, learn)


def render_prompt(dialogue: Dialogue) -> str:
    """Write all but the last message, and the opening of the reply that is due."""
    text = "".join(f"{START}{m.role}\n{m.content}{END}\n" for m in dialogue.messages[:-1])
    return text + f"{START}assistant\n"
