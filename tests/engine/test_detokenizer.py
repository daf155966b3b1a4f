"""Tests of the incremental detokenizer."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import regex
from tokenizers import Tokenizer as Backend
from tokenizers import decoders

from engine.detokenizer import IncrementalDetokenizer
from engine.graphemes import MAX_CLUSTER
from engine.tokenizer import Tokenizer
from tests.support.texts import random_text
from tests.support.tokenizers import (
    byte_level_backend,
    chatml_tokenizer,
    gemma_tokenizer,
    llama2_tokenizer,
    metaspace_backend,
    word_piece_backend,
)

BYTE_LEVEL = chatml_tokenizer()
LLAMA2 = llama2_tokenizer()
GEMMA = gemma_tokenizer()
WORD_PIECE = Tokenizer(word_piece_backend())
PIECEWISE = {"byte-level": BYTE_LEVEL, "llama2": LLAMA2, "gemma": GEMMA, "word-piece": WORD_PIECE}
EXACT = {"byte-level": BYTE_LEVEL, "llama2": LLAMA2, "gemma": GEMMA}


def shuffled_split(draw: random.Random, ids: Sequence[int]) -> list[list[int]]:
    """The same ids in pushes of one to four."""
    pushes, at = [], 0
    while at < len(ids):
        size = draw.choice([1, 1, 1, 2, 3, 4])
        pushes.append(list(ids[at : at + size]))
        at += size
    return pushes


def byte_tokens(tokenizer: Tokenizer, data: bytes) -> list[int]:
    """Byte-fallback tokens for these bytes."""
    ids = [tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in data]
    assert None not in ids
    return [token_id for token_id in ids if token_id is not None]


def stream(
    tokenizer: Tokenizer,
    pushes: Sequence[Sequence[int]],
    *,
    stop: Sequence[str] = (),
    min_tokens: int = 0,
    skip_special_tokens: bool = True,
) -> tuple[list[str], str | None]:
    """All deltas of a reply, and the stop string that ended it."""
    detokenizer = IncrementalDetokenizer(
        tokenizer, stop=stop, min_tokens=min_tokens, skip_special_tokens=skip_special_tokens
    )
    deltas = [detokenizer.push(ids) for ids in pushes]
    deltas.append(detokenizer.finish())
    assert detokenizer.text_length == len("".join(deltas))
    return deltas, detokenizer.stopped_by


def cut_before_stop(text: str, stop: Sequence[str]) -> tuple[str, str | None]:
    """The naive reference: read on until the text ends with a stop string."""
    for end in range(1, len(text) + 1):
        matches = [s for s in stop if text[:end].endswith(s)]
        if matches:
            longest = max(matches, key=len)
            return text[: end - len(longest)], longest
    return text, None


@pytest.mark.parametrize("kind", PIECEWISE)
def test_known_decoders_are_taken_apart(kind: str) -> None:
    """Each common kind of decoder is streamed piece by piece, not over a window."""
    assert PIECEWISE[kind].pieces() is not None


@pytest.mark.parametrize("kind", EXACT)
def test_deltas_add_up_to_the_text(kind: str) -> None:
    """Whatever the text and the pushes, the deltas are the decoded text in pieces."""
    draw = random.Random(1)
    for _ in range(120):
        text = random_text(draw, 20)
        ids = EXACT[kind].encode(text, add_special_tokens=False)
        deltas, _ = stream(EXACT[kind], shuffled_split(draw, ids))
        assert "".join(deltas) == EXACT[kind].decode(ids)


@pytest.mark.parametrize("kind", PIECEWISE)
@pytest.mark.parametrize("skip", [True, False])
def test_random_ids_give_what_decode_gives(kind: str, skip: bool) -> None:
    """Nonsense ids, broken bytes, special and unknown tokens included, stream to the same text."""
    tokenizer = PIECEWISE[kind]
    draw = random.Random(2)
    for _ in range(150):
        ids = [draw.randrange(tokenizer.vocab_size + 3) for _ in range(draw.randrange(24))]
        deltas, _ = stream(tokenizer, shuffled_split(draw, ids), skip_special_tokens=skip)
        assert "".join(deltas) == tokenizer.decode(ids, skip_special_tokens=skip)


def test_random_bytes_decode_as_the_library_does() -> None:
    """Byte-level tokens that are no UTF-8 give the library's own replacement characters."""
    backend = byte_level_backend()
    draw = random.Random(3)
    for _ in range(300):
        ids = [draw.randrange(backend.get_vocab_size()) for _ in range(16)]
        deltas, _ = stream(BYTE_LEVEL, [[token_id] for token_id in ids])
        assert "".join(deltas) == backend.decode(ids)


