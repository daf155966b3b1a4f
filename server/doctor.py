"""``kaiwa doctor``: looks at the machine and says what would go wrong, before it does."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import ConfigError, EngineError
from engine.native.build import KernelsUnavailable, library_path
from server.auth.key_file import read_keys
from server.auth.origins import check_exposure
from server.characters.files import load_character_file, load_lorebook_file
from server.config.settings import ServerSettings
from server.errors import CharacterFileError
from server.open_files import SPARE, open_files_limit
from server.recording.folder import look_at_folder
from server.sockets.tls import tls_context
from server.store.open_store import look_at_store

Verdict = Literal["pass", "warn", "fail"]

LEAST_PYTHON = (3, 11)
_READINGS = {"ja": ("fugashi", "unidic-lite"), "zh": ("pypinyin",)}
"""What reads Chinese characters, by the extra that brings it (`server.speech`)."""
_PACKAGES = ("torch", "transformers", "tokenizers", "websockets", "uvicorn", "uvloop")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis."""

    verdict: Verdict
    subject: str
    detail: str


def examine(settings: ServerSettings) -> list[Finding]:
    """Look at everything; nothing is changed or loaded."""
    checks: list[Callable[[ServerSettings], Iterator[Finding]]] = [
        _python,
        _packages,
        _readings,
        _processor,
        _kernels,
        _model,
        _characters,
        _access,
        _certificate,
        _port,
        _history,
        _recording,
        _open_files,
    ]
    return [finding for check in checks for finding in check(settings)]


def examine_files(settings: ServerSettings) -> list[str]:
    """What cannot be used of the files that settings name.

    Keys, certificate, characters, and the folder of wire logs.
    """
    checks = (_access, _certificate, _characters, _recording)
    findings = [finding for check in checks for finding in check(settings)]
    return [finding.detail for finding in findings if finding.verdict == "fail"]


def write_report(findings: list[Finding]) -> int:
    """Print one line per finding to stdout; returns the exit code, 1 when something fails."""
    for finding in findings:
        sys.stdout.write(f"{finding.verdict:<5} {finding.subject:<14} {finding.detail}\n")
    failures = sum(finding.verdict == "fail" for finding in findings)
    warnings = sum(finding.verdict == "warn" for finding in findings)
    sys.stdout.write(f"{failures} failed, {warnings} to watch\n")
    return 1 if failures else 0


def _python(_settings: ServerSettings) -> Iterator[Finding]:
    version = platform.python_version()
    fits = sys.version_info >= LEAST_PYTHON
    least = ".".join(map(str, LEAST_PYTHON))
    detail = version if fits else f"{version}; {least} or newer is needed"
    yield Finding("pass" if fits else "fail", "python", detail)


def _packages(_settings: ServerSettings) -> Iterator[Finding]:
    for name in _PACKAGES:
        try:
            yield Finding("pass", name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            verdict: Verdict = "warn" if name == "uvloop" else "fail"
            yield Finding(verdict, name, "not installed; run `make run`, or pip install kaiwa")


def _readings(_settings: ServerSettings) -> Iterator[Finding]:
    for extra, names in _READINGS.items():
        subject = f"readings {extra}"
        try:
            versions = [f"{name} {importlib.metadata.version(name)}" for name in names]
        except importlib.metadata.PackageNotFoundError:
            lost = "lip shapes of Chinese characters are estimated"
            yield Finding("warn", subject, f"{lost}; pip install 'kaiwa[{extra}]' brings them")
        else:
            yield Finding("pass", subject, ", ".join(versions))


def _processor(settings: ServerSettings) -> Iterator[Finding]:
    flags = _cpu_flags()
    known = [
        flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "neon") if flag in flags
    ]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    detail = f"{platform.machine()}, {cores} cores, {' '.join(known) or 'no vector flags known'}"
    yield Finding("pass", "processor", detail)
    if settings.engine.model.device == "cuda" and not Path("/dev/nvidiactl").exists():
        yield Finding("fail", "gpu", "engine.device is cuda, but there is no NVIDIA device")


