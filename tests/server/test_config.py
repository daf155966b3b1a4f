"""Settings come from three layers, and mistakes are named by their path."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from engine.config import SupervisionConfig
from engine.errors import ConfigError
from server.config.access import ListenConfig
from server.config.characters import CharactersConfig
from server.config.limits import LimitsConfig
from server.config.recording import RecordConfig
from server.config.shipped import DEMO_MODEL, REPOSITORY
from server.config.sockets import OutboxConfig, PacingConfig
from server.config_loader import find_problems, load_settings


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """A small configuration file."""
    file = tmp_path / "kaiwa.toml"
    file.write_text(
        '[listen]\nport = 9001\ntls_cert = "cert.pem"\ntls_key = "key.pem"\n'
        "[engine]\nmax_num_seqs = 8\n[auth]\nallowed_origins = ['https://a.example']\n"
    )
    return file


def test_nothing_named_serves_the_demo_model() -> None:
    """The defaults are complete."""
    settings = load_settings().settings
    assert settings.engine.model.model == str(DEMO_MODEL)
    assert (settings.listen.host, settings.listen.port) == ("127.0.0.1", 8000)


def test_a_file_changes_the_defaults(toml: Path) -> None:
    """Values of the file are taken, with the file as their origin."""
    loaded = load_settings(file=toml)
    assert loaded.settings.listen.port == 9001
    assert loaded.settings.engine.scheduler.max_num_seqs == 8
    assert loaded.settings.auth.allowed_origins == ("https://a.example",)
    assert loaded.origins["listen.port"] == str(toml)
    assert loaded.origins["listen.host"] == "default"


def test_paths_in_a_file_start_at_its_folder(toml: Path) -> None:
    """A configuration can be moved together with what it names."""
    assert load_settings(file=toml).settings.listen.tls_cert == toml.parent / "cert.pem"


def test_the_environment_overrides_the_file(toml: Path) -> None:
    """Text from the environment is read as the setting's type."""
    environment = {"KAIWA_LISTEN_PORT": "9002", "KAIWA_ENGINE_ENABLE_PREFIX_CACHING": "false"}
    loaded = load_settings(file=toml, environment=environment)
    assert loaded.settings.listen.port == 9002
    assert not loaded.settings.engine.cache.enable_prefix_caching
    assert loaded.origins["listen.port"] == "environment"


def test_the_command_line_overrides_everything(toml: Path) -> None:
    """The last layer wins."""
    loaded = load_settings(
        file=toml,
        environment={"KAIWA_LISTEN_PORT": "9002"},
        command_line={"listen.port": 9003},
    )
    assert loaded.settings.listen.port == 9003
    assert loaded.origins["listen.port"] == "command line"


def test_lists_in_the_environment_are_separated_by_commas() -> None:
    """Several origins fit into one variable."""
    environment = {"KAIWA_AUTH_ALLOWED_ORIGINS": "https://a.example, http://b.example:8080"}
    settings = load_settings(environment=environment).settings
    assert settings.auth.allowed_origins == ("https://a.example", "http://b.example:8080")


def test_foreign_variables_are_left_alone() -> None:
    """Only variables that begin like a room are ours to judge."""
    load_settings(environment={"KAIWA_URL": "ws://x", "PATH": "/bin"})


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[scheduler]\nmax_seqs = 1", "scheduler.max_seqs"),
        ("[listen]\nprot = 1", "listen.prot"),
        ("[listen.tls]\ncert = 'x'", "listen.tls"),
        ("port = 1", "port"),
        ("[empty]", "empty"),
    ],
)
def test_an_unknown_key_is_refused_by_its_path(tmp_path: Path, text: str, path: str) -> None:
    """A typing error does not pass in silence."""
    file = tmp_path / "kaiwa.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"unknown key: {path}"):
        load_settings(file=file)


def test_an_unknown_variable_of_a_room_is_refused() -> None:
    """The environment is held to the same rule."""
    with pytest.raises(ConfigError, match="unknown variable: KAIWA_LISTEN_PROT; .*_LISTEN_PORT"):
        load_settings(environment={"KAIWA_LISTEN_PROT": "1"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KAIWA_LISTEN_PORT", "many"),
        ("KAIWA_LISTEN_PORT", "70000"),
        ("KAIWA_ENGINE_MAX_NUM_SEQS", "0"),
        ("KAIWA_LOG_LEVEL", "silly"),
    ],
)
def test_a_wrong_value_in_the_environment_names_its_variable(variable: str, value: str) -> None:
    """Whoever set it knows it by that name."""
    with pytest.raises(ConfigError, match=variable):
        load_settings(environment={variable: value})


