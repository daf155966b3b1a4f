"""The dashboard shows what is counted, in a form that Grafana 10 and newer read."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

import pytest

from server.config.shipped import REPOSITORY
from tests.configs.queries import problems_of

DASHBOARD: dict[str, Any] = json.loads(
    (REPOSITORY / "configs" / "grafana" / "kaiwa.json").read_text(encoding="utf-8")
)
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
CHARTS = [panel for panel in PANELS if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in CHARTS for target in panel["targets"]]


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_reads_what_is_there(query: str) -> None:
    """No panel stays empty for want of a name."""
    assert list(problems_of(query)) == []


def test_a_wrong_name_would_be_found() -> None:
    """The test above can fail."""
    assert list(problems_of("rate(kaiwa_nonsense_total[1m])"))
    assert list(problems_of('kaiwa_ready{session="x"}'))
    assert list(problems_of("sum by (session) (kaiwa_ready)"))


def test_it_has_what_grafana_wants_of_a_dashboard() -> None:
    """Schema 39 is Grafana 10.4's; newer ones lift it by themselves."""
    assert DASHBOARD["schemaVersion"] == 39
    assert re.fullmatch(r"[\w-]{1,40}", DASHBOARD["uid"])
    assert "id" not in DASHBOARD
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    asked = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert asked - names == {"__rate_interval", "__all"}


def test_panels_are_whole_and_apart() -> None:
    """Each has its own number, its own place and queries of different names."""
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in CHARTS:
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs) > 0
    for one, other in combinations([panel["gridPos"] for panel in PANELS], 2):
        assert one["x"] + one["w"] <= 24
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above