def _kernels(settings: ServerSettings) -> Iterator[Finding]:
    if settings.engine.model.kernels == "torch" or settings.engine.model.device == "cuda":
        return
    try:
        is_compiled = library_path().is_file()
    except KernelsUnavailable as error:
        yield Finding("warn", "kernels", f"models run in plain torch, slower: {error.message}")
    else:
        later = "compiled at the first start, in a quarter of a minute"
        yield Finding("pass", "kernels", "compiled for this processor" if is_compiled else later)


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(value.split())
    return set()


def _model(settings: ServerSettings) -> Iterator[Finding]:
    name = settings.engine.model.model
    folder = Path(name)
    if not folder.is_dir():
        is_path = folder.is_absolute() or name.startswith((".", "~"))
        if is_path:
            yield Finding("fail", "model", f"there is no folder {name}")
        else:
            yield Finding("warn", "model", f"{name} is no folder; it will be looked up on the hub")
        return
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if not any((folder / one).is_file() for one in ("tokenizer.json", "tokenizer.model")):
        missing.append("tokenizer.json")
    if missing:
        yield Finding("fail", "model", f"{name} lacks {', '.join(missing)}")
    else:
        yield Finding("pass", "model", name)


def _characters(settings: ServerSettings) -> Iterator[Finding]:
    try:
        files = settings.characters.resolved()
    except ConfigError as error:
        yield Finding("fail", "characters", error.message)
        return
    if not files:
        yield Finding("warn", "characters", "none; only the bare model is served")
    seen: set[str] = set()
    for file in files:
        try:
            name = load_character_file(file).id
        except (CharacterFileError, EngineError) as error:
            yield Finding("fail", "character", str(error))
            continue
        if name in seen:
            yield Finding("fail", "character", f"{file}: there is another with the id {name!r}")
        else:
            yield Finding("pass", "character", name)
        seen.add(name)
    for file in settings.characters.lorebooks:
        try:
            load_lorebook_file(file)
            yield Finding("pass", "lorebook", str(file))
        except (CharacterFileError, EngineError) as error:
            yield Finding("fail", "lorebook", str(error))


def _access(settings: ServerSettings) -> Iterator[Finding]:
    try:
        found = read_keys(settings.auth)
        check_exposure(settings.listen, settings.auth, requires_key=bool(found.keys))
    except ConfigError as error:
        yield Finding("fail", "access", error.message)
    else:
        yield Finding("pass", "access", "with an API key" if found.keys else "without a key")
        for warning in found.warnings:
            yield Finding("warn", "access", warning)


def _certificate(settings: ServerSettings) -> Iterator[Finding]:
    try:
        context = tls_context(settings.listen)
    except ConfigError as error:
        yield Finding("fail", "certificate", error.message)
    else:
        if context is not None:
            yield Finding("pass", "certificate", str(settings.listen.tls_cert))


def _port(settings: ServerSettings) -> Iterator[Finding]:
    listen = settings.listen
    where = f"{listen.host}:{listen.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        yield Finding("fail", "port", f"{where}: {error.strerror or error}")
    else:
        yield Finding("pass", "port", f"{where} is free")


def _history(settings: ServerSettings) -> Iterator[Finding]:
    try:
        yield Finding("pass", "history", look_at_store(settings.history))
    except ConfigError as error:
        yield Finding("fail", "history", error.message)


def _recording(settings: ServerSettings) -> Iterator[Finding]:
    if settings.record.dir is None:
        return
    try:
        yield Finding("pass", "recording", look_at_folder(settings.record.dir))
    except ConfigError as error:
        yield Finding("fail", "recording", error.message)


def _open_files(settings: ServerSettings) -> Iterator[Finding]:
    limit = open_files_limit(hard=True)
    wanted = settings.limits.most_sockets + SPARE
    if limit is None or limit >= wanted:
        yield Finding("pass", "open files", "no limit" if limit is None else str(limit))
    else:
        yield Finding("warn", "open files", f"{limit}; {wanted} are needed, raise ulimit -Hn")
