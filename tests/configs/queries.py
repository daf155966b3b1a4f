"""Which series a PromQL query reads, and whether there are such."""

from __future__ import annotations

import re
from collections.abc import Iterator

from server.metrics import Metrics

_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}
_TARGET_LABELS = frozenset({"instance", "job"})
"""Prometheus puts them on what it scrapes."""

_SERIES = re.compile(r"\b((?:kaiwa|process)_\w+)(?:\{([^}]*)\})?")
_GROUPS = re.compile(r"\bby \(([^)]*)\)")


def known_series() -> dict[str, frozenset[str]]:
    """Every series that ``/metrics`` can hold, with the labels that it has."""
    metrics = Metrics()
    labels = {
        family._name: frozenset(family._labelnames)
        for family in vars(metrics).values()
        if hasattr(family, "_labelnames")
    }
    known: dict[str, frozenset[str]] = {}
    for family in metrics.registry.collect():
        for suffix in _SUFFIXES[family.type]:
            own = labels.get(family.name, frozenset())
            bucket = frozenset({"le"} if suffix == "_bucket" else ())
            known[family.name + suffix] = own | bucket | _TARGET_LABELS
    return known


def problems_of(query: str) -> Iterator[str]:
    """What a query asks for that is not there."""
    known = known_series()
    read = _SERIES.findall(query)
    for name, matchers in read:
        if name not in known:
            yield f"{name} is not counted"
            continue
        asked = set(re.findall(r"(\w+)\s*[=!]", matchers))
        yield from (f"{name} has no label {label}" for label in asked - known[name])
    if not read and "up" not in query:
        yield f"{query!r} reads nothing"
    everywhere = frozenset[str]().union(*(known.get(name, ()) for name, _ in read))
    for group in _GROUPS.findall(query):
        wanted = {label.strip() for label in group.split(",")}
        yield from (f"nothing in {query!r} has a label {one}" for one in wanted - everywhere)
