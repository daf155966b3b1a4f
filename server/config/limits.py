"""Settings of what clients may take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from server.config.checks import check_network, within

MAX_TURNED_AWAY = 256
"""Connections that are being told, unasked, that they are one too many; more are merely cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    """What one client, and all of them together, may take."""

    max_connections: int = 2000
    """TCP connections in all; one more is answered with 503."""
    max_connections_per_address: int = 256
    """TCP connections from one address; loopback, where proxies and load tests live, is exempt."""
    max_connections_per_key: int | None = None
    """WebSockets of one key; ``None`` leaves it to ``max_connections``."""
    accepts_per_s: float = 1000.0
    """TCP connections that may come in per second for long, from everywhere together."""
    accept_burst: int = 4000
    """TCP connections that may come in at once, after a restart of this server or a proxy, say."""
    accepts_per_s_per_address: float = 50.0
    """TCP connections that may come in per second for long from one address."""
    accept_burst_per_address: int = 500
    """TCP connections that may come in at once from one address."""
    proxies: tuple[str, ...] = ()
    """Addresses or networks of many clients each, to which no limit per address applies; loopback
    needs no mention."""
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
    bytes_per_s: float = 256.0 * 1024
    """Bytes that one socket may send per second for long; above it reading slows down."""
    byte_burst: int = 4 * 1024 * 1024
    """Bytes that one socket may send at once before the rate applies."""
    flood_timeout_s: float = 60.0
    """Seconds that a socket may go on sending above its rates before it is closed with 4429."""
    max_concurrent_responses: int | None = None
    """Responses of one key in the making, over all its sockets and requests, waiting ones too."""
    max_queued_responses: int | None = None
    """Responses of one key that wait for their first token."""
    requests_per_min: int | None = None
    """Responses that one key may begin per minute."""
    tokens_per_min: int | None = None
    """Tokens of one key's prompts and replies per minute."""
    max_wait_s: float = 30.0
    """Seconds to the first token above which new responses are refused; ``inf`` queues them all."""
    max_late_share: float = 0.25
    """Of all tokens, those that may reach listeners too late before new responses are refused."""
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

    @property
    def most_sockets(self) -> int:
        """TCP connections that there can be at once, with those that are sent away."""
        return self.max_connections + self.max_pending_heads + MAX_TURNED_AWAY

    def __post_init__(self) -> None:
        """Refuse limits under which nobody could connect."""
        within("limits.max_connections", self.max_connections, 1, 1_000_000)
        within("limits.max_connections_per_address", self.max_connections_per_address, 1, 10**6)
        if self.max_connections_per_key is not None:
            within("limits.max_connections_per_key", self.max_connections_per_key, 1, 10**6)
        within("limits.accepts_per_s", self.accepts_per_s, 0.1, 1e6)
        within("limits.accept_burst", self.accept_burst, 1, 1_000_000)
        within("limits.accepts_per_s_per_address", self.accepts_per_s_per_address, 0.1, 1e6)
        within("limits.accept_burst_per_address", self.accept_burst_per_address, 1, 1_000_000)
        for proxy in self.proxies:
            check_network("limits.proxies", proxy)
        within("limits.max_pending_heads", self.max_pending_heads, 1, 1_000_000)
        within("limits.head_timeout_s", self.head_timeout_s, 0.01, 600)
        within("limits.max_head_bytes", self.max_head_bytes, 1024, 1024 * 1024)
        within("limits.max_card_bytes", self.max_card_bytes, 1024, 32 * 1024 * 1024)
        within("limits.max_message_bytes", self.max_message_bytes, 1024, 64 * 1024 * 1024)
        within("limits.messages_per_s", self.messages_per_s, 0.1, 1e6)
        within("limits.message_burst", self.message_burst, 1, 1_000_000)
        within("limits.bytes_per_s", self.bytes_per_s, 1024, 2**30)
        within("limits.byte_burst", self.byte_burst, 1024, 2**30)
        within("limits.flood_timeout_s", self.flood_timeout_s, 1, 24 * 3600)
        for name in (
            "max_concurrent_responses",
            "max_queued_responses",
            "requests_per_min",
            "tokens_per_min",
        ):
            value = getattr(self, name)
            if value is not None:
                within(f"limits.{name}", value, 1, 10**9)
        within("limits.max_wait_s", self.max_wait_s, 0.1, math.inf)
        within("limits.max_late_share", self.max_late_share, 0.001, 1)
        within("limits.max_bad_messages", self.max_bad_messages, 1, 1_000_000)
        if self.max_prompt_tokens is not None:
            within("limits.max_prompt_tokens", self.max_prompt_tokens, 1, 2**31 - 1)
        within("limits.inline_prompt_chars", self.inline_prompt_chars, 0, 2**31 - 1)
        within("limits.max_session_s", self.max_session_s, 1, 30 * 24 * 3600)
        within("limits.compact_above", self.compact_above, 0.05, 1)
        within("limits.compact_to", self.compact_to, 0.01, self.compact_above)
