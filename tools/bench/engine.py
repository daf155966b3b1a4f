"""`kaiwa bench engine`: Kaiwa's engine beside its peers, in process, on the same weights.

Every engine gets the same prompts as token ids, greedy, and as many streams as are asked for in a
closed loop: a stream that ends is followed by the next. Each runs alone, in a process of its own;
rounds alternate, so that a machine that drifts drifts for all. Kaiwa runs as it serves, with its
engine in a second process; the peers are spared that border.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial

from tools.bench.against import ENGINES, Peer, PeerMissing, parse_peers
from tools.bench.alone import AloneFailed, run_alone
from tools.bench.command import Measure, add_options, run_all, workload_of
from tools.bench.machine import usual_dtype
from tools.bench.report import Row
from tools.bench.workload import Workload


def main(argv: list[str] | None = None) -> int:
    """Read the command line, measure, print, write."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="kaiwa bench engine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    parser.add_argument(
        "--dtype", default=usual_dtype(), choices=["bfloat16", "float32"], help="(%(default)s)"
    )
    parser.add_argument(
        "--against",
        default="transformers",
        metavar="LIST",
        help="transformers, and openvino=PYTHON with the interpreter that has OpenVINO GenAI and "
        "optimum-intel (%(default)s); '' for none",
    )
    options = parser.parse_args(arguments)
    try:
        peers = parse_peers(options.against, ENGINES, takes_urls=False)
        workload = workload_of(options, options.dtype)
    except (PeerMissing, ValueError) as error:
        parser.error(str(error))
    engines = _engines(peers, workload, with_int8=options.int8)
    run_all(engines, workload, options, ["engine", *arguments])
    return 0


def _engines(peers: list[Peer], workload: Workload, *, with_int8: bool) -> dict[str, Measure]:
    """Return what measures each engine, by its name in the report."""

    def alone(name: str, room: str, python: str = sys.executable, **settings: str) -> Measure:
        return partial(_measure_alone, name, room, python, workload, settings)

    engines = {"kaiwa": alone("kaiwa", "kaiwa")}
    if with_int8:
        engines["kaiwa-int8"] = alone("kaiwa-int8", "kaiwa", quantization="int8")
    for peer in peers:
        if peer.name == "transformers":
            engines["transformers-cb"] = alone("transformers-cb", "transformers_cb", peer.place)
            engines["generate"] = alone("generate", "generate", peer.place)
        else:
            engines["openvino"] = alone("openvino", "openvino", peer.place)
            if with_int8:
                engines["openvino-int8"] = alone(
                    "openvino-int8", "openvino", peer.place, quantization="int8"
                )
    return engines


def _measure_alone(
    name: str,
    room: str,
    python: str,
    workload: Workload,
    settings: dict[str, str],
    round_number: int,
) -> list[Row]:
    """Measure one engine in a fresh process; prompts do not change with the round."""
    del round_number
    command = ["-m", "tools.bench.engines", room, "--workload", workload.to_json()]
    try:
        found = run_alone([*command, "--options", json.dumps(settings)], python=python)
    except AloneFailed as error:
        raise SystemExit(f"{name} failed:\n{error}") from error
    return [
        Row(peer=name, streams=streams, **figures)
        for streams, figures in zip(workload.streams, found, strict=True)
    ]


if __name__ == "__main__":
    raise SystemExit(main())