def test_a_wrong_choice_names_the_choices() -> None:
    """Nobody has to look them up."""
    words = "log.level is 'silly'; it must be one of debug, info, warning, error"
    with pytest.raises(ConfigError, match=words):
        load_settings(command_line={"log.level": "silly"})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("listen.port", "8000"),
        ("listen.port", True),
        ("listen.tls_cert", 3),
        ("auth.insecure", 1),
        ("log.format", "xml"),
        ("outbox.stall_timeout_s", "soon"),
        ("pacing.listener", "deaf"),
        ("limits.eager_prefill", "perhaps"),
        ("auth.allowed_origins", "https://a.example"),
    ],
)
def test_a_wrong_type_is_refused_by_path(path: str, value: object) -> None:
    """A value of another type is not bent into shape."""
    with pytest.raises(ConfigError, match=path):
        load_settings(command_line={path: value})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("listen.port", 65536),
        ("auth.reload_interval_s", 0.0),
        ("auth.allowed_origins", ["https://A.example"]),
        ("auth.allowed_origins", ["https://münchen.example"]),
        ("auth.allowed_origins", ["https://a.example:443"]),
        ("auth.allowed_origins", ["http://a.example:80"]),
        ("limits.max_connections", 0),
        ("outbox.low_water_bytes", 10**6),
        ("limits.compact_above", 1.5),
        ("memory.summary_tokens", 8),
        ("history.max_conversations", 0),
        ("history.max_bytes", 1000),
        ("limits.compact_to", 0.9),
        ("outbox.stall_timeout_s", float("nan")),
        ("drain.timeout_s", -1),
        ("engine.max_num_seqs", 0),
        ("limits.max_card_bytes", 2**26),
        ("characters.max_uploaded", -1),
        ("characters.max_uploaded_bytes", -1),
        ("auth.allowed_origins", ["https://a.example/path"]),
        ("auth.allowed_origins", ["*"]),
    ],
)
def test_a_value_out_of_range_is_refused(path: str, value: object) -> None:
    """What could not work does not start."""
    with pytest.raises(ConfigError, match=path.rpartition(".")[2]):
        load_settings(command_line={path: value})


def test_half_a_key_pair_is_refused() -> None:
    """A certificate without its key cannot serve TLS."""
    with pytest.raises(ConfigError, match="tls_key"):
        load_settings(command_line={"listen.tls_cert": "cert.pem"})


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_loopback_is_recognised(host: str, loopback: bool) -> None:
    """Which addresses only this machine can reach."""
    assert ListenConfig(host=host).is_loopback is loopback


def test_a_missing_file_is_named() -> None:
    """The sentence says which file could not be read."""
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_settings(file=Path("nowhere.toml"))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """The sentence says what is wrong with it."""
    file = tmp_path / "broken.toml"
    file.write_text("[listen")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_settings(file=file)


def test_show_tells_value_and_origin(toml: Path) -> None:
    """Each setting is one line with where it came from."""
    lines = load_settings(file=toml).lines()
    port = next(line for line in lines if line.startswith("listen.port"))
    assert port.split("#") == [port.split("#")[0], f" {toml}"]
    assert port.startswith("listen.port = 9001")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("record.consent", "nobody"),
        ("record.text", "some"),
        ("record.max_file_bytes", 100),
        ("record.max_total_bytes", 2**60),
    ],
)
def test_recording_is_bounded(path: str, value: object) -> None:
    """Who agrees and what is kept are words of few; sizes are within reason."""
    with pytest.raises(ConfigError, match=path):
        load_settings(command_line={path: value})


def test_nothing_is_recorded_unless_a_folder_is_named() -> None:
    """And then only with consent, and without words."""
    config = load_settings().settings.record
    assert (config.dir, config.consent, config.text) == (None, "ask", "none")
    named = load_settings(environment={"KAIWA_RECORD_DIR": "logs"}).settings.record
    assert named.dir == Path("logs")


def test_show_never_tells_a_key(tmp_path: Path) -> None:
    """A key file is named, its content is not."""
    file = tmp_path / "keys"
    file.write_text("secret-key-1234")
    text = "\n".join(load_settings(command_line={"auth.api_keys_file": str(file)}).lines())
    assert str(file) in text
    assert "secret-key" not in text


