"""What can go wrong in the engine, as a tree; each error says the value, the limit and the way out.

::

    EngineError                  code, message, param
    ├── ConfigError              a setting that cannot work
    ├── ModelError               a checkpoint that cannot be served
    │   ├── ModelNotFound
    │   ├── UnsupportedModel
    │   └── SelfCheckFailed
    ├── RequestError             one request's fault; the engine and everybody else go on
    │   ├── InvalidParameter
    │   ├── PromptTooLong
    │   ├── NeverFits
    │   ├── QueueFull
    │   ├── DuplicateRequest
    │   ├── TemplateRefused
    │   ├── InvalidGrammar
    │   └── WaitTimedOut
    ├── Closed                   it was closed, and takes nothing more
    ├── StepFailed               the engine's own fault, once; the engine goes on
    ├── EngineRestarted          the engine was lost again and again while it computed a request
    └── EngineDead               the engine itself is gone
"""

from __future__ import annotations


class EngineError(Exception):
    """Root of the tree.

    Attributes:
        code: Stable machine-readable name of the failure.
        message: One sentence for people: the value, the limit, the way out.
        param: The request field at fault, if there is one.
    """

    code = "engine_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class ConfigError(EngineError):
    """A setting, or a combination of settings, that cannot work."""

    code = "invalid_config"


class ModelError(EngineError):
    """A checkpoint that cannot be served."""

    code = "model_error"


class ModelNotFound(ModelError):
    """There is no checkpoint, or no part of one, where it was said to be."""

    code = "model_not_found"


class UnsupportedModel(ModelError):
    """The checkpoint is of a kind that this engine does not run."""

    code = "unsupported_model"


class SelfCheckFailed(ModelError):
    """The model with paged attention disagrees with the untouched model."""

    code = "self_check_failed"


class RequestError(EngineError):
    """One request is at fault; nobody else notices."""

    code = "invalid_request"


class InvalidParameter(RequestError):
    """A sampling or request parameter is out of range."""

    code = "invalid_parameter"

    def __init__(self, param: str, value: object, expected: str) -> None:
        shown = repr(value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        super().__init__(f"{param} is {shown}; it must be {expected}", param=param)
        self.value = value
        self.expected = expected


class PromptTooLong(RequestError):
    """The prompt leaves no room for a single new token."""

    code = "context_length_exceeded"

    def __init__(self, num_prompt_tokens: int, limit: int) -> None:
        super().__init__(
            f"the prompt has {num_prompt_tokens} tokens but at most {limit} fit into the context "
            "with room for a reply; shorten the conversation or the character's prompt",
            param="prompt",
        )
        self.num_prompt_tokens = num_prompt_tokens
        self.limit = limit


class NeverFits(RequestError):
    """The request needs more KV memory than the whole budget holds."""

    code = "kv_budget_exceeded"

    def __init__(self, num_tokens: int, capacity_tokens: int) -> None:
        super().__init__(
            f"the request needs KV memory for {num_tokens} tokens but the whole budget holds "
            f"{capacity_tokens}; lower max_tokens, shorten the prompt or raise kv_cache_tokens",
            param="max_tokens",
        )
        self.num_tokens = num_tokens
        self.capacity_tokens = capacity_tokens


class QueueFull(RequestError):
    """The waiting queue is at its bound; try again later."""

    code = "queue_full"

    def __init__(self, queued: int, limit: int, retry_after_s: float) -> None:
        super().__init__(
            f"{queued} requests are waiting and the limit is {limit}; "
            f"try again in {retry_after_s:.0f} s"
        )
        self.queued = queued
        self.limit = limit
        self.retry_after_s = retry_after_s


class DuplicateRequest(RequestError):
    """A live request already has this id."""

    code = "duplicate_request"

    def __init__(self, request_id: str) -> None:
        super().__init__(f"request id {request_id!r} is in use; choose another", param="request_id")


class TemplateRefused(RequestError):
    """The model's chat template would not render the conversation."""

    code = "chat_template_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the model's chat template does not render this conversation: {reason}; change the "
            "order or the roles of its messages, or serve the model with another template",
            param="messages",
        )
        self.reason = reason


class InvalidGrammar(RequestError):
    """A grammar that cannot be compiled, allows nothing, or costs too much to follow."""

    code = "invalid_grammar"

    def __init__(self, reason: str, way_out: str) -> None:
        super().__init__(f"the grammar {reason}; {way_out}", param="grammar")
        self.reason = reason


class WaitTimedOut(RequestError):
    """No instance of a model came free in time."""

    code = "wait_timed_out"

    def __init__(self, waited_s: float, num_instances: int) -> None:
        super().__init__(
            f"none of {num_instances} model instances came free within {waited_s:g} s; wait "
            "longer, or allow more instances"
        )
        self.waited_s = waited_s
        self.num_instances = num_instances


class Closed(EngineError):
    """A pool or a batcher was closed; it takes nothing more, and what waited has ended."""

    code = "closed"

    def __init__(self, what: str) -> None:
        super().__init__(f"the {what} is closed; make another one")


class StepFailed(EngineError):
    """The engine could not compute a step; its requests end, the engine goes on."""

    code = "step_failed"


class EngineRestarted(EngineError):
    """The engine was lost several times in a row while it computed this request.

    It may be what the engine is lost by, so it is not tried again; everybody else goes on.
    """

    code = "engine_restarted"

    def __init__(self, num_losses: int) -> None:
        super().__init__(
            f"the engine had to be restarted {num_losses} times in a row while it computed this "
            "reply, so it is not tried again; ask for something else"
        )
        self.num_losses = num_losses


class EngineDead(EngineError):
    """The engine is gone; nothing more will come from it."""

    code = "engine_dead"


def error_of(code: str, message: str, param: str | None = None) -> EngineError:
    """Return the error of a class by its code, as it comes over the process border.

    The facts that a class holds beyond code, sentence and parameter stay on the other side.
    """
    for kind in _kinds(EngineError):
        if kind.code == code:
            error = kind.__new__(kind)
            EngineError.__init__(error, message, param=param)
            return error
    error = EngineError(message, param=param)
    error.code = code
    return error


def _kinds(root: type[EngineError]) -> list[type[EngineError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _kinds(child))]
