"""The command ``kaiwa``: reads the command line, and hands over."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TypedDict

from engine.errors import EngineDead, EngineError
from server.config_loader import LoadedSettings, find_problems, load_settings
from server.errors import CharacterFileError
from server.model_doctor import DOCTOR_EPILOG, asks_for_model, examine_model
from server.record_command import EPILOG as RECORD_EPILOG
from server.record_command import add_options, check_named
from server.version import version

EXIT_USAGE = 2
EXIT_ENGINE_LOST = 70
EXIT_INTERRUPTED = 130

_EPILOG = """\
examples:
  kaiwa serve                                    the demo model and its characters
  kaiwa serve --model Qwen/Qwen3-0.6B            a model of the hub
  kaiwa serve --model ./folder --character aoi.toml --port 9000
  kaiwa serve --character mika.png               a character card
  kaiwa card mika.png                            what is in a card, and what a model reads
  kaiwa key new --name alice                     an API key, and what to keep of it
  kaiwa serve --config kaiwa.toml --host 0.0.0.0 --api-keys keys.toml
  kaiwa record --dir wire-logs                   serve, and keep what kaiwa replay needs
  kaiwa chat                                     talk in the terminal
  kaiwa bench engine --against transformers      Kaiwa beside its peers, same weights
  kaiwa bench --policy pool,dynamic,continuous   ways to serve a model in parallel
  kaiwa replay trace.jsonl --report build/r      what listeners feel, on a running server
  kaiwa simulate chat --policy fcfs,deadline     what listeners would feel
  kaiwa compare build/before build/after         what changed between two reports
  kaiwa doctor                                   what would go wrong
  kaiwa doctor --model ./classifier --threads 4  may threads share this model?
  kaiwa config show --port 9000                  what holds, and why
  kaiwa config check --config kaiwa.toml         all that is wrong with it

exit codes: 0 done, 2 wrong usage or settings, 70 the engine is lost for good
"""

_SERVE_EPILOG = """\
Settings come from --config, then from the environment (KAIWA_LISTEN_PORT=9000), then from here;
the last one wins. `kaiwa config show` prints them all, configs/kaiwa.example.toml explains them.
Once it can answer, it prints one line on standard output: ready http://HOST:PORT
"""

_ELSEWHERE = {
    "chat": ("clients.terminal", "talk to a character in the terminal"),
    "card": ("server.card_command", "show a character card, or write it in another format"),
    "key": ("server.key_command", "make an API key, and say what to keep of it"),
    "bench": ("clients.bench", "measure a server; engine, server: Kaiwa beside its peers"),
    "replay": ("server.replay", "play a trace or a script against servers, and report"),
    "compare": ("clients.compare", "say what changed between two reports, and how surely"),
    "simulate": ("server.simulate", "see what listeners would feel, without a model"),
}
"""Commands with options of their own. Those that clients bring are imported by name, so that the
server never knows them. The simulator joins both sides, and only by this name is it part of it."""

_BENCHES = {
    "engine": "tools.bench.engine",
    "server": "tools.bench.server",
    "profile": "tools.bench.profile",
    "quality": "tools.bench.quality",
}
"""What may follow ``kaiwa bench``; in a checkout only, beside the peers' figures."""

_SCHEMES = "tools.bench.schemes.command"
"""What ``kaiwa bench --policy`` runs, in a checkout only as well."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["bench"] and len(arguments) > 1 and arguments[1] in _BENCHES:
        return _run_elsewhere(_BENCHES[arguments[1]], arguments[2:])
    if arguments[:1] == ["bench"] and any(_is_policy(one) for one in arguments[1:]):
        return _run_elsewhere(_SCHEMES, arguments[1:])
    if arguments and arguments[0] in _ELSEWHERE:
        return _run_elsewhere(_ELSEWHERE[arguments[0]][0], arguments[1:])
    if arguments[:1] == ["doctor"] and asks_for_model(arguments[1:]):
        return examine_model(arguments[1:])
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        if options.run is None:
            return _check(options)
        loaded = load_settings(**_sources(options))
        command: Callable[[LoadedSettings], int] = options.run
        code = command(loaded)
        if argv is None:
            _leave(code)
        return code
    except (EngineError, CharacterFileError) as error:
        sys.stderr.write(f"kaiwa: {error}\n")
        return EXIT_ENGINE_LOST if isinstance(error, EngineDead) else EXIT_USAGE
    except KeyboardInterrupt:
        return 130


def _leave(code: int) -> NoReturn:
    """End the process without taking it apart: all is closed, and the system frees memory faster.

    After a quarter of an hour of talk the interpreter still freed objects 4 s behind the end.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # whoever read it may be gone
            stream.flush()
    os._exit(code)


