"""How much of anything a card may hold. Cards come from strangers; nothing here is unbounded."""

from __future__ import annotations

MAX_FILE_BYTES = 32 * 1024 * 1024
"""Of a file as it is sent."""
MAX_JSON_BYTES = 4 * 1024 * 1024
"""Of a card's or a book's JSON text."""
MAX_DEPTH = 64
"""Brackets inside brackets; cards of the wild nest 8 deep."""
MAX_DIGITS = 40
"""Of a number."""
MAX_FIELD_CHARACTERS = 512 * 1024
"""Of one text that the prompt may hold."""
MAX_LIST_ITEMS = 1000
"""Greetings, tags, keys of one entry."""
MAX_BOOK_ENTRIES = 5000
MAX_KEY_CHARACTERS = 1000
MAX_ASSETS = 500
MAX_PNG_CHUNKS = 10_000
MAX_ZIP_MEMBERS = 1000
MAX_ZIP_NAME = 240
MAX_ZIP_BYTES = 64 * 1024 * 1024
"""Of all members together, unpacked."""
MAX_ZIP_RATIO = 200
"""Unpacked to packed, of a member of over ``RATIO_FROM`` bytes; text comes to 20 at most."""
RATIO_FROM = 1024 * 1024
