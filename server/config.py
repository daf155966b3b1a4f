"""What the server is started with: one small configuration per room, composed and validated."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.config import EngineConfig
from engine.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parent.parent
"""Where the shipped model, characters and examples lie."""

DEMO_MODEL = REPOSITORY / "configs" / "models" / "kaiwa-demo"
"""Served when no model is named."""

DEMO_CHARACTERS = REPOSITORY / "configs" / "characters"
"""Its ``*.toml`` files are served when no character is named."""

CHARACTER_SUFFIXES = (".toml", ".png", ".apng", ".json", ".charx")
"""What is taken for a character's file in a folder; a file that is named itself may be any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenConfig:
    """Where the one port is."""

    host: str = "127.0.0.1"
    """Address to bind; anything but loopback needs API keys or ``auth.insecure``."""
    port: int = 8000
    """TCP port; 0 lets the system choose, and the ready line tells which."""
    tls_cert: Path | None = None
    """PEM file with the certificate chain; with it and ``tls_key`` the port speaks TLS only."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key."""
    backlog: int = 4096
    """Connections that the kernel may hold unaccepted; 100 makes a reconnect storm take 20 s."""
    admin_port: int | None = None
    """A second port for ``/metrics``, ``/version`` and the probes, which then has the numbers to
    itself; 0 lets the system choose."""
    admin_host: str = "127.0.0.1"
    """Address of that port; whoever reaches it may read the numbers, without a key."""

    def __post_init__(self) -> None:
        """Refuse half a key pair and ports that do not exist."""
        if not self.host:
            raise ConfigError("listen.host is empty; name an address", param="listen.host")
        _within("listen.port", self.port, 0, 65535)
        _within("listen.backlog", self.backlog, 1, 65535)
        if not self.admin_host:
            raise ConfigError(
                "listen.admin_host is empty; name an address", param="listen.admin_host"
            )
        if self.admin_port is not None:
            _within("listen.admin_port", self.admin_port, 0, 65535)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError(
                "listen.tls_cert and listen.tls_key come together; give both, or neither",
                param="listen.tls_key" if self.tls_key is None else "listen.tls_cert",
            )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthConfig:
    """Who may connect."""

    api_keys_file: Path | None = None
    """Hashes of keys, as lines or as TOML (docs/security.md); without it any key is accepted."""
    reload_interval_s: float = 5.0
    """Seconds between two looks at the key file and the certificate; SIGHUP looks at once."""
    insecure: bool = False
    """Allow an address that others can reach without any API key."""
    allowed_origins: tuple[str, ...] = ()
    """Browser origins (``https://example.org``) accepted beside the server's own, exactly."""

    def __post_init__(self) -> None:
        """Refuse origins that could never match."""
        _within("auth.reload_interval_s", self.reload_interval_s, 0.05, 3600)
        for origin in self.allowed_origins:
            scheme, separator, rest = origin.partition("://")
            if scheme not in ("http", "https") or not separator or not rest or "/" in rest:
                raise ConfigError(
                    f"auth.allowed_origins has {origin!r}; an origin is scheme://host[:port]",
                    param="auth.allowed_origins",
                )
            if not origin.isascii() or origin != origin.lower():
                raise ConfigError(
                    f"auth.allowed_origins has {origin!r}; browsers send host names in lower case, "
                    "and those beyond ASCII as xn--…",
                    param="auth.allowed_origins",
                )
            if rest.endswith(":443" if scheme == "https" else ":80"):
                raise ConfigError(
                    f"auth.allowed_origins has {origin!r}; browsers leave the usual port out",
                    param="auth.allowed_origins",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """What one client, and all of them together, may take."""

    max_connections: int = 2000
    """TCP connections in all; one more is answered with 503."""
    max_connections_per_address: int = 256
    """TCP connections from one address; loopback, where proxies and load tests live, is exempt."""
    max_pending_heads: int = 4096
    """Connections whose request head has not come in; in a reconnect storm that is everybody."""
    head_timeout_s: float = 10.0
    """Seconds for the request head, TLS handshake apart."""
    max_head_bytes: int = 32 * 1024
    """Bytes of the request head."""
    max_card_bytes: int = 8 * 1024 * 1024
    """Bytes of a character card that a client sends."""
    max_message_bytes: int = 256 * 1024
    """Bytes of one WebSocket message; four times the text of one item, which JSON may escape."""
    messages_per_s: float = 50.0
    """Messages that one socket may send per second for long; above it reading slows down."""
    message_burst: int = 200
    """Messages that one socket may send at once before the rate applies."""
    max_bad_messages: int = 10
    """Messages in a row that are not understood before the socket is closed with 4400."""
    max_prompt_tokens: int | None = None
    """Tokens of a prompt; ``None`` leaves it to the model's context."""
    inline_prompt_chars: int = 16 * 1024
    """Prompts up to this many characters are tokenised on the event loop, longer in a thread."""
    max_session_s: float = 3600.0
    """Seconds a WebSocket session may last before it is closed with 1001."""
    eager_prefill: bool = True
    """Have the engine read what a user says, or is typing, before a reply is asked for."""
    compact_above: float = 0.75
    """Share of the longest prompt above which a conversation is compacted while it is idle."""
    compact_to: float = 0.6
    """Share of the longest prompt that a compacted conversation keeps."""

    def __post_init__(self) -> None:
        """Refuse limits under which nobody could connect."""
        _within("limits.max_connections", self.max_connections, 1, 1_000_000)
        _within("limits.max_connections_per_address", self.max_connections_per_address, 1, 10**6)
        _within("limits.max_pending_heads", self.max_pending_heads, 1, 1_000_000)
        _within("limits.head_timeout_s", self.head_timeout_s, 0.01, 600)
        _within("limits.max_head_bytes", self.max_head_bytes, 1024, 1024 * 1024)
        _within("limits.max_card_bytes", self.max_card_bytes, 1024, 32 * 1024 * 1024)
        _within("limits.max_message_bytes", self.max_message_bytes, 1024, 64 * 1024 * 1024)
        _within("limits.messages_per_s", self.messages_per_s, 0.1, 1e6)
        _within("limits.message_burst", self.message_burst, 1, 1_000_000)
        _within("limits.max_bad_messages", self.max_bad_messages, 1, 1_000_000)
        if self.max_prompt_tokens is not None:
            _within("limits.max_prompt_tokens", self.max_prompt_tokens, 1, 2**31 - 1)
        _within("limits.inline_prompt_chars", self.inline_prompt_chars, 0, 2**31 - 1)
        _within("limits.max_session_s", self.max_session_s, 1, 30 * 24 * 3600)
        _within("limits.compact_above", self.compact_above, 0.05, 1)
        _within("limits.compact_to", self.compact_to, 0.01, self.compact_above)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryConfig:
    """What becomes of turns that the context has no room for."""

    auto_summary: bool = True
    """Have the model sum them up in idle time; clients may say otherwise for their sessions."""
    summary_tokens: int = 200
    """Tokens that such a summary may have; never more than an eighth of the longest prompt."""

    def __post_init__(self) -> None:
        """Refuse summaries of no length."""
        _within("memory.summary_tokens", self.summary_tokens, 16, 4096)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryConfig:
    """What is kept of conversations when their sockets are gone."""

    keep: Literal["sqlite", "postgres", "memory", "off"] = "sqlite"
    """``sqlite`` in a file, ``postgres`` in a database that several servers may share, ``memory``
    until the server stops: so that they can be gone on with."""
    file: Path | None = None
    """Of ``sqlite``; ``$XDG_STATE_HOME/kaiwa/conversations.db`` where it is left out."""
    durability: Literal["full", "normal"] = "full"
    """Of ``sqlite``: what was acknowledged survives a power cut, or only the end of any process."""
    dsn_file: Path | None = None
    """Of ``postgres``: holds ``postgresql://USER:PASSWORD@HOST/DATABASE``; where it is left out,
    ``PGHOST`` and so on say where the database is, as for PostgreSQL's own programs."""
    max_conversations: int = 100
    """Conversations of one key; the least recently changed go first."""
    max_bytes: int = 64 * 1024 * 1024
    """Of everybody's conversations together, about; likewise."""

    def __post_init__(self) -> None:
        """Refuse to keep less than one."""
        _within("history.max_conversations", self.max_conversations, 1, 1_000_000)
        _within("history.max_bytes", self.max_bytes, 64 * 1024, 2**40)

    @property
    def resolved_file(self) -> Path:
        """Where ``sqlite`` keeps them; XDG Base Directory Specification 0.8 for the default."""
        if self.file is not None:
            return self.file
        state = os.environ.get("XDG_STATE_HOME", "")
        folder = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
        return folder / "kaiwa" / "conversations.db"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeConfig:
    """What a client finds that comes back over another socket."""

    window_s: float = 120.0
    """Seconds that a session waits for its client; 0 ends it with its socket."""
    detach_grace_s: float = 60.0
    """Seconds that replies go on for a client that is gone; then they are kept as incomplete."""
    max_told_bytes: int = 256 * 1024
    """Of one session's events that were written, and may have been lost with a socket."""
    max_parked: int = 4096
    """Sessions that wait; whoever has the most of them gives the oldest one up."""

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        _within("resume.window_s", self.window_s, 0, 24 * 3600)
        _within("resume.detach_grace_s", self.detach_grace_s, 0, 24 * 3600)
        _within("resume.max_told_bytes", self.max_told_bytes, 1024, 2**30)
        _within("resume.max_parked", self.max_parked, 0, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class PacingConfig:
    """How fast replies are taken in where a client does not say."""

    listener: Literal["reading", "speech", "none"] = "reading"
    """What WebSocket sessions are; ``none`` sends every token as soon as it can be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxConfig:
    """How far a slow reader may fall behind."""

    high_water_bytes: int = 16 * 1024
    """Bytes in the transport's buffer above which text is kept and merged."""
    low_water_bytes: int = 4 * 1024
    """Bytes in the transport's buffer at which kept events flow again."""
    stall_timeout_s: float = 10.0
    """Seconds without a byte of progress before the socket is cut off."""
    max_kept_bytes: int = 1024 * 1024
    """Bytes of kept events, estimated, before the socket is cut off."""
    send_buffer_bytes: int = 128 * 1024
    """The kernel's send buffer per WebSocket; small, so that a stall shows in seconds."""
    watch_interval_s: float = 0.5
    """Seconds between two looks at the progress of all sockets."""

    def __post_init__(self) -> None:
        """Refuse water marks in the wrong order."""
        _within("outbox.high_water_bytes", self.high_water_bytes, 1, 2**30)
        _within("outbox.low_water_bytes", self.low_water_bytes, 0, self.high_water_bytes)
        _within("outbox.stall_timeout_s", self.stall_timeout_s, 0.05, 3600)
        _within("outbox.max_kept_bytes", self.max_kept_bytes, 1024, 2**30)
        _within("outbox.send_buffer_bytes", self.send_buffer_bytes, 4096, 2**30)
        _within("outbox.watch_interval_s", self.watch_interval_s, 0.01, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainConfig:
    """How the server stops."""

    timeout_s: float = 30.0
    """Seconds that running responses get to finish after SIGTERM."""
    close_timeout_s: float = 2.0
    """Seconds for the closing handshakes; whoever is still there then is cut off."""

    def __post_init__(self) -> None:
        """Refuse negative times."""
        _within("drain.timeout_s", self.timeout_s, 0, 24 * 3600)
        _within("drain.close_timeout_s", self.close_timeout_s, 0.01, 600)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is told while it runs; never what people say."""

    format: Literal["text", "json"] = "text"
    """``json`` writes one object per line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severity that is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsConfig:
    """What ``/metrics`` prints."""

    compat: Literal["none", "vllm"] = "none"
    """``vllm`` prints the numbers that vLLM has too under its names, beside ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingConfig:
    """Spans of replies for OpenTelemetry; numbers only, no words."""

    otlp_endpoint: str = ""
    """Where spans are sent, ``http://collector:4318/v1/traces``; empty sends none."""
    service_name: str = "kaiwa"
    """What this server is called there."""

    def __post_init__(self) -> None:
        """Refuse addresses that cannot be sent to."""
        scheme, separator, rest = self.otlp_endpoint.partition("://")
        if self.otlp_endpoint and (scheme not in ("http", "https") or not separator or not rest):
            raise ConfigError(
                f"tracing.otlp_endpoint is {self.otlp_endpoint!r}; it must be http://HOST:PORT/PATH",
                param="tracing.otlp_endpoint",
            )
        if not self.service_name:
            raise ConfigError("tracing.service_name is empty", param="tracing.service_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class CharactersConfig:
    """Who is served."""

    files: tuple[Path, ...] = ()
    """Character files, or folders of them; when empty, the shipped ones."""
    prompt: str | None = None
    """System prompt of one more character, ``custom``, who then answers by default."""
    lorebooks: tuple[Path, ...] = ()
    """Lorebooks that all of these characters know, beside what their own files say."""
    folder: Path | None = None
    """Where cards are kept that clients send; without it they are forgotten at the end."""
    max_uploaded: int = 64
    """Cards that one API key may have sent; where no key is needed, all together."""
    max_uploaded_bytes: int = 256 * 1024 * 1024
    """Memory that all sent cards may take, estimated."""

    def __post_init__(self) -> None:
        """Refuse negative numbers."""
        _within("characters.max_uploaded", self.max_uploaded, 0, 100_000)
        _within("characters.max_uploaded_bytes", self.max_uploaded_bytes, 0, 2**40)

    def resolved(self) -> tuple[Path, ...]:
        """The files to load, those of folders by name, the shipped ones when none was named.

        Raises:
            ConfigError: A folder holds none.
        """
        if not self.files:
            return tuple(sorted(DEMO_CHARACTERS.glob("*.toml")))
        return tuple(file for path in self.files for file in _character_files(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """The whole of it."""

    engine: EngineConfig
    listen: ListenConfig = field(default_factory=ListenConfig)
    auth: AuthConfig = field(default_factory=AuthConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    history: HistoryConfig = field(default_factory=HistoryConfig)
    resume: ResumeConfig = field(default_factory=ResumeConfig)
    pacing: PacingConfig = field(default_factory=PacingConfig)
    outbox: OutboxConfig = field(default_factory=OutboxConfig)
    drain: DrainConfig = field(default_factory=DrainConfig)
    log: LogConfig = field(default_factory=LogConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    tracing: TracingConfig = field(default_factory=TracingConfig)
    characters: CharactersConfig = field(default_factory=CharactersConfig)


def _character_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = [file for file in path.iterdir() if file.suffix.lower() in CHARACTER_SUFFIXES]
    if not found:
        raise ConfigError(
            f"the folder {path} holds no character; there may be {', '.join(CHARACTER_SUFFIXES)}",
            param="characters.files",
        )
    return sorted(found)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # NaN is in no range
        raise ConfigError(f"{name} is {value!r}; it must be from {least} to {most}", param=name)
