"""Good frames of a client, and spoilt ones made of them."""

from __future__ import annotations

import json
import random
from typing import Any

ITEM = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "やあ \N{WAVING HAND SIGN}"}],
}
SEEDS = [
    {"type": "conversation.item.create", "event_id": "e", "item": ITEM, "previous_item_id": "root"},
    {
        "type": "response.create",
        "response": {"metadata": {"a": "b"}, "temperature": 0.5, "stop": ["x"], "input": [ITEM]},
    },
    {
        "type": "session.update",
        "session": {"type": "realtime", "tools": [{"type": "function", "name": "f"}], "seed": 3},
    },
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "text_end": 3},
    {"type": "conversation.item.delete", "item_id": "i"},
    {"type": "response.create", "response": {"if_active": "interrupt", "logit_bias": {"5": 1}}},
    {
        "type": "session.update",
        "session": {
            "truncation": {"type": "retention_ratio", "retention_ratio": 0.5, "token_limits": {}},
            "output_modalities": ["audio"],
            "max_output_tokens": 5,
            "instructions": "x",
            "character": {"events": ["character.v1"]},
        },
    },
    {"type": "response.cancel", "response_id": "resp_t_1"},
    {
        "type": "session.update",
        "session": {
            "character": {
                "card": {"spec": "chara_card_v2", "data": {"name": "Mio", "first_mes": "Hi."}},
                "user_name": "Ken",
                "greeting_index": 0,
                "lore": True,
                "expressions": ["happy"],
                "motions": ["wave"],
                "tags": {"mode": "enforced", "every": "reply"},
                "tag_dialect": "strip",
                "segment": {"first_min": 5, "min": 5, "max": 50, "langs": ["ja"]},
                "visemes": {"scheme": "oculus"},
                "listener": {"kind": "speech", "rate": 10},
                "memory": {"summary": "They met.", "auto": True},
                "proactive": {"idle_ms": 5000, "max_per_hour": 3, "instructions": "Sing."},
            }
        },
    },
    {"type": "session.update", "session": {"character": {"group": ["aoi", "haru"]}}},
    {
        "type": "response.create",
        "response": {
            "if_active": "queue",
            "heard": {"item_id": "item_t_1", "text_end": 2},
            "continues": "item_t_1",
            "character_id": "aoi",
        },
    },
    {
        "type": "character.playback",
        "item_id": "item_t_1",
        "segment_index": 0,
        "text_end": 1,
        "state": "interrupted",
    },
    {"type": "character.greet", "index": 0, "language": "ja"},
    {"type": "character.trigger", "name": "gift", "params": {"n": 1}, "if_active": "interrupt"},
    {"type": "character.context", "key": "sky", "text": "It rains.", "ttl_turns": 2},
    {"type": "character.draft", "text": "Hel"},
]
JUNK: list[Any] = [
    None,
    True,
    -1,
    2**70,
    1.5,
    "",
    "x",
    "\x00",
    [],
    {},
    [[]],
    {"type": "message"},
    "response",
]


def spoilt_frame(rng: random.Random) -> str | bytes:
    """Spoil a good frame, in its tree or in its bytes."""
    frame = json.loads(json.dumps(rng.choice(SEEDS)))
    node: Any = frame
    for _ in range(rng.randrange(4)):
        children = [
            key
            for key in (node if isinstance(node, dict) else range(len(node)))
            if isinstance(node[key], dict | list) and node[key]
        ]
        if not children:
            break
        node = node[rng.choice(children)]
    key = rng.choice(list(node) if isinstance(node, dict) else list(range(len(node))))
    node[key] = rng.choice(JUNK)
    text = bytearray(json.dumps(frame, ensure_ascii=rng.random() < 0.5).encode())
    for _ in range(rng.choice([0, 0, 1, 3])):
        at = rng.randrange(len(text) or 1)
        match rng.randrange(4):
            case 0:
                text[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del text[at : at + rng.randrange(1, 5)]
            case 2:
                text[at:at] = rng.choice([b"\\ud800", b"NaN", b"{", b"[[", b'"', b"\xff", b"1e999"])
            case _:
                text = text[: at + 1]
    return bytes(text) if rng.random() < 0.5 else text.decode(errors="surrogateescape")
