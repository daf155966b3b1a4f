"""What the server process and the engine process say to each other, and how it is framed.

A frame is four bytes of length (little-endian) and that many bytes of msgpack: one of the tagged
structs below. Nothing else is understood; no pickle, and no frame longer than ``MAX_FRAME_BYTES``.
"""

from __future__ import annotations

import socket
import struct
from typing import TypeVar

import msgspec

from engine.config import EngineConfig
from engine.errors import EngineError
from engine.outputs import EngineInfo, StepFrame
from engine.request import EngineRequest, RequestUpdate

MAX_FRAME_BYTES = 32 * 2**20
"""Room for a burst of long prompts; anything longer is a broken peer."""

_LENGTH = struct.Struct("<I")
_PEER_CREDENTIALS = struct.Struct("3i")
_Message = TypeVar("_Message")


class Start(msgspec.Struct, frozen=True, tag="start"):
    """First frame to the engine: what to load."""

    config: EngineConfig


class Submit(msgspec.Struct, frozen=True, tag="submit"):
    """New requests."""

    requests: list[EngineRequest]


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Requests to abort."""

    request_ids: list[str]


class Update(msgspec.Struct, frozen=True, tag="update"):
    """News of live requests: more of a prompt, or how far a listener is."""

    updates: list[RequestUpdate]


class Release(msgspec.Struct, frozen=True, tag="release"):
    """Conversations that will not go on; their KV is kept no longer than any other."""

    conversation_ids: list[str]


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """End the process; live requests are dropped."""


class LoadProgress(msgspec.Struct, frozen=True, tag="progress"):
    """How far loading is, as a share of 1, and what is being done."""

    share: float
    what: str


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The engine takes requests from now on."""

    info: EngineInfo


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The engine could not start, or cannot go on; the process ends after this frame."""

    code: str
    message: str
    param: str | None = None


class Step(msgspec.Struct, frozen=True, tag="step"):
    """What one step brought."""

    frame: StepFrame


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """The engine is idle and lives."""


ToEngine = Start | Submit | Update | Cancel | Release | Shutdown
FromEngine = LoadProgress | Ready | Failed | Step | Heartbeat


class BrokenFrame(EngineError):
    """The peer sent something that is not a frame."""

    code = "broken_frame"


class FrameBuffer:
    """Bytes in as they come, whole frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes and take the frames that are complete, oldest first.

        Raises:
            BrokenFrame: A frame claims to be longer than ``MAX_FRAME_BYTES``.
        """
        buffer = self._buffer
        buffer += data
        frames = []
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > MAX_FRAME_BYTES:
                raise BrokenFrame(
                    f"a frame claims {length} bytes; at most {MAX_FRAME_BYTES} are taken"
                )
            end = start + _LENGTH.size + length
            if end > len(buffer):
                break
            frames.append(bytes(buffer[start + _LENGTH.size : end]))
            start = end
        del buffer[:start]
        return frames


_encoder = msgspec.msgpack.Encoder()
_to_engine: msgspec.msgpack.Decoder[ToEngine] = msgspec.msgpack.Decoder(ToEngine)
_from_engine: msgspec.msgpack.Decoder[FromEngine] = msgspec.msgpack.Decoder(FromEngine)


def encode(message: ToEngine | FromEngine) -> bytes:
    """Return a message as a frame.

    Raises:
        BrokenFrame: It is longer than a frame may be.
    """
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME_BYTES:
        raise BrokenFrame(f"a message has {len(body)} bytes; at most {MAX_FRAME_BYTES} are sent")
    return _LENGTH.pack(len(body)) + body


def decode_to_engine(body: bytes) -> ToEngine:
    """Read a frame's body on the engine's side.

    Raises:
        BrokenFrame: It is not a message.
    """
    return _decode(_to_engine, body)


def decode_from_engine(body: bytes) -> FromEngine:
    """Read a frame's body on the server's side.

    Raises:
        BrokenFrame: It is not a message.
    """
    return _decode(_from_engine, body)


def peer_identity(connection: socket.socket) -> tuple[int, int]:
    """Return process id and user id of the other end of a Unix socket, as the kernel knows them."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    pid, uid, _ = _PEER_CREDENTIALS.unpack(raw)
    return int(pid), int(uid)


def _decode(decoder: msgspec.msgpack.Decoder[_Message], body: bytes) -> _Message:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, EngineError) as error:
        raise BrokenFrame(f"a frame of {len(body)} bytes is not a message: {error}") from error
