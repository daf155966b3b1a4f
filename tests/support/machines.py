"""Runs hypothesis's state machines: always the same made-up sequences."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def run_machine(
    machine: type[RuleBasedStateMachine], *, num_sequences: int, num_steps: int
) -> None:
    """Make up sequences, always the same ones, and raise what the first bad one raises."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=num_sequences,
            stateful_step_count=num_steps,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=False,
        ),
    )
