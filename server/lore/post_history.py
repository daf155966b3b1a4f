"""Instructions that a card wants read behind the history, without moving them.

Other programs put them at the end of every prompt, behind the newest message, and so each prompt
differs from the one before already there. Here they are written behind a user's message for good,
and again behind a later one once so much has been read since that repeating them costs little.
"""

from __future__ import annotations

from collections.abc import Collection

SPACING = 8
"""They are repeated once what was read since is so many times as long: they are at most about one
part in eight of what is read."""


class PostHistory:
    """Where a session's post-history instructions stand."""

    def __init__(self) -> None:
        self._text = ""
        self._item_id = ""

    @property
    def item_id(self) -> str:
        """The message behind which they stand; empty for none."""
        return self._item_id

    def say(
        self, text: str, *, item_id: str, standing: Collection[str], num_read_since: int | None
    ) -> str:
        """Decide whether they are written behind a user's message.

        They are behind the first one, where they are others than before, where they have left the
        context, and where they stand far enough back.

        Args:
            text: The instructions; empty for none.
            item_id: Of the new message.
            standing: Ids of the user's messages that the model still reads.
            num_read_since: Characters behind the message behind which they stand
                (``length_behind`` of the conversation); ``None`` if it is gone.

        Returns:
            What is to be written: the instructions, or nothing.
        """
        text = text.strip()
        is_new = text != self._text or self._item_id not in standing
        is_far = num_read_since is None or num_read_since >= SPACING * len(text)
        if not text or not (is_new or is_far):
            return ""
        self._text, self._item_id = text, item_id
        return text
