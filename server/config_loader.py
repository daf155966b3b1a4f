"""Reads the settings: TOML file < environment < command line, each value with its origin.

A key is a dotted path, ``listen.port``. In a TOML file it is a table and a name, in the environment
``KAIWA_LISTEN_PORT``, on the command line whatever the parser says. Unknown keys are refused by
their path, values of the wrong type by path and type.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from engine.config import (
    CacheConfig,
    EngineConfig,
    ModelConfig,
    SchedulerConfig,
    SupervisionConfig,
)
from engine.errors import ConfigError
from server.config.access import AuthConfig, ListenConfig
from server.config.characters import CharactersConfig
from server.config.conversations import HistoryConfig, MemoryConfig
from server.config.limits import LimitsConfig
from server.config.recording import RecordConfig
from server.config.settings import ServerSettings
from server.config.shipped import DEMO_MODEL
from server.config.sockets import DrainConfig, OutboxConfig, PacingConfig, ResumeConfig
from server.config.telemetry import LogConfig, MetricsConfig, TracingConfig

ENVIRONMENT_PREFIX = "KAIWA_"

_ROOMS: dict[str, tuple[type, ...]] = {
    "engine": (ModelConfig, CacheConfig, SchedulerConfig),
    "supervision": (SupervisionConfig,),
    "listen": (ListenConfig,),
    "auth": (AuthConfig,),
    "limits": (LimitsConfig,),
    "memory": (MemoryConfig,),
    "history": (HistoryConfig,),
    "resume": (ResumeConfig,),
    "pacing": (PacingConfig,),
    "outbox": (OutboxConfig,),
    "drain": (DrainConfig,),
    "log": (LogConfig,),
    "metrics": (MetricsConfig,),
    "tracing": (TracingConfig,),
    "record": (RecordConfig,),
    "characters": (CharactersConfig,),
}


_ENGINES = ("engine", "supervision")
"""Tables that make up the engine's configuration."""


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, and where each value came from.

    Attributes:
        settings: Checked and complete.
        origins: By dotted path: ``default``, a file, ``environment`` or ``command line``.
    """

    settings: ServerSettings
    origins: dict[str, str]

    def lines(self) -> list[str]:
        """The effective settings, one ``path = value  # origin`` per line; holds no secret."""
        rows = [
            (f"{path} = {_without_password(_shown(self._value(path)))}", self.origins[path])
            for path in _known_types()
        ]
        width = max(len(text) for text, _ in rows)
        return [f"{text:<{width}}  # {origin}" for text, origin in rows]

    def _value(self, path: str) -> object:
        room, _, name = path.partition(".")
        engine = self.settings.engine
        if room == "supervision":
            return getattr(engine.supervision, name)
        if room != "engine":
            return getattr(getattr(self.settings, room), name)
        owner = next(
            part for part in (engine.model, engine.cache, engine.scheduler) if hasattr(part, name)
        )
        return getattr(owner, name)


def load_settings(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    command_line: Mapping[str, object] | None = None,
) -> LoadedSettings:
    """Merge the three layers over the defaults.

    Args:
        file: TOML file, if there is one; relative paths inside it start at its folder.
        environment: Usually ``os.environ``; names that belong to no room are left alone.
        command_line: By dotted path.

    Raises:
        ConfigError: A key is unknown, a value is of the wrong type or cannot work.
    """
    return _load(_layers(file, environment, command_line), frozenset())


def find_problems(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    command_line: Mapping[str, object] | None = None,
) -> list[str]:
    """Say all that is wrong with the settings, where ``load_settings`` stops at the first.

    Arguments are those of ``load_settings``. A value that is wrong is left out to find the next, so
    what depends on it is looked at with the default in its place.
    """
    problems: list[str] = []
    try:
        layers = _layers(file, environment, command_line)
    except ConfigError as error:
        problems.append(error.message)
        layers = _layers(None, environment, command_line)
    left_out: set[tuple[str, str]] = set()
    while True:
        try:
            _load(layers, left_out)
        except _Misfit as error:
            problems.append(error.message)
            left_out.add(error.place)
        except ConfigError as error:
            problems.append(error.message)
            places = _places_of(error, layers, left_out)
            if not places:
                return problems
            left_out |= places
        else:
            return problems


@dataclass(frozen=True, slots=True)
class _Layer:
    """One source of values; ``strict`` where they have types, ``folder`` where paths begin."""

    origin: str
    values: Mapping[str, object]
    strict: bool
    folder: Path | None = None


class _Misfit(ConfigError):
    """One value of one layer cannot be read."""

    def __init__(self, error: ConfigError, place: tuple[str, str]) -> None:
        super().__init__(error.message, param=error.param)
        self.place = place


def _layers(
    file: Path | None,
    environment: Mapping[str, str] | None,
    command_line: Mapping[str, object] | None,
) -> list[_Layer]:
    layers = [] if file is None else [_Layer(str(file), _read_toml(file), True, file.parent)]
    layers.append(_Layer("environment", _from_environment(environment or {}), False))
    layers.append(_Layer("command line", command_line or {}, True))
    return layers


