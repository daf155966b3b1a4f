"""``kaiwa doctor --model M``: may threads share this model? Asked in a process that has torch."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence

DOCTOR_EPILOG = """\
A model alone, without other settings: kaiwa doctor --model M [--instances N] [--threads N]
says whether threads may share one instance of it (exit code 0), or why not (1); M is a folder
with safetensors, or module:callable. With other settings beside --model this machine is looked at.
"""


_OF_MODELS = ("--model", "--instances", "--threads", "--rounds")


def asks_for_model(arguments: Sequence[str]) -> bool:
    """Whether the arguments behind ``doctor`` name a model and nothing of a server's settings."""
    names = [one.partition("=")[0] for one in arguments if one.startswith("-")]
    is_of_models = any(name in _OF_MODELS for name in names)
    return is_of_models and all(name in (*_OF_MODELS, "-h", "--help") for name in names)


def examine_model(arguments: Sequence[str]) -> int:
    """Run the examination, whose output goes where ours does, and return its exit code.

    An examination that a signal ended has judged nothing: that is 2, or 130 after Ctrl-C.
    """
    command = [sys.executable, "-m", "engine.parallel_safety", *arguments]
    try:
        code = subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 130
    if code == -signal.SIGINT:
        return 130
    if code < 0:
        name = signal.Signals(-code).name
        sys.stderr.write(
            f"kaiwa doctor: {name} ended the examination, which then says nothing of the model; "
            "SIGKILL is what a system does that runs out of memory\n"
        )
        return 2
    return code
