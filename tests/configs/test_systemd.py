"""The unit fits the server: its settings, its exit codes, its time to stop."""

from __future__ import annotations

import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from server.__main__ import EXIT_ENGINE_LOST, EXIT_USAGE
from server.config.shipped import REPOSITORY
from server.config_loader import load_settings
from server.state import PROGRESS_TIMEOUT_S

UNIT = REPOSITORY / "configs" / "systemd" / "kaiwa.service"


def service() -> dict[str, list[str]]:
    """The section of the service; each name with all of its values."""
    found: dict[str, list[str]] = {}
    section = UNIT.read_text(encoding="utf-8").split("[Service]")[1].split("[Install]")[0]
    for line in section.splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_its_variables_are_settings() -> None:
    """Kaiwa reads each of them."""
    pairs = dict(value.split("=", 1) for value in service()["Environment"])
    settings = load_settings(environment=pairs).settings
    assert settings.log.format == "json"
    assert settings.auth.api_keys_file is not None


def test_it_is_started_anew_when_that_may_help() -> None:
    """After the engine was lost; not when the settings are wrong."""
    unit = service()
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartForceExitStatus"] == [str(EXIT_ENGINE_LOST)]
    assert unit["RestartPreventExitStatus"] == [str(EXIT_USAGE)]


def test_it_may_take_its_time_to_stop() -> None:
    """Longer than replies and closing handshakes may take, the engine left alone meanwhile."""
    drain, unit = load_settings().settings.drain, service()
    assert float(unit["TimeoutStopSec"][0]) > drain.timeout_s + drain.close_timeout_s + 10
    assert unit["KillMode"] == ["mixed"]


def test_its_watchdog_is_more_patient_than_readiness() -> None:
    """Before the process is killed for want of progress, nobody new has been sent to it."""
    assert float(service()["WatchdogSec"][0]) > PROGRESS_TIMEOUT_S + 10


def test_it_is_plain_enough_for_any_reader() -> None:
    """Sections and assignments, nothing else."""
    parser = RawConfigParser(strict=False)
    parser.read(UNIT)
    assert parser.sections() == ["Unit", "Service", "Install"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_it(tmp_path: Path) -> None:
    """Its own opinion, with programs and folders that are here."""
    text = UNIT.read_text(encoding="utf-8")
    text = text.replace("/opt/kaiwa/.venv/bin/kaiwa", "/bin/true")
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace("WorkingDirectory=/opt/kaiwa", "WorkingDirectory=/tmp"))
    command = ["systemd-analyze", "verify", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
