"""The core with a gate: who waits for a grammar, who is refused, and who never notices."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

from engine import messages
from engine.config import EngineConfig
from engine.core import EngineCore
from engine.engine_client import InProcessClient
from engine.grammar.gate import GrammarGate
from engine.outputs import StepFrame, TokenOutput
from engine.request import EngineRequest, FinishReason, RequestUpdate, Service
from engine.sampling_params import SamplingParams
from engine.worker import Link, serve
from tests.support.fake_grammars import BAD, FakeCompiling, grammar
from tests.support.scripted_model import ManualClock, ScriptedModelRunner, scripted_info
from tests.support.waiting import until


def core_with(gate: GrammarGate | None) -> EngineCore:
    """A core over a scripted model, which pays no heed to grammars."""
    config = EngineConfig.from_flat(model="scripted")
    return EngineCore(
        scripted_info(64, config), config, ScriptedModelRunner(64), ManualClock(), gate=gate
    )


def request(name: str, source: str | None = None, *, is_final: bool = True) -> EngineRequest:
    """Three tokens, with or without a grammar."""
    return EngineRequest(
        request_id=name,
        prompt_token_ids=[1, 2, 3],
        params=params(source),
        service=Service(is_final=is_final),
    )


def params(source: str | None) -> SamplingParams:
    """Of a reply of three tokens."""
    return SamplingParams(max_tokens=3, grammar=None if source is None else grammar(source))


def finish(core: EngineCore) -> dict[str, TokenOutput]:
    """Step until idle; the last output of each request."""
    last: dict[str, TokenOutput] = {}
    while core.has_work:
        last |= {output.request_id: output for output in core.step().outputs}
        core.scheduler.check_integrity()
    return last


def test_a_request_waits_and_others_do_not() -> None:
    """It is unknown to the scheduler until its grammar is compiled; then it runs like any."""
    fake = FakeCompiling()
    core = core_with(GrammarGate(fake.compiler))
    core.submit([request("a", "x"), request("b")])
    assert list(finish(core)) == ["b"]
    assert not core.has_work
    fake.run()
    assert core.has_work
    assert finish(core)["a"].finish_reason is FinishReason.LENGTH


def test_a_bad_grammar_is_refused_by_name() -> None:
    """Late for the first, at once for the next; nobody else notices."""
    fake = FakeCompiling()
    core = core_with(GrammarGate(fake.compiler))
    core.submit([request("a", BAD), request("b")])
    fake.run()
    ends = finish(core)
    assert (ends["a"].error_code, ends["a"].error_param) == ("invalid_grammar", "grammar")
    assert ends["b"].finish_reason is FinishReason.LENGTH
    [refused] = core.submit([request("c", BAD)]).outputs
    assert refused.error_code == "invalid_grammar"


def test_without_a_gate_grammars_are_refused() -> None:
    """The sentence says why."""
    [refused] = core_with(None).submit([request("a", "x")]).outputs
    assert refused.error_code == "invalid_grammar"


def test_a_request_may_be_cancelled_while_its_grammar_compiles() -> None:
    """It ends once, with abort, and does not come back."""
    fake = FakeCompiling()
    core = core_with(GrammarGate(fake.compiler))
    core.submit([request("a", "x")])
    [ended] = core.cancel(["a"]).outputs
    assert (ended.finish_reason, ended.num_prompt_tokens) == (FinishReason.ABORT, 3)
    assert core.cancel(["a"]).outputs == []
    fake.run()
    assert finish(core) == {}


def test_an_id_that_waits_is_taken() -> None:
    """A second request of that name is refused, and the first is not disturbed."""
    fake = FakeCompiling()
    core = core_with(GrammarGate(fake.compiler))
    core.submit([request("a", "x")])
    [refused] = core.submit([request("a")]).outputs
    assert refused.error_code == "duplicate_request"
    fake.run()
    assert finish(core)["a"].finish_reason is FinishReason.LENGTH


def test_the_last_part_of_a_prompt_may_bring_a_grammar() -> None:
    """The prompt read so far stays; the reply begins when the grammar is there."""
    fake = FakeCompiling()
    core = core_with(GrammarGate(fake.compiler))
    core.submit([request("a", is_final=False)])
    finish(core)
    core.update([RequestUpdate(request_id="a", token_ids=[4], params=params("x"), is_final=True)])
    assert finish(core) == {}
    fake.run()
    assert finish(core)["a"].num_output_tokens == 3


def test_the_last_part_of_a_prompt_may_bring_a_bad_grammar() -> None:
    """That ends the request, whether it waits here itself or is with the scheduler."""
    fake = FakeCompiling()
    core = core_with(GrammarGate(fake.compiler))
    bad = params(BAD)
    core.submit([request("a", is_final=False), request("b", "x", is_final=False)])
    finish(core)
    core.update([RequestUpdate(request_id=n, params=bad, is_final=True) for n in ("a", "b")])
    fake.run()
    ends = finish(core)
    assert {name: end.error_code for name, end in ends.items()} == {
        "a": "invalid_grammar",
        "b": "invalid_grammar",
    }
    core.submit([request("c", "y", is_final=False)])
    [ended] = core.update([RequestUpdate(request_id="c", params=bad, is_final=True)]).outputs
    assert ended.error_code == "invalid_grammar"
    fake.run()
    assert finish(core) == {}


async def test_the_client_in_process_wakes_when_a_grammar_is_compiled() -> None:
    """Nothing else happens in the meantime, so only the compiling thread can wake it."""
    fake = FakeCompiling()
    client = InProcessClient(core_with(GrammarGate(fake.compiler)))
    ends: list[TokenOutput] = []

    def listen(frames: Sequence[StepFrame]) -> None:
        ends.extend(output for one in frames for output in one.outputs if output.finish_reason)

    client.listen(listen, lambda reason: None)
    client.submit([request("a", "x"), request("b", BAD)])
    thread = threading.Thread(target=fake.run)
    thread.start()
    thread.join()
    await until(lambda: len(ends) == 2)
    assert {end.request_id: end.error_code for end in ends} == {"a": None, "b": "invalid_grammar"}
    await client.aclose()


def test_an_idle_worker_wakes_when_a_grammar_is_compiled() -> None:
    """The frame comes long before the next heartbeat would have made it look."""
    fake = FakeCompiling()
    ours, theirs = socket.socketpair()
    core = core_with(GrammarGate(fake.compiler))
    serving = threading.Thread(target=serve, args=(core, Link(theirs)), daemon=True)
    serving.start()
    ours.settimeout(30)
    ours.sendall(messages.encode(messages.Submit([request("a", "x"), request("b")])))
    frames = messages.FrameBuffer()
    ended: list[str] = []

    def read_until(count: int) -> None:
        while len(ended) < count:
            for body in frames.feed(ours.recv(65536)):
                message = messages.decode_from_engine(body)
                if isinstance(message, messages.Step):
                    outputs = message.frame.outputs
                    ended.extend(o.request_id for o in outputs if o.finish_reason)

    read_until(1)
    assert ended == ["b"]
    fake.run()
    read_until(2)
    ours.sendall(messages.encode(messages.Shutdown()))
    serving.join(timeout=30)
    assert not serving.is_alive()
    assert ended == ["b", "a"]
    ours.close()
    theirs.close()