def test_byte_fallback_decodes_as_the_library_does_unless_broken() -> None:
    """Byte tokens that are whole characters give the library's own text."""
    backend = metaspace_backend()
    draw = random.Random(4)
    for _ in range(100):
        ids = backend.encode(random_text(draw, 12), add_special_tokens=False).ids
        deltas, _ = stream(LLAMA2, [[token_id] for token_id in ids])
        assert "".join(deltas) == backend.decode(ids)


def test_broken_byte_tokens_leave_their_neighbours_whole() -> None:
    """A broken byte becomes one U+FFFD; valid characters in the same run of bytes survive."""
    ids = byte_tokens(LLAMA2, "€".encode() + b"\xff\xe2\x82")
    deltas, _ = stream(LLAMA2, [[token_id] for token_id in ids])
    assert "".join(deltas) == "€\ufffd\ufffd\ufffd" == LLAMA2.decode(ids)


def test_characters_of_byte_tokens_do_not_wait_for_the_run_to_end() -> None:
    """Each finished character of a long run of byte tokens goes out as soon as the next is."""
    deltas, _ = stream(LLAMA2, [[token_id] for token_id in byte_tokens(LLAMA2, "€£¥".encode())])
    assert [delta for delta in deltas if delta] == ["€", "£", "¥"]


@pytest.mark.parametrize("kind", EXACT)
def test_no_delta_ends_inside_a_cluster(kind: str) -> None:
    """Each place where a delta ends is a cluster boundary of the whole text."""
    draw = random.Random(5)
    for _ in range(150):
        ids = EXACT[kind].encode(random_text(draw, 16), add_special_tokens=False)
        deltas, _ = stream(EXACT[kind], shuffled_split(draw, ids))
        text = "".join(deltas)
        boundaries = {0, *(match.end() for match in regex.finditer(r"\X", text))}
        at = 0
        for delta in deltas:
            at += len(delta)
            assert at in boundaries, (text, at)


def test_endless_marks_are_not_waited_for_for_ever() -> None:
    """A model stuck on a combining mark still produces deltas, and the buffer stays small."""
    ids = BYTE_LEVEL.encode("a" + "\u0301" * 3 * MAX_CLUSTER, add_special_tokens=False)
    deltas, _ = stream(BYTE_LEVEL, [[token_id] for token_id in ids])
    assert sum(1 for delta in deltas if delta) >= 3
    assert max(map(len, deltas)) <= MAX_CLUSTER + 1


def test_finish_gives_the_rest() -> None:
    """The cluster that waited comes with finish."""
    detokenizer = IncrementalDetokenizer(BYTE_LEVEL)
    first = detokenizer.push(BYTE_LEVEL.encode("Hello"))
    assert (first, detokenizer.finish()) == ("Hell", "o")


def test_broken_characters_are_replaced_only_at_the_end() -> None:
    """A code point that may still be completed is no replacement character yet."""
    ids = BYTE_LEVEL.encode("鬱", add_special_tokens=False)
    detokenizer = IncrementalDetokenizer(BYTE_LEVEL)
    assert detokenizer.push(ids[:-1]) == ""
    assert detokenizer.finish() == "\ufffd"


def test_the_leading_space_vanishes_once() -> None:
    """Where the decoder strips the text's first space it strips no other."""
    ids = LLAMA2.encode("a  b", add_special_tokens=False)
    deltas, _ = stream(LLAMA2, [[token_id] for token_id in ids])
    assert "".join(deltas) == "a  b"


def test_the_leading_space_stays_where_the_decoder_keeps_it() -> None:
    """Where the decoder strips nothing the first space is text."""
    ids = GEMMA.encode(" a", add_special_tokens=False)
    deltas, _ = stream(GEMMA, [[token_id] for token_id in ids])
    assert "".join(deltas) == GEMMA.decode(ids)
    assert deltas[0].startswith(" ")


def test_special_tokens_are_left_out() -> None:
    """Special tokens leave no text, the tokens around them do."""
    ids = BYTE_LEVEL.encode("a<|im_end|>b")
    assert "".join(stream(BYTE_LEVEL, [ids])[0]) == "ab"


def test_special_tokens_are_shown_on_request() -> None:
    """Without skipping, special tokens are text."""
    ids = BYTE_LEVEL.encode("a<|im_end|>b")
    deltas, _ = stream(BYTE_LEVEL, [ids], skip_special_tokens=False)
    assert "".join(deltas) == "a<|im_end|>b"


