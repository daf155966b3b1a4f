"""Every kind of store, for the tests that all of them pass."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.store.rooms import Stores, make_schema
from tests.support.postgres import PostgresCluster, postgres_cluster

KINDS = [
    "memory",
    "sqlite",
    pytest.param("postgres", marks=pytest.mark.slow),
]


@pytest.fixture(scope="session")
def cluster() -> Iterator[PostgresCluster]:
    """One for all tests, where there is a PostgreSQL."""
    with postgres_cluster() as cluster:
        yield cluster


@pytest.fixture(params=KINDS)
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    """Of each kind; nothing is kept yet."""
    dsn = None
    if request.param == "postgres":
        dsn = await make_schema(request.getfixturevalue("cluster"), f"k{secrets.token_hex(8)}")
    return Stores(request.param, tmp_path, dsn)
