"""What was found out about a model, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["pass", "warn", "fail"]

POOL_OR_LOCK = (
    "keep it in a local variable; or give each thread an instance of its own "
    "(engine.single_shot.model_pool), or hold a lock around each forward"
)
_SHOWN = 8
"""Findings of a kind that are told one by one."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the verdict.

    Attributes:
        verdict: ``fail`` makes the model unsafe to share.
        subject: What was looked at.
        detail: What was seen, with the path of the module.
        way_out: What to do; empty where nothing is wrong.
    """

    verdict: Verdict
    subject: str
    detail: str
    way_out: str = ""


def is_safe(findings: Sequence[Finding]) -> bool:
    """Whether threads may share one instance."""
    return all(finding.verdict != "fail" for finding in findings)


def shortened(findings: Sequence[Finding]) -> list[Finding]:
    """Return the first few findings of one kind, and how many more there are."""
    left = len(findings) - _SHOWN
    if left <= 1:
        return list(findings)
    last = findings[_SHOWN]
    more = Finding(last.verdict, last.subject, f"and {left} more like these", "")
    return [*findings[:_SHOWN], more]


def report(name: str, findings: Sequence[Finding], threads: int) -> str:
    """Return the verdict as text: a line per finding, its way out below, the sum at the end."""
    return "\n".join([f"model {name}", *_lines(findings), _sum(findings, threads)]) + "\n"


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    for place, finding in enumerate(findings):
        yield f"{finding.verdict:<5} {finding.subject:<12} {finding.detail}"
        following = findings[place + 1].way_out if place + 1 < len(findings) else None
        if finding.way_out and finding.way_out != following:  # said once for several
            yield f"{'':<18} -> {finding.way_out}"


def _sum(findings: Sequence[Finding], threads: int) -> str:
    if is_safe(findings):
        return f"safe: {threads} threads may share one instance"
    count = sum(finding.verdict == "fail" for finding in findings)
    plural = "s" if count > 1 else ""
    return f"unsafe: {count} reason{plural} why threads must not share one instance as it is"