@pytest.mark.parametrize("kind", EXACT)
def test_stop_strings_equal_the_naive_reference(kind: str) -> None:
    """Random stop strings, overlapping and nested ones too, cut where reading on would."""
    draw = random.Random(7)
    stopped = 0
    for _ in range(250):
        text = "".join(draw.choices(["a", "b", "ab", "あ", "い", "\n", "。", "か\u3099"], k=24))
        ids = EXACT[kind].encode(text, add_special_tokens=False)
        whole = EXACT[kind].decode(ids)
        stop = ["".join(draw.choices("abあい\n", k=draw.randint(1, 5))) for _ in range(3)]
        start = draw.randrange(len(whole))
        stop.append(whole[start : start + draw.randint(1, 6)])
        deltas, stopped_by = stream(EXACT[kind], shuffled_split(draw, ids), stop=stop)
        assert ("".join(deltas), stopped_by) == cut_before_stop(whole, stop)
        stopped += stopped_by is not None
    assert stopped > 100


def test_the_beginning_of_a_stop_string_waits() -> None:
    """Text that may become a stop string is not shown, and is shown once it cannot."""
    detokenizer = IncrementalDetokenizer(BYTE_LEVEL, stop=["\nUser:"])
    assert detokenizer.push(BYTE_LEVEL.encode("hi\nUs")) == "hi"
    assert detokenizer.push(BYTE_LEVEL.encode("e it")) == "\nUse i"


def test_a_stop_string_ends_the_reply_at_once() -> None:
    """The push that completes the stop string returns all that comes before it."""
    detokenizer = IncrementalDetokenizer(BYTE_LEVEL, stop=["END"])
    assert detokenizer.push(BYTE_LEVEL.encode("fine END it")) == "fine "
    assert detokenizer.stopped_by == "END"
    assert detokenizer.push(BYTE_LEVEL.encode("more")) == ""
    assert detokenizer.finish() == ""


def test_an_unfinished_stop_string_is_text_after_all() -> None:
    """What waited for the rest of a stop string is shown when the reply ends without it."""
    deltas, stopped_by = stream(BYTE_LEVEL, [BYTE_LEVEL.encode("wait for EN")], stop=["END"])
    assert ("".join(deltas), stopped_by) == ("wait for EN", None)


def test_empty_stop_strings_mean_nothing() -> None:
    """An empty stop string does not end the reply."""
    assert stream(BYTE_LEVEL, [BYTE_LEVEL.encode("text")], stop=[""])[1] is None


def test_the_first_tokens_may_spell_a_stop_string() -> None:
    """Text of the first min_tokens tokens takes no part in a stop string."""
    ids = BYTE_LEVEL.encode("q.q.q.")
    for min_tokens in range(len(ids) + 1):
        expected = BYTE_LEVEL.decode(ids[:min_tokens])
        rest, stopped_by = cut_before_stop(BYTE_LEVEL.decode(ids[min_tokens:]), ["q."])
        for pushes in ([ids], [[token_id] for token_id in ids]):
            deltas, found = stream(BYTE_LEVEL, pushes, stop=["q."], min_tokens=min_tokens)
            assert ("".join(deltas), found) == (expected + rest, stopped_by)


def unknown_decoder() -> Tokenizer:
    """A tokenizer whose decoder is none of the known ones: the last token decides on a space."""
    spec = byte_level_backend().to_str()
    backend: Backend = Backend.from_str(spec)
    backend.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Replace("q", "Q")])
    return Tokenizer(backend)


def test_an_unknown_decoder_is_streamed_over_a_window() -> None:
    """A decoder that cannot be taken apart still gives its own text, cluster by cluster."""
    tokenizer = unknown_decoder()
    assert tokenizer.pieces() is None
    draw = random.Random(8)
    for _ in range(60):
        ids = tokenizer.encode(random_text(draw, 12) + "q", add_special_tokens=False)
        deltas, _ = stream(tokenizer, shuffled_split(draw, ids))
        assert "".join(deltas) == tokenizer.decode(ids)


def test_the_window_does_not_grow() -> None:
    """Tokens without any text do not pile up in the window."""
    tokenizer = unknown_decoder()
    special = tokenizer.token_to_id("<|im_end|>")
    assert special is not None
    deltas, _ = stream(tokenizer, [[special]] * 200 + [tokenizer.encode("ok")])
    assert "".join(deltas) == "ok"
