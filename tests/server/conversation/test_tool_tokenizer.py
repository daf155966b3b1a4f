"""Prompts that show tools, and what the model still knows of them in the next turn."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken

from engine.chat_template import ChatMessage
from engine.tokenizer import Tokenizer
from engine.tool_dialect import Tool, ToolCall
from server.conversation.token_log import TokenLog, encode_turn
from server.conversation.tool_tokenizer import with_tools
from tests.support.chat_templates import QWEN_TOOLS
from tests.support.tokenizers import byte_level_backend

ROLL = Tool("roll", "Roll a die.", {"type": "object", "properties": {}})
ASKED = [ChatMessage("system", "You are Aoi."), ChatMessage("user", "roll")]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """A model's that learned to call, with tokens for the markers."""
    backend = byte_level_backend()
    backend.add_tokens([AddedToken(name) for name in ("<tool_call>", "</tool_call>")])
    return Tokenizer(backend, named_tokens={"eos_token": "<|im_end|>"}, template=QWEN_TOOLS)


def test_every_prompt_shows_the_tools(tokenizer: Tokenizer) -> None:
    """Whichever way it is made."""
    bound = with_tools(tokenizer, [ROLL])
    expected = tokenizer.encode_chat(ASKED, tools=[ROLL])
    assert bound.encode_chat(ASKED) == expected
    assert bound.encode_marked(bound.mark_chat(ASKED)) == expected
    assert bound.tool_dialect == tokenizer.tool_dialect
    assert bound.encode_plain("a") == tokenizer.encode_plain("a")


def test_without_tools_it_is_the_tokenizer(tokenizer: Tokenizer) -> None:
    """Nothing stands between."""
    assert with_tools(tokenizer, []) is tokenizer


def test_what_was_called_is_still_known_with_the_result(tokenizer: Tokenizer) -> None:
    """A call in the template's own spelling is read from what was computed for it."""
    bound = with_tools(tokenizer, [ROLL])
    turn = encode_turn(TokenLog(), ASKED, bound)
    reply = 'Hm.\n<tool_call>\n{"name": "roll", "arguments": {"n": 6}}\n</tool_call><|im_end|>'
    log = turn.log.with_reply(tokenizer.encode(reply), bound)
    call = ToolCall("c", "roll", '{"n": 6}')
    answered = [
        *ASKED,
        ChatMessage("assistant", "Hm.", (call,)),
        ChatMessage("tool", "4", (), "c", "roll"),
    ]
    after = encode_turn(log, answered, bound)
    assert after.num_kept == len(log.token_ids)
    assert after.rerendered is None
    assert after.log.token_ids == tokenizer.encode_chat(answered, tools=[ROLL])


def test_other_tools_are_read_anew(tokenizer: Tokenizer) -> None:
    """They stand at the beginning, so hardly anything is kept."""
    log = encode_turn(TokenLog(), ASKED, with_tools(tokenizer, [ROLL])).log
    turn = encode_turn(log, [*ASKED, ChatMessage("assistant", "ok")], tokenizer)
    assert turn.num_kept < 5
