"""The alerts watch what is counted, and each has its place in the runbook."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
import yaml

from server.config.shipped import REPOSITORY
from tests.configs.queries import problems_of

FOLDER = REPOSITORY / "configs" / "prometheus"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_watches_what_is_there(rule: dict[str, Any]) -> None:
    """And says how grave it is, and what is the matter."""
    assert list(problems_of(rule["expr"])) == []
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]


def test_each_alert_is_in_the_runbook() -> None:
    """By its name, so that it can be searched for."""
    text = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [rule["alert"] for rule in RULES if rule["alert"] not in text] == []


def test_the_job_that_alerts_name_is_scraped() -> None:
    """Where the shipped settings of Prometheus say so."""
    settings = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert [job["job_name"] for job in settings["scrape_configs"]] == ["kaiwa"]
    assert settings["rule_files"] == ["alerts.yml"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_them() -> None:
    """Prometheus' own opinion."""
    command = ["promtool", "check", "rules", str(FOLDER / "alerts.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
