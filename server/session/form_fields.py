"""The fields that say what a reply may be: checked, and kept as they were written for show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from msgspec import UNSET

from server.protocol.objects import ResponseParams, SessionPatch
from server.tools.definitions import read_tool_choice, read_tools
from server.tools.reply_form import FormWish
from server.tools.text_formats import read_response_format, read_structured_outputs


def change_form(wish: FormWish, patch: SessionPatch | ResponseParams, path: str) -> dict[str, Any]:
    """Apply what a patch says; ``null`` goes back to the default.

    Whether wishes fit together is seen when a reply is asked for, because they may come one by one.

    Args:
        wish: What held before.
        patch: Whose fields that are not set change nothing.
        path: ``session`` or ``response``.

    Returns:
        The settings' fields that change.

    Raises:
        ProtocolError: A field is refused.
    """
    changes: dict[str, Any] = {}
    if patch.tools is not UNSET:
        changes["tools"] = patch.tools or []
        wish = replace(wish, tools=read_tools(changes["tools"], f"{path}.tools"))
    if patch.tool_choice is not UNSET:
        changes["tool_choice"] = patch.tool_choice or "auto"
        wish = replace(wish, choice=read_tool_choice(patch.tool_choice, f"{path}.tool_choice"))
    if patch.parallel_tool_calls is not UNSET:
        changes["parallel_tool_calls"] = patch.parallel_tool_calls is not False
        wish = replace(wish, parallel=changes["parallel_tool_calls"])
    if patch.response_format is not UNSET:
        changes["response_format"] = patch.response_format
        read = read_response_format(patch.response_format, f"{path}.response_format")
        wish = replace(wish, response_format=read)
    if patch.structured_outputs is not UNSET:
        changes["structured_outputs"] = patch.structured_outputs
        read = read_structured_outputs(patch.structured_outputs, f"{path}.structured_outputs")
        wish = replace(wish, structured_outputs=read)
    return {**changes, "form_wish": wish} if changes else {}
