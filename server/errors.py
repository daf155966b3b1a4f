"""What a client can do wrong, as a tree; each error says the value, the limit and the way out.

::

    ServerError
    ├── CharacterFileError       a character file that cannot be used; told to the operator
    ├── CardError                code, message, file, key: a character card that is refused
    └── ProtocolError            code, message, type, param, event_id; told to the client
        ├── InvalidEvent         the frame holds no event that can be read
        ├── InvalidValue         a field is missing, of the wrong type or out of range
        ├── Unsupported          understood, but this server does not do it
        ├── LimitExceeded        a bound of this server would be passed
        ├── RateLimited          too much at this moment; later it will do
        ├── ModelNotFound        no such character or engine
        ├── CharacterTaken       a character's id is another one's
        ├── ItemNotFound         no such item in the conversation
        ├── DuplicateItem        the item's id is taken
        ├── ResponseActive       the default conversation is being answered already
        ├── TurnRunning          the turn is being answered already, or waits to be
        ├── NoActiveResponse     nothing to cancel
        ├── PromptDoesNotFit     the conversation is longer than the context
        ├── StoreFailed          what was said could not be kept
        ├── ConversationTaken    another session goes on with the conversation
        ├── ConversationGone     the conversation was erased, or had to make room
        ├── StoreUnavailable     what is kept cannot be reached
        └── ResponseFailed       the engine refused or gave up
"""

from __future__ import annotations

import enum


class ErrorCode(enum.StrEnum):
    """Stable names; a client may switch on them. A name once given never changes its meaning."""

    INVALID_JSON = "invalid_json"
    """Not JSON, or JSON with something that RFC 8259 or I-JSON leaves out."""
    INVALID_EVENT = "invalid_event"
    """JSON, but not an object with a ``type``."""
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    """An object whose ``type`` is not in the protocol."""
    INVALID_VALUE = "invalid_value"
    """A field is of the wrong type or out of range."""
    MISSING_REQUIRED_PARAMETER = "missing_required_parameter"
    """A field that the event needs is not there."""
    UNSUPPORTED_MODALITY = "unsupported_modality"
    """Audio or images, which this server does not take."""
    UNSUPPORTED = "unsupported"
    """Part of the protocol that this server does not do."""
    LIMIT_EXCEEDED = "limit_exceeded"
    """Too many or too much; the message says of what."""
    MODEL_NOT_FOUND = "model_not_found"
    CONVERSATION_NOT_FOUND = "conversation_not_found"
    """Nothing of that name is kept for this key."""
    CHARACTER_TAKEN = "character_taken"
    """A character of the server's own has that id."""
    ITEM_NOT_FOUND = "item_not_found"
    ITEM_IN_PROGRESS = "item_in_progress"
    """The item is being written by a response."""
    ITEM_CREATE_DUPLICATE_ITEM_ID = "item_create_duplicate_item_id"
    CONVERSATION_ALREADY_HAS_ACTIVE_RESPONSE = "conversation_already_has_active_response"
    TURN_ALREADY_RUNNING = "turn_already_running"
    """The turn's reply is being written, or waits for the reply before it."""
    RESPONSE_CANCEL_NOT_ACTIVE = "response_cancel_not_active"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    STORE_FAILED = "store_failed"
    """What was said could not be kept; it counts as not said."""
    CONVERSATION_TAKEN_OVER = "conversation_taken_over"
    """Another session has been opened that goes on with the conversation."""
    CONVERSATION_GONE = "conversation_gone"
    """The session's conversation was erased, or had to make room; nothing more of it is kept."""
    STORE_UNAVAILABLE = "store_unavailable"
    """What is kept cannot be reached now."""
    SERVER_ERROR = "server_error"


class ErrorType(enum.StrEnum):
    """Whose fault it is, as OpenAI names it."""

    INVALID_REQUEST = "invalid_request_error"
    RATE_LIMIT = "rate_limit_error"
    SERVER = "server_error"


class ServerError(Exception):
    """Root of the tree."""


class CharacterFileError(ServerError):
    """A character file that cannot be used.

    Attributes:
        file: The file's name.
        key: Dotted path of the key at fault, if it is one key's fault.
    """

    def __init__(self, file: str, problem: str, *, key: str | None = None) -> None:
        super().__init__(f"{file}: {key}: {problem}" if key else f"{file}: {problem}")
        self.file = file
        self.key = key


