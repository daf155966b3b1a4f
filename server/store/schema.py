"""Tables, and how older ones become them; each step is applied once and never changed again.

Names and texts are bytes (``server.store.ask.key``). ``changed`` numbers the changes of all
conversations; it says who was changed last, whatever clocks say. ``writer`` is who may write.
"""

from __future__ import annotations

SQLITE_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE conversations (
            id BLOB PRIMARY KEY NOT NULL,
            principal BLOB NOT NULL,
            model BLOB NOT NULL,
            created_at REAL NOT NULL,
            updated_at REAL NOT NULL,
            changed INTEGER NOT NULL,
            title BLOB NOT NULL,
            num_items INTEGER NOT NULL,
            num_bytes INTEGER NOT NULL,
            summary BLOB NOT NULL DEFAULT x'',
            note BLOB NOT NULL DEFAULT x''
        ) STRICT""",
        "CREATE INDEX conversations_of_principal ON conversations (principal, changed, id)",
        "CREATE INDEX conversations_by_change ON conversations (changed, id, num_bytes)",
        """
        CREATE TABLE items (
            conversation BLOB NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            id BLOB NOT NULL,
            position INTEGER NOT NULL,
            num_bytes INTEGER NOT NULL,
            title BLOB,
            body BLOB NOT NULL,
            PRIMARY KEY (conversation, id)
        ) STRICT""",
    ),
    ("ALTER TABLE conversations ADD COLUMN writer BLOB NOT NULL DEFAULT x''",),
)
"""Step *n* leads to ``PRAGMA user_version = n``."""

POSTGRES_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE conversations (
            id bytea PRIMARY KEY,
            principal bytea NOT NULL,
            model bytea NOT NULL,
            created_at double precision NOT NULL,
            updated_at double precision NOT NULL,
            changed bigint NOT NULL,
            title bytea NOT NULL,
            num_items integer NOT NULL,
            num_bytes bigint NOT NULL,
            summary bytea NOT NULL DEFAULT '',
            note bytea NOT NULL DEFAULT ''
        )""",
        "CREATE INDEX conversations_of_principal ON conversations (principal, changed, id)",
        "CREATE INDEX conversations_by_change ON conversations (changed, id, num_bytes)",
        """
        CREATE TABLE items (
            conversation bytea NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            id bytea NOT NULL,
            position bigint NOT NULL,
            num_bytes bigint NOT NULL,
            title bytea,
            body bytea NOT NULL,
            PRIMARY KEY (conversation, id)
        )""",
    ),
    ("ALTER TABLE conversations ADD COLUMN writer bytea NOT NULL DEFAULT ''",),
)
"""Step *n* leads to the version *n* in the table ``kaiwa_schema``."""
