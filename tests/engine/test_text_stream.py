"""One request's outputs become text with exactly one end."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken

from engine.outputs import RequestDelta, TokenOutput
from engine.request import FinishReason
from engine.sampling_params import SamplingParams
from engine.text_stream import TextStream, complete, dry_breaker_ids
from engine.tokenizer import Tokenizer
from tests.support.chat_templates import QWEN_TOOLS
from tests.support.tokenizers import byte_level_backend, chatml_tokenizer


def outputs(text: str, reason: FinishReason, stop_token_id: int | None = None) -> list[TokenOutput]:
    """Return one output per token of a text, the last one terminal."""
    ids = chatml_tokenizer().encode_plain(text)
    if stop_token_id is not None:
        ids.append(stop_token_id)
    last = len(ids) - 1
    return [
        TokenOutput(
            "a",
            [token_id],
            reason if index == last else None,
            stop_token_id=stop_token_id if index == last else None,
        )
        for index, token_id in enumerate(ids)
    ]


def play(stream: TextStream, steps: list[TokenOutput]) -> list[RequestDelta]:
    """Push outputs until the stream says that it has ended."""
    deltas = []
    for output in steps:
        deltas.append(stream.push(output))
        if stream.finished:
            break
    return deltas


def make_stream(**params: object) -> TextStream:
    """Return a stream over the small tokenizer."""
    return TextStream("a", SamplingParams(**params), chatml_tokenizer())  # type: ignore[arg-type]


def test_the_text_is_whole_at_the_end() -> None:
    """What waited for its cluster to be complete is released by the end."""
    deltas = play(make_stream(), outputs("会話 and more👍🏽", FinishReason.LENGTH))
    assert "".join(delta.text for delta in deltas) == "会話 and more👍🏽"
    assert deltas[-1].finish_reason is FinishReason.LENGTH


def test_the_end_token_is_a_token_and_no_text() -> None:
    """It ends the reply and is told as the reason."""
    end = chatml_tokenizer().token_to_id("<|im_end|>")
    assert end is not None
    deltas = play(make_stream(), outputs("Bye.", FinishReason.STOP, stop_token_id=end))
    assert "".join(delta.text for delta in deltas) == "Bye."
    assert (deltas[-1].token_ids, deltas[-1].stop_reason) == ([end], end)


def test_an_ordinary_token_that_ends_the_reply_is_no_text_either() -> None:
    """Stop tokens need not be special."""
    (full_stop,) = chatml_tokenizer().encode_plain(".")
    deltas = play(make_stream(), outputs("Bye", FinishReason.STOP, stop_token_id=full_stop))
    assert "".join(delta.text for delta in deltas) == "Bye"


def test_a_stop_string_ends_it_before_the_engine_knows() -> None:
    """The delta is terminal although the output is not."""
    steps = outputs("One, two, three.", FinishReason.LENGTH)
    stream = make_stream(stop="two")
    deltas = play(stream, steps)
    assert len(deltas) < len(steps)
    assert "".join(delta.text for delta in deltas) == "One, "
    assert (deltas[-1].finish_reason, deltas[-1].stop_reason) == (FinishReason.STOP, "two")


def test_an_error_is_handed_on() -> None:
    """With its code and sentence."""
    failed = TokenOutput("a", [], FinishReason.ERROR, error_code="step_failed", error_message="no")
    delta = make_stream().push(failed)
    assert (delta.error_code, delta.error_message) == ("step_failed", "no")


def test_a_seed_is_drawn_where_there_is_none_and_kept_where_there_is_one() -> None:
    """A greedy request needs none."""
    tokenizer = chatml_tokenizer()
    assert complete(SamplingParams(), tokenizer).seed is not None
    assert complete(SamplingParams(seed=-3), tokenizer).seed == -3
    assert complete(SamplingParams(temperature=0), tokenizer).seed is None


def test_dry_gets_breakers_where_the_caller_named_none() -> None:
    """Special tokens and the scaffolding of a chat; the caller's own are kept."""
    tokenizer = chatml_tokenizer()
    breakers = complete(SamplingParams(dry_multiplier=0.8), tokenizer).dry_breaker_ids
    assert breakers == dry_breaker_ids(tokenizer)
    assert set(breakers) >= {*tokenizer.special_token_ids, *tokenizer.encode_plain("\n")}
    own = SamplingParams(dry_multiplier=0.8, dry_breaker_ids=[5])
    assert complete(own, tokenizer).dry_breaker_ids == [5]


@pytest.mark.parametrize("special", [True, False])
def test_call_markers_are_part_of_the_text(special: bool) -> None:
    """Also where the vocabulary counts them as structure; other special tokens stay hidden."""
    backend = byte_level_backend()
    names = ("<tool_call>", "</tool_call>")
    backend.add_tokens([AddedToken(name, special=special, normalized=False) for name in names])
    tokenizer = Tokenizer(backend, template=QWEN_TOOLS)
    assert dict(tokenizer.tool_dialect.token_ids).keys() == set(names)
    text = '<tool_call>\n{"name": "f"}\n</tool_call>'
    ids = tokenizer.encode(text + "<|endoftext|>")
    stream = TextStream("r", SamplingParams(), tokenizer)
    deltas = [stream.push(TokenOutput("r", [token_id])) for token_id in ids[:-1]]
    deltas.append(stream.push(TokenOutput("r", ids[-1:], FinishReason.LENGTH)))
    assert "".join(delta.text for delta in deltas) == text