class CardErrorCode(enum.StrEnum):
    """Why a character card or a lorebook is refused; stable as ``ErrorCode`` is."""

    TOO_LARGE = "card_too_large"
    """The file, its JSON or one part of it is larger than this server reads."""
    CHUNK_TOO_LARGE = "card_chunk_too_large"
    """A picture's text chunk is larger than a card can be, packed or unpacked."""
    TOO_MANY_ENTRIES = "card_too_many_entries"
    """Too many of something: entries, keys, assets, chunks, members of a zip."""
    ZIP_BOMB = "card_zip_bomb"
    """A zip that unpacks to far more than it is, or says something untrue of its sizes."""
    BAD_PATH = "card_bad_path"
    """A zip member whose name leads out of the zip, or stands for two files."""
    TOO_DEEP = "card_too_deep"
    """Brackets inside brackets, beyond what any card needs."""
    BAD_JSON = "card_bad_json"
    """Not JSON, or JSON with something that RFC 8259 or I-JSON leaves out."""
    BAD_BASE64 = "card_bad_base64"
    """A picture's card is not base64."""
    BAD_CHECKSUM = "card_bad_checksum"
    """A checksum does not fit its bytes: the file was damaged."""
    BAD_CONTAINER = "card_bad_container"
    """A PNG or zip that breaks off or contradicts itself."""
    NO_DATA = "card_no_data"
    """A sound file with no card in it."""
    UNSUPPORTED = "card_unsupported"
    """Another kind of file, or a feature of this one that is not read."""
    BAD_FIELD = "card_bad_field"
    """A field of the card is of the wrong type or out of range."""


class CardError(ServerError):
    """A character card or lorebook that is refused.

    Attributes:
        code: Stable machine-readable name.
        message: One sentence for people, without file and key.
        file: The file's name, empty where none is known.
        key: Dotted path of the field, chunk or member at fault, if there is one.
    """

    def __init__(
        self, code: CardErrorCode, message: str, *, file: str = "", key: str | None = None
    ) -> None:
        super().__init__(": ".join(part for part in (file, key, message) if part))
        self.code = str(code)
        self.message = message
        self.file = file
        self.key = key

    def in_file(self, file: str) -> CardError:
        """Return the same error, told of a file."""
        return CardError(CardErrorCode(self.code), self.message, file=file, key=self.key)


class ProtocolError(ServerError):
    """Something to tell the client in one ``error`` event; the session lives on.

    Attributes:
        code: Stable machine-readable name.
        message: One sentence for people. It never holds a traceback or another client's data.
        type: Whose fault it is.
        param: Dotted path of the field at fault, if there is one.
        event_id: The client's own id of the event at fault, if it could be read.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        type: ErrorType = ErrorType.INVALID_REQUEST,
        param: str | None = None,
        event_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = str(code)
        self.message = message
        self.type = type
        self.param = param
        self.event_id = event_id


class InvalidEvent(ProtocolError):
    """The frame holds no event that can be read."""


class InvalidValue(ProtocolError):
    """A field is missing, of the wrong type or out of range."""

    def __init__(
        self,
        param: str,
        message: str,
        *,
        code: ErrorCode = ErrorCode.INVALID_VALUE,
        event_id: str | None = None,
    ) -> None:
        super().__init__(code, message, param=param, event_id=event_id)


class Unsupported(ProtocolError):
    """Understood, but this server does not do it."""

    def __init__(
        self, message: str, *, code: ErrorCode = ErrorCode.UNSUPPORTED, param: str | None = None
    ) -> None:
        super().__init__(code, message, param=param)


class LimitExceeded(ProtocolError):
    """A bound of this server would be passed.

    Attributes:
        value: What it would come to.
        limit: What is allowed.
    """

    def __init__(
        self, what: str, value: int, limit: int, way_out: str, *, param: str | None = None
    ) -> None:
        super().__init__(
            ErrorCode.LIMIT_EXCEEDED,
            f"{what} would be {value}, and the limit is {limit}; {way_out}",
            param=param,
        )
        self.value = value
        self.limit = limit


class RateLimited(ProtocolError):
    """Too much at this moment, of one client or of all of them together; later it will do.

    Attributes:
        retry_after_s: Seconds after which asking again makes sense; ``None`` for never.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retry_after_s: float | None,
        param: str | None = None,
    ) -> None:
        super().__init__(code, message, type=ErrorType.RATE_LIMIT, param=param)
        self.retry_after_s = retry_after_s


class ModelNotFound(ProtocolError):
    """No such character or engine; the message lists what there is."""

    def __init__(self, model: str, known: list[str]) -> None:
        super().__init__(
            ErrorCode.MODEL_NOT_FOUND,
            f"there is no model {shorten(model)}; choose one of {', '.join(known)}",
            param="model",
        )
        self.known = known


class CharacterTaken(ProtocolError):
    """A character's id is another one's, who stays."""

    def __init__(self, id: str) -> None:
        super().__init__(
            ErrorCode.CHARACTER_TAKEN,
            f"{shorten(id)} is a character of the server itself, or its engine; choose another id "
            "with ?id=",
            param="id",
        )


