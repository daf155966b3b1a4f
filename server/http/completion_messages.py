"""The messages of a chat completion: checked, and made what the chat template takes."""

from __future__ import annotations

import msgspec

from engine.chat_template import ChatMessage, Role
from engine.tool_dialect import ToolCall
from server.http.refusals import invalid

MAX_MESSAGES = 4096


class ContentPart(msgspec.Struct):
    """One part of a message's content; only text is understood."""

    type: str
    text: str | None = None
    refusal: str | None = None


class CalledFunction(msgspec.Struct):
    """What was called."""

    name: str
    arguments: str


class ToolCallBody(msgspec.Struct):
    """One call, as a completion before has given it out."""

    id: str
    function: CalledFunction
    type: str = "function"


class MessageBody(msgspec.Struct):
    """One message as the client wrote it."""

    role: str
    content: str | list[ContentPart] | None = None
    tool_calls: list[ToolCallBody] | None = None
    tool_call_id: str | None = None


def read_messages(messages: list[MessageBody]) -> list[ChatMessage]:
    """Check messages and make them the template's.

    Raises:
        HttpRefusal: 400, with the field at fault as ``param``.
    """
    if not messages:
        raise invalid("messages", "messages is empty; send at least one")
    if len(messages) > MAX_MESSAGES:
        raise invalid(
            "messages", f"{len(messages)} messages are sent; at most {MAX_MESSAGES} are read"
        )
    names: dict[str, str] = {}
    read: list[ChatMessage] = []
    for index, message in enumerate(messages):
        here = f"messages[{index}]"
        role = _role(message.role, f"{here}.role")
        text = _text(message.content, f"{here}.content")
        if role == "tool":
            read.append(_result(message, text, names, here))
            continue
        calls = _calls(message, here) if role == "assistant" else ()
        names.update((call.id, call.name) for call in calls)
        if text is not None or calls:
            read.append(ChatMessage(role, text or "", calls))
        else:
            raise invalid(f"{here}.content", f"{here}.content is missing")
    return read


def _role(role: str, param: str) -> Role:
    """Map to the roles that chat templates know; an elder function's result is the user's side."""
    match role:
        case "system" | "developer":
            return "system"
        case "user" | "function":
            return "user"
        case "assistant":
            return "assistant"
        case "tool":
            return "tool"
    raise invalid(param, f"{param} must be system, developer, user, assistant, tool or function")


def _result(
    message: MessageBody, text: str | None, names: dict[str, str], path: str
) -> ChatMessage:
    for field, value in (("content", text), ("tool_call_id", message.tool_call_id)):
        if value is None:
            raise invalid(
                f"{path}.{field}", f"{path}.{field} is missing", code="missing_required_parameter"
            )
    call_id = message.tool_call_id
    return ChatMessage("tool", text or "", (), call_id, names.get(call_id or ""))


def _calls(message: MessageBody, path: str) -> tuple[ToolCall, ...]:
    calls = []
    for index, call in enumerate(message.tool_calls or ()):
        if call.type != "function":
            here = f"{path}.tool_calls[{index}].type"
            raise invalid(here, f"{here} must be 'function'", code="unsupported")
        calls.append(ToolCall(call.id, call.function.name, call.function.arguments))
    return tuple(calls)


def _text(content: str | list[ContentPart] | None, param: str) -> str | None:
    if content is None or isinstance(content, str):
        return content
    texts = []
    for index, part in enumerate(content):
        here = f"{param}[{index}]"
        if part.type in ("text", "input_text", "output_text"):
            if part.text is None:
                raise invalid(f"{here}.text", f"{here}.text is missing")
            texts.append(part.text)
        elif part.type == "refusal":
            texts.append(part.refusal or "")
        else:
            raise invalid(
                here, f"{here} is not text; only text is understood", code="unsupported_modality"
            )
    return "".join(texts)
