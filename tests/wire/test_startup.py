"""From the open door to the ready line, and what goes wrong between."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path

import pytest

from engine.errors import ConfigError, EngineDead, ModelNotFound
from engine.progress import LoadProgress
from server.app import serve
from server.config.settings import ServerSettings
from server.config.shipped import DEMO_CHARACTERS
from server.config_loader import load_settings
from server.notify import Notifier
from server.startup import build_state
from server.stop_signal import StopSignal
from tests.support.fake_engine import FakeEngine
from tests.support.raw_http import exchange

pytestmark = [pytest.mark.wire(only="uvloop")]


def make_settings(port: int = 0, **settings: object) -> ServerSettings:
    """Settings by ``room__name``."""
    paths = {name.replace("__", ".", 1): value for name, value in settings.items()}
    return load_settings(
        command_line={"listen.port": port, "history.keep": "memory", **paths}
    ).settings


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SlowStart:
    """Starts an engine when the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.finish: asyncio.Future[FakeEngine] = asyncio.get_running_loop().create_future()

    async def __call__(self, _config: object, progress: LoadProgress) -> FakeEngine:
        progress(0.5, "reading weights")
        self.begun.set()
        return await self.finish


async def test_probes_are_answered_while_the_model_loads() -> None:
    """Alive, not ready; ready when the engine is there."""
    start, stop, port = SlowStart(), StopSignal(), free_port()
    ready = asyncio.Event()
    serving = asyncio.create_task(
        serve(make_settings(port), start=start, stop=stop, on_ready=lambda _: ready.set())
    )
    await start.begun.wait()
    address = ("127.0.0.1", port)
    probe = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert (await exchange(address, probe % b"livez")).status == 200
    assert (await exchange(address, probe % b"readyz")).status == 503
    assert not ready.is_set()
    start.finish.set_result(FakeEngine())
    await ready.wait()
    assert (await exchange(address, probe % b"readyz")).status == 200
    stop.ask()
    assert await serving == 0


async def test_the_ready_line_names_the_url(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output, with the port that was found."""
    start, stop, port = SlowStart(), StopSignal(), free_port()
    start.finish.set_result(FakeEngine())
    serving = asyncio.create_task(serve(make_settings(port), start=start, stop=stop))
    await start.begun.wait()
    await exchange(("127.0.0.1", port), b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    stop.ask()
    assert await serving == 0
    assert capsys.readouterr().out == f"ready http://127.0.0.1:{port}\n"


async def test_stopping_while_loading_leaves_with_0() -> None:
    """The start is called off."""
    start, stop = SlowStart(), StopSignal()
    serving = asyncio.create_task(serve(make_settings(), start=start, stop=stop))
    await start.begun.wait()
    stop.ask()
    assert await serving == 0
    assert start.finish.cancelled()


@pytest.mark.parametrize("error", [ModelNotFound("no such folder"), EngineDead("it ended")])
async def test_an_engine_that_does_not_start_closes_the_door(error: Exception) -> None:
    """The error reaches the command line, and the port is free again."""
    start, port = SlowStart(), free_port()
    start.finish.set_exception(error)
    with pytest.raises(type(error)):
        await serve(make_settings(port), start=start)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_prompt_makes_a_character() -> None:
    """It answers by default, beside the shipped ones."""
    state = build_state(make_settings(characters__prompt="You are a pirate."))
    assert state.catalog.default().model == "custom"
    assert "aoi" in state.catalog.model_names


async def test_two_characters_of_one_name_are_refused(tmp_path: Path) -> None:
    """The operator hears of it before anybody connects."""
    files = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        files.append(str(tmp_path / folder / "same.toml"))
        shutil.copy(DEMO_CHARACTERS / "aoi.toml", files[-1])
    with pytest.raises(ConfigError, match="same"):
        build_state(make_settings(characters__files=files))


async def test_characters_of_another_engine_are_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are served all the same; one line names them, their engine and the one they got."""
    build_state(make_settings(engine__model="other/model"))
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith("made for the engine kaiwa-demo, but speaking through model: aoi")
    caplog.clear()
    build_state(make_settings())
    assert not caplog.records


async def test_a_persona_without_room_for_a_reply_is_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The operator hears at start, with the numbers, what every reply would fail of."""
    start, stop = SlowStart(), StopSignal()
    start.finish.set_result(FakeEngine(max_model_len=100))
    settings = make_settings(characters__prompt="You are a pirate.")
    await serve(settings, start=start, stop=stop, on_ready=lambda _: stop.ask())
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any(text.startswith("custom: the persona takes") for text in warnings)
    assert all("but only 100 fit" in text for text in warnings)


def test_all_characters_know_the_lorebooks_that_are_named(tmp_path: Path) -> None:
    """Beside what their own files say."""
    path = tmp_path / "world.json"
    path.write_text('{"entries": [{"keys": ["sea"], "content": "Blue."}]}')
    state = build_state(make_settings(characters__lorebooks=(path,)))
    known = [one.books[-1].entries[0].content for one in state.catalog.characters]
    assert set(known) == {"Blue."}


async def test_systemd_hears_how_it_goes(tmp_path: Path) -> None:
    """Ready when it can answer, alive while there is progress, stopping before it drains."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.setblocking(False)
        loop = asyncio.get_running_loop()
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "80000"}
        engine, stop = FakeEngine(), StopSignal()

        async def start(*_: object) -> FakeEngine:
            return engine

        settings = make_settings(outbox__watch_interval_s=0.02)
        serving = asyncio.create_task(
            serve(
                settings,
                start=start,
                stop=stop,
                on_ready=lambda _: None,
                notifier=Notifier(environment),
            )
        )
        assert (await loop.sock_recv(line, 1024)).startswith(b"READY=1\nSTATUS=kaiwa-demo at http")
        assert await loop.sock_recv(line, 1024) == b"WATCHDOG=1\nSTATUS=0 sessions, 0 replies"
        engine.seconds_since_progress = 31.0
        while await loop.sock_recv(line, 1024) != b"STATUS=0 sessions, 0 replies":
            pass
        stop.ask()
        while b"STOPPING=1" not in await loop.sock_recv(line, 1024):
            pass
        assert await serving == 0


async def test_numbers_move_to_the_admin_port() -> None:
    """From before the model is loaded until everybody has gone home."""
    start, stop, admin = SlowStart(), StopSignal(), ("127.0.0.1", free_port())
    settings = make_settings(free_port(), listen__admin_port=admin[1])
    serving = asyncio.create_task(serve(settings, start=start, stop=stop, on_ready=lambda _: None))
    await start.begun.wait()
    request = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    public = ("127.0.0.1", settings.listen.port)
    assert (await exchange(public, request % b"metrics")).status == 404
    answer = await exchange(admin, request % b"metrics")
    assert (answer.status, b"kaiwa_ready 0.0" in answer.body) == (200, True)
    start.finish.set_result(FakeEngine())
    stop.ask()
    assert await serving == 0
    with pytest.raises(ConnectionRefusedError):
        await exchange(admin, request % b"metrics")
