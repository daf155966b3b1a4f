"""What the runner knows of the sequence in a slot: the mirror that plans bring up to date."""

from __future__ import annotations

from array import array

from engine.grammar.state import GrammarState
from engine.outputs import SlotLoad
from engine.sampling_params import SamplingParams


class SlotState:
    """One sequence, as far as the runner has computed it.

    The scheduler says what changes and never repeats what is known; tokens that were sampled here
    are appended here, so that the next step can be launched before anybody else has read them.

    Attributes:
        request_id: Whose.
        params: How to sample.
        token_ids: Prompt and reply so far.
        num_prompt_tokens: How many of them are the prompt.
        num_computed_tokens: How many have their KV in the blocks.
        block_table: ``array("i")`` of blocks, oldest first.
        stop_token_ids: Tokens that end the reply.
        reply_in_grammar: How far the reply has come in its grammar, once somebody has asked.
    """

    __slots__ = (
        "block_table",
        "num_computed_tokens",
        "num_prompt_tokens",
        "params",
        "reply_in_grammar",
        "request_id",
        "stop_token_ids",
        "token_ids",
    )

    def __init__(self, load: SlotLoad) -> None:
        """Take over what a plan says; its lists are the mirror's own from here on."""
        self.request_id = load.request_id
        self.params: SamplingParams = load.params
        self.token_ids = load.token_ids
        self.num_prompt_tokens = load.num_prompt_tokens
        self.num_computed_tokens = load.num_computed_tokens
        self.block_table = array("i", load.block_table)
        self.stop_token_ids = load.stop_token_ids
        self.reply_in_grammar: GrammarState | None = None

    @property
    def num_tokens(self) -> int:
        """Prompt and reply together."""
        return len(self.token_ids)

    @property
    def num_output_tokens(self) -> int:
        """Tokens of the reply so far."""
        return len(self.token_ids) - self.num_prompt_tokens
