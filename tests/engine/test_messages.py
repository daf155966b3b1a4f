"""Frames are whole, bounded and understood, or refused."""

from __future__ import annotations

import os
import pickle
import random
import socket

import pytest

from engine import messages
from engine.config import EngineConfig
from engine.messages import MAX_FRAME_BYTES, BrokenFrame, FrameBuffer
from engine.outputs import StepFrame, StepStats, TokenOutput
from engine.request import EngineRequest, FinishReason
from engine.sampling_params import SamplingParams

TO_ENGINE: list[messages.ToEngine] = [
    messages.Start(EngineConfig.from_flat(model="m", kv_cache_memory="1GiB")),
    messages.Submit(
        [
            EngineRequest(
                request_id="a",
                prompt_token_ids=[1, 2],
                params=SamplingParams(temperature=0.0, stop=["x"]),
            )
        ]
    ),
    messages.Cancel(["a", "b"]),
    messages.Shutdown(),
]
FROM_ENGINE: list[messages.FromEngine] = [
    messages.LoadProgress(0.5, "weights"),
    messages.Failed("model_not_found", "no", "model"),
    messages.Step(StepFrame([TokenOutput("a", [1], FinishReason.STOP)])),
    messages.Step(
        StepFrame([], StepStats(1, 0.5, 0.1, 1, 0, 4, 0, ["a"], [], 1, 0, 8, [("a", "prefill", 4)]))
    ),
    messages.Heartbeat(),
]


@pytest.mark.parametrize("message", TO_ENGINE)
def test_commands_survive_the_way_to_the_engine(message: messages.ToEngine) -> None:
    """Encoded, framed and decoded they are equal."""
    (body,) = FrameBuffer().feed(messages.encode(message))
    assert messages.decode_to_engine(body) == message


@pytest.mark.parametrize("message", FROM_ENGINE)
def test_reports_survive_the_way_from_the_engine(message: messages.FromEngine) -> None:
    """Encoded, framed and decoded they are equal."""
    (body,) = FrameBuffer().feed(messages.encode(message))
    assert messages.decode_from_engine(body) == message


def test_frames_come_out_whole_however_the_bytes_come_in() -> None:
    """A socket cuts where it likes."""
    rng = random.Random(0)
    stream = b"".join(messages.encode(message) for message in TO_ENGINE * 20)
    buffer = FrameBuffer()
    bodies: list[bytes] = []
    while stream:
        cut = rng.randint(1, 40)
        bodies += buffer.feed(stream[:cut])
        stream = stream[cut:]
    assert [messages.decode_to_engine(body) for body in bodies] == TO_ENGINE * 20


def test_a_frame_that_claims_to_be_too_long_is_refused_before_it_is_read() -> None:
    """Four bytes must not make us wait for four gigabytes."""
    with pytest.raises(BrokenFrame, match=str(MAX_FRAME_BYTES)):
        FrameBuffer().feed(b"\xff\xff\xff\xff")


def test_a_message_longer_than_a_frame_is_not_sent() -> None:
    """The sender hears of it, not the peer."""
    with pytest.raises(BrokenFrame):
        messages.encode(messages.Cancel(["x" * (MAX_FRAME_BYTES + 1)]))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        pickle.dumps({"type": "shutdown"}),
        b"\x81\xa4type\xa4boom",
        b"\xc1",
        messages.encode(messages.Cancel(["\x7f"]))[4:].replace(b"\x7f", b"\xff"),
        b"\x91" * 100_000,
        b"\x82\xa4type\xa6cancel\xabrequest_ids" + b"\x91" * 100_000,
    ],
    ids=["empty", "zero", "pickle", "unknown", "reserved", "no text", "deep", "deep in a field"],
)
def test_anything_but_a_message_is_refused(body: bytes) -> None:
    """Pickles, garbage and unknown tags raise one kind of error."""
    with pytest.raises(BrokenFrame):
        messages.decode_to_engine(body)


def test_out_of_range_parameters_do_not_pass_the_border() -> None:
    """Ranges are checked again on the engine's side."""
    good = messages.encode(TO_ENGINE[1])[4:]
    assert messages.decode_to_engine(good) == TO_ENGINE[1]
    bad = good.replace(b"\xa1x", b"\xa0", 1)  # an empty stop string
    assert bad != good
    with pytest.raises(BrokenFrame):
        messages.decode_to_engine(bad)


def test_the_peer_of_a_socket_is_known_by_process_and_user() -> None:
    """Both ends check whom they talk to; the kernel tells, not the peer."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert messages.peer_identity(ours) == (os.getpid(), os.getuid())