def _load(layers: Sequence[_Layer], left_out: Container[tuple[str, str]]) -> LoadedSettings:
    """Merge the layers; ``left_out`` are places, each an origin and a path."""
    known = _known_types()
    values: dict[str, Any] = {"engine.model": str(DEMO_MODEL)}
    origins = dict.fromkeys(known, "default")
    for layer in layers:
        for path, value in layer.values.items():
            place = (layer.origin, path)
            if place in left_out:
                continue
            name = path if layer.strict else variable_of(path)
            try:
                if path not in known:
                    raise _unknown(path, name)
                values[path] = _convert(
                    name, known[path], value, strict=layer.strict, folder=layer.folder
                )
            except ConfigError as error:
                raise _Misfit(error, place) from None
            origins[path] = layer.origin
    try:
        settings = _compose(values)
    except ConfigError as error:
        path = error.param or ""
        if path not in origins:  # the engine does not know in which table a setting stands
            path = next(
                (f"{room}.{path}" for room in _ENGINES if f"{room}.{path}" in origins), path
            )
        if origins.get(path) != "environment":
            raise
        raise ConfigError(f"{variable_of(path)}: {error.message}", param=path) from None
    return LoadedSettings(settings, origins)


def _places_of(
    error: ConfigError, layers: Sequence[_Layer], left_out: Container[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Where the value at fault was set; all of its room when it is a default beside another."""
    paths = {error.param or "", f"engine.{error.param}"}
    rooms = {path.partition(".")[0] for path in paths}
    places = [(layer.origin, path) for layer in layers for path in layer.values]
    places = [place for place in places if place not in left_out]
    named = {place for place in places if place[1] in paths}
    return named or {place for place in places if place[1].partition(".")[0] in rooms}


def variable_of(path: str) -> str:
    """The environment's name of a setting: ``KAIWA_LISTEN_PORT`` for ``listen.port``."""
    return ENVIRONMENT_PREFIX + path.upper().replace(".", "_")


def _compose(values: Mapping[str, Any]) -> ServerSettings:
    rooms: dict[str, dict[str, Any]] = {room: {} for room in _ROOMS}
    for path, value in values.items():
        room, _, name = path.partition(".")
        rooms[room][name] = value
    return ServerSettings(
        engine=EngineConfig.from_flat(**rooms["engine"], **rooms["supervision"]),
        listen=ListenConfig(**rooms["listen"]),
        auth=AuthConfig(**rooms["auth"]),
        limits=LimitsConfig(**rooms["limits"]),
        memory=MemoryConfig(**rooms["memory"]),
        history=HistoryConfig(**rooms["history"]),
        resume=ResumeConfig(**rooms["resume"]),
        pacing=PacingConfig(**rooms["pacing"]),
        outbox=OutboxConfig(**rooms["outbox"]),
        drain=DrainConfig(**rooms["drain"]),
        log=LogConfig(**rooms["log"]),
        metrics=MetricsConfig(**rooms["metrics"]),
        tracing=TracingConfig(**rooms["tracing"]),
        record=RecordConfig(**rooms["record"]),
        characters=CharactersConfig(**rooms["characters"]),
    )


@cache
def _known_types() -> Mapping[str, Any]:
    """Type of each setting by dotted path, in the order of the rooms."""
    known: dict[str, Any] = {}
    for room, parts in _ROOMS.items():
        for part in parts:
            hints = get_type_hints(part)
            for item in fields(part):
                known[f"{room}.{item.name}"] = hints[item.name]
    return known


def _read_toml(file: Path) -> dict[str, object]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration {file}: {error.strerror}", param=str(file)
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}", param=str(file)) from None
    flat: dict[str, object] = {}
    for room, table in tables.items():
        if not isinstance(table, dict):
            raise _unknown(room)
        for name, value in table.items():
            flat[f"{room}.{name}"] = value
        if not table and room not in _ROOMS:
            raise _unknown(room)
    return flat


def _from_environment(environment: Mapping[str, str]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        room, separator, name = variable.removeprefix(ENVIRONMENT_PREFIX).lower().partition("_")
        if separator and room in _ROOMS:
            flat[f"{room}.{name}"] = text
    return flat


def _convert(name: str, hint: Any, value: object, *, strict: bool, folder: Path | None) -> object:
    """Read a value as its setting's type; ``name`` is how whoever set it calls the setting."""
    if not strict and hint in (tuple[str, ...], tuple[Path, ...]) and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]

    def read(kind: type, raw: object) -> object:
        if kind is not Path or not isinstance(raw, str | Path) or not str(raw):
            raise TypeError
        written = Path(raw).expanduser()
        return written if folder is None else folder / written

    try:
        converted: object = msgspec.convert(value, hint, strict=strict, dec_hook=read)
    except (msgspec.ValidationError, TypeError) as error:
        choices = get_args(hint) if get_origin(hint) is Literal else ()
        if choices:
            problem = f"{name} is {value!r}; it must be one of {', '.join(map(str, choices))}"
        else:
            detail = str(error) or "expected a path"
            problem = f"wrong value for {name}: {detail}, it is {value!r}"
        raise ConfigError(problem, param=name) from None
    return converted


def _unknown(path: str, name: str | None = None) -> ConfigError:
    """Refuse a key; ``name`` is its variable where the environment holds it."""
    room = path.partition(".")[0]
    near = [known for known in _known_types() if known.startswith(room + ".")]
    is_variable = name is not None and name != path
    if is_variable:
        near = [variable_of(known) for known in near]
    hint = ", ".join(near) if near else "tables " + ", ".join(_ROOMS)
    what = "variable" if is_variable else "key"
    return ConfigError(f"unknown {what}: {name or path}; known are {hint}", param=path)


def _without_password(shown: str) -> str:
    """An address may hold a password: ``scheme://user:password@host``."""
    return re.sub(r"(?<=://)([^/@:\s\"]*):[^/@\s\"]*@", r"\1:…@", shown)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_shown(item) for item in value) + "]"
    if isinstance(value, str | Path):
        return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, bool):
        return "true" if value else "false"
    return "(unset)" if value is None else str(value)
