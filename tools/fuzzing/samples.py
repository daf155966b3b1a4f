"""Well-formed input of every kind, to be damaged."""

from __future__ import annotations

from typing import Any

from engine import messages
from engine.config import EngineConfig
from engine.outputs import StepFrame, StepStats, TokenOutput
from engine.request import EngineRequest, FinishReason, RequestUpdate, Service
from engine.sampling_params import Grammar, SamplingParams

TOOL = {
    "type": "function",
    "name": "look",
    "description": "Look somewhere.",
    "parameters": {
        "type": "object",
        "properties": {"where": {"type": "string", "enum": ["up", "down"]}},
        "required": ["where"],
    },
}
SAMPLING = {
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.05,
    "seed": 7,
    "stop": ["\n\n"],
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "repetition_penalty": 1.1,
    "logit_bias": {"7": 1.5},
    "min_tokens": 1,
}


def _message(role: str, kind: str, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}], **more}


CLIENT_EVENTS: list[dict[str, Any]] = [
    {
        "type": "session.update",
        "event_id": "mine_1",
        "session": {
            "type": "realtime",
            "instructions": "Be brief.",
            "output_modalities": ["text"],
            "max_output_tokens": 60,
            "tools": [TOOL],
            "tool_choice": "auto",
            "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
            "metadata": {"a": "b"},
            "character": {
                "events": True,
                "listener": {"kind": "reading", "rate": 20},
                "user_name": "Ken",
                "memory": {"summary": "They met.", "auto": True},
                "tag_mode": "enforced",
                "tag_every": "segment",
            },
            **SAMPLING,
        },
    },
    {"type": "session.update", "session": {"response_format": {"type": "json_object"}}},
    {"type": "session.update", "session": {"structured_outputs": {"regex": "[a-z]+"}}},
    {
        "type": "conversation.item.create",
        "previous_item_id": "root",
        "item": _message("user", "input_text", "Hello there.", id="item_1"),
    },
    {"type": "conversation.item.create", "item": _message("system", "input_text", "It rains.")},
    {"type": "conversation.item.create", "item": _message("assistant", "output_text", "Hi.")},
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
    },
    {
        "type": "conversation.item.create",
        "item": {"type": "function_call_output", "call_id": "c1", "output": "a bird"},
    },
    {"type": "conversation.item.retrieve", "item_id": "item_1"},
    {
        "type": "conversation.item.truncate",
        "item_id": "item_1",
        "content_index": 0,
        "audio_end_ms": 0,
        "text_end": 3,
    },
    {"type": "conversation.item.delete", "item_id": "item_1"},
    {
        "type": "response.create",
        "response": {
            "conversation": "none",
            "input": [_message("user", "input_text", "Aside.")],
            "instructions": "Whisper.",
            "max_output_tokens": 20,
            "metadata": {"topic": "x"},
            "tools": [TOOL],
            "tool_choice": {"type": "function", "name": "look"},
            "structured_outputs": {"choice": ["yes", "no"]},
            **SAMPLING,
        },
    },
    {"type": "response.create", "response": {"if_active": "interrupt"}},
    {
        "type": "response.create",
        "response": {"if_active": "queue", "heard": {"item_id": "item_1", "text_end": 2}},
    },
    {"type": "response.create"},
    {"type": "response.cancel", "response_id": "resp_1"},
    {"type": "character.draft", "text": "I was about to"},
    {"type": "character.greet", "index": 0, "language": "ja"},
    {"type": "character.trigger", "name": "gift", "params": {"what": "tea"}, "if_active": "queue"},
    {"type": "character.context", "key": "time", "text": "noon", "ttl_turns": 3},
    {"type": "character.playback", "item_id": "item_1", "text_end": 4, "state": "started"},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
]

COMPLETIONS: list[dict[str, Any]] = [
    {
        "model": "aoi",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Hello."}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "look", "arguments": "{}"},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "a bird"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "n": 1,
        "max_tokens": 16,
        "logprobs": True,
        "top_logprobs": 2,
        "tools": [{"type": "function", "function": {k: v for k, v in TOOL.items() if k != "type"}}],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "tag_dialect": "face",
        "tag_mode": "enforced",
        "tag_every": "reply",
        "listener": {"kind": "reading", "rate": 20},
        **SAMPLING,
    },
    {
        "model": "kaiwa-demo",
        "messages": [{"role": "user", "content": "Hello."}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": TOOL["parameters"]},
        },
    },
    {"model": "aoi", "messages": [{"role": "user", "content": "x"}], "guided_regex": "[a-z]{1,9}"},
]

CLIENT_SECRETS: list[dict[str, Any]] = [
    {
        "expires_after": {"anchor": "created_at", "seconds": 600},
        "session": {
            **CLIENT_EVENTS[0]["session"],
            "model": "aoi",
        },
    }
]

_PARAMS = SamplingParams(
    temperature=0.5, stop=["x"], logit_bias={3: 1.0}, grammar=Grammar(kind="regex", source="[a-z]+")
)

TO_ENGINE: list[messages.ToEngine] = [
    messages.Start(EngineConfig.from_flat(model="m", kv_cache_memory="1GiB")),
    messages.Submit(
        [
            EngineRequest(
                request_id="a",
                prompt_token_ids=[1, 2, 3],
                params=_PARAMS,
                service=Service(tenant="mio"),
            )
        ]
    ),
    messages.Update([RequestUpdate(request_id="a", token_ids=[4], num_heard_tokens=1)]),
    messages.Cancel(["a", "b"]),
    messages.Release(["conv_1"]),
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
