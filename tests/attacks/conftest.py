"""One server per section."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.attacks.harness import Target, target


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kaiwa(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Target]:
    """The server of this section, with the settings that its module names in ``SETTINGS``."""
    settings = getattr(request.module, "SETTINGS", {})
    async with target(tmp_path_factory.mktemp("target"), **settings) as running:
        yield running
