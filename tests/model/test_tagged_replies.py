"""Whole replies of an engine that holds a model of random weights to tags."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.llm import LLM
from engine.request import FinishReason
from engine.sampling_params import Grammar, SamplingParams
from server.text.tag_dialects import TagText
from server.text.tag_rules import Every
from server.tools.tag_grammar import tagged_reply
from tests.support.tiny_models import EOS, make_checkpoint
from tools.tag_judge import judge, leaks

FACES, MOTIONS = ("happy", "sad", "relaxed"), ("wave", "nod")


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> LLM:
    """A tiny model, loaded once."""
    folder: Path = tmp_path_factory.mktemp("tags")
    return LLM(str(make_checkpoint(folder)), kv_cache_tokens=4096, num_threads=1, max_num_seqs=8)


@pytest.mark.slow
@pytest.mark.parametrize("every", ["segment", "reply"])
def test_no_reply_breaks_the_rules(llm: LLM, every: Every) -> None:
    """Drawn in batches at temperature 1, some ended by the model and some cut off: none leaks."""
    grammar = Grammar(kind="lark", source=tagged_reply(FACES, MOTIONS, every))
    params = [
        SamplingParams(
            grammar=grammar,
            seed=seed,
            max_tokens=5 + seed % 40,
            logit_bias={EOS: 8.0} if seed % 2 else {},
        )
        for seed in range(64)
    ]
    outputs = llm.generate([[5 + seed % 9, 7, 8] for seed in range(64)], params)
    ends = {output.finish_reason for output in outputs}
    assert ends == {FinishReason.STOP, FinishReason.LENGTH}
    for output in outputs:
        is_whole = output.finish_reason is FinishReason.STOP
        verdict = judge(output.text, FACES, MOTIONS, every=every, is_whole=is_whole)
        assert verdict.is_legal, (verdict, output.text)
        text = TagText(FACES, "strip", MOTIONS)
        shown = "".join(map(text.feed, output.text)) + (text.finish() if is_whole else "")
        assert not leaks(shown), output.text