def _serve(loaded: LoadedSettings) -> int:
    from server.app import serve  # brings the libraries in; `kaiwa --help` stays quick
    from server.log_lines import configure_logging, on_loop_error
    from server.open_files import raise_limit

    configure_logging(loaded.settings.log)
    raise_limit(loaded.settings.limits.most_sockets)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.get_loop().set_exception_handler(on_loop_error)
        return runner.run(serve(loaded.settings))


def _record(loaded: LoadedSettings) -> int:
    check_named(loaded.settings.record)
    return _serve(loaded)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where there is one."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _doctor(loaded: LoadedSettings) -> int:
    from server.doctor import examine, write_report

    return write_report(examine(loaded.settings))


def _show(loaded: LoadedSettings) -> int:
    sys.stdout.write("\n".join(loaded.lines()) + "\n")
    return 0


def _check(options: argparse.Namespace) -> int:
    """Say all that is wrong at once; nothing is started or bound."""
    from server.doctor import examine_files

    problems = find_problems(**_sources(options))
    if not problems:
        problems = examine_files(load_settings(**_sources(options)).settings)
    for problem in problems:
        sys.stderr.write(f"kaiwa: {problem}\n")
    if not problems:
        sys.stdout.write("the settings are good\n")
    return EXIT_USAGE if problems else 0


def _is_policy(argument: str) -> bool:
    return argument.partition("=")[0] == "--policy"


def _run_elsewhere(module_name: str, arguments: Sequence[str]) -> int:
    try:
        module = importlib.import_module(module_name)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED  # loading takes a second; some are done by then
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        sys.stderr.write(f"kaiwa: {module_name} is not in this build; run it in a checkout\n")
        return EXIT_USAGE
    run: Callable[[list[str]], int] = module.main
    try:
        return run(list(arguments))
    except KeyboardInterrupt:
        return 130


class _Sources(TypedDict):
    """Where settings come from; the arguments of ``load_settings``."""

    file: Path | None
    environment: Mapping[str, str]
    command_line: Mapping[str, object]


def _sources(options: argparse.Namespace) -> _Sources:
    given = {
        path: value
        for path, value in vars(options).items()
        if "." in path and value is not None and value != []
    }
    file = options.config or os.environ.get("KAIWA_CONFIG")
    return {
        "file": Path(file) if file else None,
        "environment": os.environ,
        "command_line": given,
    }


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="kaiwa",
        description="Let language models play characters in real time.",
        epilog=_EPILOG,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"kaiwa {version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    settings = _settings_parser()
    serve = commands.add_parser(
        "serve", help="serve", parents=[settings], epilog=_SERVE_EPILOG, formatter_class=raw
    )
    serve.set_defaults(run=_serve)
    text = "serve, and write down for kaiwa replay what is said and when"
    record = commands.add_parser(
        "record", help=text, parents=[settings], epilog=RECORD_EPILOG, formatter_class=raw
    )
    add_options(record)
    record.set_defaults(run=_record)
    for name, (_module, text) in _ELSEWHERE.items():
        commands.add_parser(name, help=text, add_help=False)
    doctor = commands.add_parser(
        "doctor",
        help="say what would go wrong",
        parents=[settings],
        epilog=DOCTOR_EPILOG,
        formatter_class=raw,
    )
    doctor.set_defaults(run=_doctor)
    config = commands.add_parser("config", help="show or check the settings")
    actions = config.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print every setting and its origin", parents=[settings])
    show.set_defaults(run=_show)
    check = actions.add_parser("check", help="say all that is wrong with them", parents=[settings])
    check.set_defaults(run=None)  # whoever runs loads them first, and would stop at the first
    return parser