class ItemNotFound(ProtocolError):
    """No such item in the conversation."""

    def __init__(self, item_id: str, *, param: str) -> None:
        super().__init__(
            ErrorCode.ITEM_NOT_FOUND,
            f"there is no item {shorten(item_id)} in this conversation; "
            "use an id that conversation.item.added has told",
            param=param,
        )


class DuplicateItem(ProtocolError):
    """The item's id is taken by another item."""

    def __init__(self, item_id: str) -> None:
        super().__init__(
            ErrorCode.ITEM_CREATE_DUPLICATE_ITEM_ID,
            f"an item {shorten(item_id)} exists already, and its content differs; choose another "
            "id, or leave it out",
            param="item.id",
        )


class ResponseActive(ProtocolError):
    """The default conversation is being answered already."""

    def __init__(self, response_id: str) -> None:
        super().__init__(
            ErrorCode.CONVERSATION_ALREADY_HAS_ACTIVE_RESPONSE,
            f"Conversation already has an active response: {response_id}. "
            "Wait for its response.done, or send response.cancel first",
        )


class TurnRunning(ProtocolError):
    """A turn's reply is being written already, or waits to be."""

    def __init__(self, turn_id: str, response_id: str | None) -> None:
        """Name the reply; ``None`` for one that waits."""
        where = f"is being answered by {response_id}" if response_id else "waits to be answered"
        super().__init__(
            ErrorCode.TURN_ALREADY_RUNNING,
            f"the turn {shorten(turn_id)} {where}; its response.done will come, or call it off "
            "with response.cancel",
            param="response.turn_id",
        )


class NoActiveResponse(ProtocolError):
    """Nothing to cancel."""

    def __init__(self, response_id: str | None) -> None:
        # LiveKit recognises this race by the first two words of the message.
        found = f"no response {shorten(response_id)} is active" if response_id else None
        super().__init__(
            ErrorCode.RESPONSE_CANCEL_NOT_ACTIVE,
            f"Cancellation failed: {found or 'no active response found'}; "
            "it may have ended already",
            param="response_id" if response_id else None,
        )


class PromptDoesNotFit(ProtocolError):
    """The conversation is longer than the context.

    Attributes:
        length: What would have to be read, with its unit: tokens, or characters where they were
            too many to be worth tokenising.
        limit: Tokens that fit.
    """

    def __init__(self, what: str, length: str, limit: int, way_out: str) -> None:
        super().__init__(
            ErrorCode.CONTEXT_LENGTH_EXCEEDED,
            f"{what} come to {length}, but at most {limit} tokens fit into the context with "
            f"room for a reply; {way_out}",
        )
        self.length = length
        self.limit = limit


class ConversationNotFound(ProtocolError):
    """No conversation of that name is kept for whoever asks; of others' nothing is told."""

    def __init__(self, conversation_id: str) -> None:
        super().__init__(
            ErrorCode.CONVERSATION_NOT_FOUND,
            f"there is no conversation {shorten(conversation_id)} for this key; GET "
            "/v1/conversations lists those that are kept",
            param="conversation",
        )


class StoreFailed(ProtocolError):
    """What was said could not be kept."""

    def __init__(self, why: str) -> None:
        """Say what the store said, in words that quote nobody."""
        super().__init__(
            ErrorCode.STORE_FAILED,
            f"what was said last could not be kept ({why}); reconnect and send it again",
            type=ErrorType.SERVER,
        )


class ConversationTaken(ProtocolError):
    """Another session goes on with the conversation; this one keeps nothing any more."""

    def __init__(self) -> None:
        super().__init__(
            ErrorCode.CONVERSATION_TAKEN_OVER,
            "the conversation is gone on with in another session, which has been opened since; "
            "what was acknowledged here is in it",
        )


class ConversationGone(ProtocolError):
    """The conversation is not there any more, and what is said in the session is not kept."""

    def __init__(self) -> None:
        super().__init__(
            ErrorCode.CONVERSATION_GONE,
            "the conversation was erased, or had to make room for others; this session goes on, "
            "but nothing of it is kept any more: connect anew to begin another that is",
            type=ErrorType.SERVER,
        )


class StoreUnavailable(ProtocolError):
    """What is kept cannot be reached."""

    def __init__(self, why: str) -> None:
        """Say what the store said, in words that quote nobody."""
        super().__init__(
            ErrorCode.STORE_UNAVAILABLE,
            f"kept conversations cannot be reached now ({why}); try again in a few seconds",
            type=ErrorType.SERVER,
        )


class ResponseFailed(ProtocolError):
    """The engine refused a response or gave it up.

    Attributes:
        retry_after_s: Seconds after which asking again makes sense, where that is known.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        type: ErrorType,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(code, message, type=type, param=param)
        self.retry_after_s = retry_after_s


def shorten(value: object, limit: int = 80) -> str:
    """Show a client's value in a message: quoted, escaped and never longer than ``limit``."""
    shown = ascii(value) if not isinstance(value, str) else repr(value[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."