def test_the_example_is_accepted_and_holds_the_defaults() -> None:
    """The commented example can be used as it is."""
    example = load_settings(file=REPOSITORY / "configs" / "kaiwa.example.toml").settings
    assert example.outbox == OutboxConfig()
    assert example.pacing == PacingConfig()
    assert example.characters == CharactersConfig()
    assert example.record == RecordConfig()
    assert example.limits == load_settings().settings.limits
    assert example.engine == load_settings().settings.engine
    assert example.engine.supervision == SupervisionConfig()


def test_a_folder_stands_for_its_characters(tmp_path: Path) -> None:
    """By name; other files are passed over, and files that are named may be called anything."""
    for name in ("b.png", "a.TOML", "c.charx", "notes.txt", "d.json"):
        (tmp_path / name).touch()
    named = tmp_path / "notes.txt"
    config = CharactersConfig(files=(tmp_path, named))
    assert [path.name for path in config.resolved()] == [
        *("a.TOML", "b.png", "c.charx", "d.json", "notes.txt")
    ]


def test_a_folder_without_characters_is_refused(tmp_path: Path) -> None:
    """Nobody would answer, and nobody would know why."""
    with pytest.raises(ConfigError, match="holds no character"):
        CharactersConfig(files=(tmp_path,)).resolved()


def test_all_problems_are_found_at_once(tmp_path: Path) -> None:
    """Of every layer, and each by the name that whoever set it knows."""
    file = tmp_path / "kaiwa.toml"
    file.write_text(
        '[listen]\nport = 99999\nno = 1\ntls_cert = "x"\n[log]\nlevel = "loud"\n'
        "[outbox]\nlow_water_bytes = 999999999\n[engine]\nmax_num_seqs = -1\n"
    )
    problems = find_problems(
        file=file,
        environment={"KAIWA_LIMITS_MAX_CONNECTIONS": "none"},
        command_line={"drain.timeout_s": -1.0},
    )
    wrong = [
        "listen.no",
        "log.level",
        "KAIWA_LIMITS_MAX_CONNECTIONS",
        "max_num_seqs",
        "listen.port",
        "listen.tls_key",
        "outbox.low_water_bytes",
        "drain.timeout_s",
    ]
    assert len(problems) == len(wrong)
    assert all(any(name in problem for problem in problems) for name in wrong)


def test_good_settings_have_no_problem(toml: Path) -> None:
    """What loads is good."""
    assert find_problems(file=toml) == []


def test_a_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    """What can be read is looked at."""
    file = tmp_path / "kaiwa.toml"
    file.write_text("[listen\n")
    problems = find_problems(file=file, command_line={"listen.port": -1})
    assert [str(file) in problems[0], "listen.port" in problems[1]] == [True, True]


def test_random_settings_are_found_wrong_when_they_do_not_load() -> None:
    """Both ways of reading agree, and the search ends."""
    choose = Random(5)
    paths = ["listen.port", "log.level", "outbox.low_water_bytes", "engine.max_num_seqs", "x.y"]
    paths += ["listen.tls_key", "limits.compact_to", "outbox.high_water_bytes", "listen.host"]
    values: list[object] = [-1, 0, 1, 10**7, "", "debug", 0.5, None, [], "x"]
    for _ in range(300):
        given = {path: choose.choice(values) for path in choose.sample(paths, choose.randrange(6))}
        problems, first = find_problems(command_line=given), None
        try:
            load_settings(command_line=given)
        except ConfigError as error:
            first = error.message
        assert problems[:1] == ([] if first is None else [first])


def test_passwords_in_addresses_are_not_shown() -> None:
    """Of an address that holds one, the rest is."""
    where = "http://user:hush@collector:4318/v1/traces"
    lines = load_settings(command_line={"tracing.otlp_endpoint": where}).lines()
    (line,) = [line for line in lines if line.startswith("tracing.otlp_endpoint")]
    assert "user:…@collector:4318/v1/traces" in line
    assert "hush" not in line


@pytest.mark.parametrize("network", ["10.0.0.0/33", "proxy.example", "10.0.0.1/8"])
def test_a_proxy_is_an_address_or_a_network(network: str) -> None:
    """A name would have to be looked up, and may be anybody's tomorrow."""
    with pytest.raises(ConfigError, match="limits.proxies"):
        LimitsConfig(proxies=("192.0.2.1", network))


@pytest.mark.parametrize("name", ["tokens_per_min", "requests_per_min", "max_queued_responses"])
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    """It would let nobody in; leaving it out sets none."""
    with pytest.raises(ConfigError, match=f"limits.{name}"):
        LimitsConfig(**{name: 0})  # type: ignore[arg-type]
    assert getattr(LimitsConfig(), name) is None