def _settings_parser() -> argparse.ArgumentParser:
    """Options named by the dotted path of their setting; what is not given stays ``None``."""
    parser = argparse.ArgumentParser(add_help=False)

    def option(flag: str, path: str, kind: Callable[[str], object], name: str, text: str) -> None:
        target.add_argument(flag, dest=path, type=kind, metavar=name, help=text)

    target = parser.add_argument_group("who is served")
    option("--model", "engine.model", str, "PATH_OR_ID", "folder or hub id; the demo model if none")
    target.add_argument(
        "--character",
        dest="characters.files",
        action="append",
        metavar="FILE",
        help="a TOML file or a card (PNG, JSON, CHARX), or a folder of them; may be repeated; "
        "the shipped ones if none",
    )
    target.add_argument(
        "--lorebook",
        dest="characters.lorebooks",
        action="append",
        metavar="FILE",
        help="lore that all of them know: lorebook_v3, or world info; may be repeated",
    )
    option("--prompt", "characters.prompt", str, "TEXT", "one more character, 'custom', of this")
    option("--cards", "characters.folder", str, "FOLDER", "keep the cards here that clients send")
    target = parser.add_argument_group("where")
    option("--host", "listen.host", str, "ADDRESS", "default 127.0.0.1")
    option("--port", "listen.port", int, "PORT", "default 8000; 0 lets the system choose")
    option(
        "--admin-port", "listen.admin_port", int, "PORT", "for /metrics and probes; none if none"
    )
    option("--tls-cert", "listen.tls_cert", str, "FILE", "PEM certificate; then the port is TLS")
    option("--tls-key", "listen.tls_key", str, "FILE", "PEM private key")
    option("--api-keys", "auth.api_keys_file", str, "FILE", "hashes of keys; see kaiwa key new")
    target.add_argument(
        "--insecure",
        dest="auth.insecure",
        action="store_const",
        const=True,
        help="listen where others can reach it, without any key",
    )
    target = parser.add_argument_group("engine")
    option("--dtype", "engine.dtype", str, "TYPE", "auto, bfloat16 or float32")
    option("--device", "engine.device", str, "DEVICE", "auto, cpu or cuda")
    option(
        "--quantization",
        "engine.quantization",
        str,
        "KIND",
        "int8, or fp8 on a GPU; weights as they are if none",
    )
    target.add_argument(
        "--deterministic",
        dest="engine.deterministic",
        action="store_const",
        const=True,
        help="the same bits for a token whatever the batch; costs time on a GPU",
    )
    option("--kernels", "engine.kernels", str, "KIND", "auto, or torch for transformers' modules")
    option("--policy", "engine.policy", str, "NAME", "fcfs, deadline (default) or paced")
    option("--max-num-seqs", "engine.max_num_seqs", int, "N", "replies in the running batch")
    option("--max-num-batched-tokens", "engine.max_num_batched_tokens", int, "N", "tokens per step")
    option(
        "--num-threads",
        "engine.num_threads",
        int,
        "N",
        "CPU threads per step; one or all, measured, if none",
    )
    option("--max-model-len", "engine.max_model_len", int, "N", "tokens of prompt and reply")
    option("--kv-cache-tokens", "engine.kv_cache_tokens", int, "N", "KV budget in tokens")
    option("--kv-cache-memory", "engine.kv_cache_memory", _memory, "SIZE", "2GiB, or 0.5 of free")
    option("--kv-cache-dtype", "engine.kv_cache_dtype", str, "TYPE", "auto; fp8 or int8 on a GPU")
    target.add_argument(
        "--no-enable-prefix-caching",
        dest="engine.enable_prefix_caching",
        action="store_const",
        const=False,
        help="compute every prompt anew",
    )
    target = parser.add_argument_group("running")
    target.add_argument("--config", metavar="FILE", help="TOML file; or set KAIWA_CONFIG")
    option("--drain-timeout", "drain.timeout_s", float, "SECONDS", "for replies after SIGTERM")
    option("--log-format", "log.format", str, "FORMAT", "text or json")
    option("--log-level", "log.level", str, "LEVEL", "debug, info, warning or error")
    return parser


def _memory(text: str) -> int | float | str:
    """A number stays a number; ``2GiB`` is the engine's to read."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


if __name__ == "__main__":
    sys.exit(main())
