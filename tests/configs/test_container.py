"""The image and the compose files fit this checkout and its settings."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml

from server.config.shipped import REPOSITORY
from server.config_loader import load_settings
from tests.support.fake_server import running_server
from tools.list_requirements import list_requirements

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "compose.yaml").read_text(encoding="utf-8"))
KAIWA: dict[str, Any] = COMPOSE["services"]["kaiwa"]


def instructions(name: str) -> list[str]:
    """What stands behind an instruction, wherever it occurs."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, flags=re.MULTILINE)


def image_environment() -> dict[str, str]:
    """Variables of the image that runs."""
    return dict(pair.split("=", 1) for pair in instructions("ENV")[-1].split())


def healthcheck() -> list[str]:
    """The command that asks how the server does."""
    (line,) = instructions("HEALTHCHECK")
    command = json.loads(line.partition("CMD ")[2])
    assert isinstance(command, list)
    return command


def test_the_image_s_settings_are_settings() -> None:
    """Kaiwa reads each variable, those of compose over those of the image."""
    given = image_environment() | KAIWA["environment"]
    settings = load_settings(environment=given).settings
    assert (settings.listen.host, settings.listen.admin_port) == ("0.0.0.0", 9100)
    assert settings.listen.admin_host == "0.0.0.0"


def test_alone_the_image_shows_its_numbers_to_nobody() -> None:
    """The admin port is the container's own until somebody says otherwise."""
    assert load_settings(environment=image_environment()).settings.listen.admin_host == "127.0.0.1"


def test_what_is_copied_is_there_and_let_through() -> None:
    """Nothing that the build needs is ignored, and nothing is missing."""
    rules = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    sources = [
        source
        for line in instructions("COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (REPOSITORY / source).exists()
        assert any(source == one or fnmatch(source, f"{one}/*") for one in allowed)


def test_the_extras_are_there() -> None:
    """What is installed beside the rest has a name in the project."""
    (extras,) = [line for line in instructions("ARG") if line.startswith("EXTRAS=")]
    names = extras.partition("=")[2].strip('"').split()
    assert list_requirements(REPOSITORY / "pyproject.toml", names)


def test_it_runs_as_nobody_in_particular() -> None:
    """A number, so that an orchestrator can see that it is not root."""
    assert instructions("USER") == ["10001:10001"]
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["tini", "--", "kaiwa"]


def test_everything_written_is_a_volume() -> None:
    """So that the root file system may be read-only."""
    volumes = set(json.loads(instructions("VOLUME")[0]))
    environment = image_environment()
    assert {environment["HOME"], environment["HF_HOME"]} <= volumes
    assert {
        f"{environment[name]}/kaiwa" for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME")
    } <= volumes
    assert {mount.split(":")[1] for mount in KAIWA["volumes"]} == volumes
    assert KAIWA["read_only"] is True


def test_compose_waits_for_a_drain() -> None:
    """Longer than replies and closing handshakes may take."""
    drain = load_settings().settings.drain
    grace = float(KAIWA["stop_grace_period"].removesuffix("s"))
    assert grace > drain.timeout_s + drain.close_timeout_s + 10


@pytest.mark.parametrize("name", ["compose.yaml", "compose.postgres.yaml"])
def test_compose_names_only_what_it_declares(name: str) -> None:
    """Volumes, secrets and services, the overlay's with those below it."""
    overlay = yaml.safe_load((REPOSITORY / name).read_text(encoding="utf-8"))
    declared = {key: {**COMPOSE[key], **overlay[key]} for key in ("services", "secrets", "volumes")}
    for service in overlay["services"].values():
        assert set(service.get("secrets", ())) <= set(declared["secrets"])
        assert set(service.get("depends_on", ())) <= set(declared["services"])
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("./"):
                assert (REPOSITORY / source).exists()
            else:
                assert source in declared["volumes"]


@pytest.mark.slow
@pytest.mark.wire(only="uvloop")
async def test_the_healthcheck_says_whether_it_is_ready() -> None:
    """Exit code 0 while it is, another when it is not: the very command of the image."""
    command = [sys.executable, *healthcheck()[1:]]
    async with running_server(listen__port=0) as server:
        port = str(server.address[1])

        async def check() -> int:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, "KAIWA_LISTEN_ADMIN_PORT": port},
                stderr=asyncio.subprocess.DEVNULL,
            )
            return await process.wait()

        assert await check() == 0
        server.engine.seconds_since_progress = 100.0
        assert await check() != 0
