r"""`kaiwa bench server`: Kaiwa beside other servers, on the same weights, asked the same way.

Each server runs alone on this machine, in turn, and answers streaming chat completions from a
client on the same cores: a closed loop of so many listeners whose prompts begin alike. Rounds
alternate between servers, so that a machine that drifts drifts for all. Peers are named by what
starts them, or by the address where they run already::

    kaiwa bench server --streams 1,4,16,32,64 --gguf s.gguf \
        --against vllm=PYTHON,llama.cpp=LLAMA_SERVER --report docs/benchmarks/servers-s
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from functools import partial

from tools.bench.against import SERVERS, PeerMissing, parse_peers
from tools.bench.command import Measure, add_options, run_all, workload_of
from tools.bench.http_client import measure
from tools.bench.launch import Start, free_port, running, start_kaiwa, start_peer
from tools.bench.machine import usual_dtype
from tools.bench.report import Row
from tools.bench.workload import Workload


def main(argv: list[str] | None = None) -> int:
    """Read the command line, start, measure, end, write."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="kaiwa bench server",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    option = parser.add_argument
    option(
        "--against",
        default="",
        metavar="LIST",
        help="vllm=PYTHON, llama.cpp=LLAMA_SERVER, or http:// addresses of running servers",
    )
    option("--gguf", metavar="FILE", help="the same weights for llama.cpp, in bfloat16")
    option("--kaiwa-args", default="", help="more arguments for `kaiwa serve`")
    options = parser.parse_args(arguments)
    try:
        servers = _servers(options)
        workload = workload_of(options, usual_dtype())
    except (PeerMissing, ValueError) as error:
        parser.error(str(error))
    engines: dict[str, Measure] = {
        name: partial(_measure_server, name, where, workload) for name, where in servers.items()
    }
    run_all(engines, workload, options, ["server", *arguments])
    return 0


Starter = Callable[[Workload, int], Start]


def _servers(options: argparse.Namespace) -> dict[str, Starter | str]:
    """Return what starts each server for a workload on a port, or where it runs already.

    Raises:
        PeerMissing: One of them cannot be measured.
    """
    more = options.kaiwa_args.split()
    servers: dict[str, Starter | str] = {"kaiwa": partial(start_kaiwa, more=more)}
    if options.int8:
        servers["kaiwa-int8"] = partial(start_kaiwa, more=[*more, "--quantization", "int8"])
    for peer in parse_peers(options.against, SERVERS, takes_urls=True):
        if peer.name == "llama.cpp" and not peer.is_running and not options.gguf:
            raise PeerMissing("llama.cpp needs --gguf FILE, the same weights in its own format")
        servers[peer.name] = (
            peer.place if peer.is_running else partial(start_peer, peer, gguf=options.gguf)
        )
    return servers


def _measure_server(
    name: str, where: Starter | str, workload: Workload, round_number: int
) -> Sequence[Row]:
    if isinstance(where, str):
        found = asyncio.run(measure(workload, where, round_number))
    else:
        port = free_port()
        with running(where(workload, port), port):
            found = asyncio.run(measure(workload, f"http://127.0.0.1:{port}", round_number))
    return [
        Row(peer=name, streams=streams, **figures)
        for streams, figures in zip(workload.streams, found, strict=True)
    ]


if __name__ == "__main__":
    raise SystemExit(main())
