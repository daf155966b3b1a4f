"""The examples for front ends run as they stand, beside a server that speaks the extension."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from server.protocol.character_events import CHARACTER_EVENTS, event_name
from server.protocol.character_objects import CharacterPatch
from server.protocol.client_events import CLIENT_EVENT_TYPES
from tests.web.mock_server import Mock, MockServer

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
GUIDE = (ROOT / "docs" / "character-v1.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def aside() -> Iterator[str]:
    """Where the example page lies: not on the server that it talks to."""
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", EXAMPLES],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    found = re.search(r"port (\d+)", server.stdout.readline())
    assert found
    yield f"http://127.0.0.1:{found[1]}/character.html"
    server.kill()
    server.wait()
    server.stdout.close()


@pytest.fixture
def example(browser: Browser, mock: Mock, aside: str) -> Iterator[Page]:
    """The example page, beside a server; at the end it has thrown nothing."""
    page, thrown = browser.new_page(), list[str]()
    page.on("pageerror", lambda error: thrown.append(str(error)))
    page.goto(f"{aside}?server={mock.url.replace('http', 'ws')}")
    yield page
    page.close()
    assert thrown == []


@pytest.mark.slow
def test_the_page_greets_with_face_and_mouth(example: Page) -> None:
    """The greeting's text, face and mouth shapes come out of the events alone."""
    face = example.locator("#face")
    expect(example.locator("#words")).to_contain_text("Welcome in!")
    expect(face).to_have_attribute("data-expression", "happy")
    expect(face).to_have_attribute("data-mouth", re.compile("aa|ih|ou|ee|oh"))
    expect(example.locator(".now")).to_have_count(1)


@pytest.mark.slow
def test_the_page_is_interrupted_in_one_frame(example: Page, mock: Mock) -> None:
    """What is said over the greeting carries what was heard of it."""
    example.wait_for_function("() => document.getElementById('face').dataset.mouth !== 'shut'")
    example.locator("#text").fill("kinds")
    example.keyboard.press("Enter")
    expect(example.locator(".action")).to_have_text("*leans on the counter* ")
    expect(example.locator(".code")).to_contain_text("kettle.boil();")
    asked = mock.of_type("response.create")[-1]["response"]
    assert asked["if_active"] == "interrupt"
    assert 0 < asked["heard"]["text_end"] < 75
    expect(example.locator(".code.now")).to_have_count(1)  # what was before it is finished
    states = {event["state"] for event in mock.of_type("character.playback")}
    assert states == {"started", "finished"}


def run_python(mock: Mock, *arguments: str) -> str:
    """Run the terminal example to its end."""
    url = mock.url.replace("http", "ws") + "/v1/realtime"
    command = [sys.executable, str(EXAMPLES / "character.py"), "--url", url, *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
def test_the_terminal_shows_faces_words_and_mouth_shapes() -> None:
    """Each segment has its face, its words and its shapes, and is reported."""
    with MockServer() as mock:
        told = run_python(mock, "hello")
    assert re.search(r"\(\^ o \^\) speech  I am glad you stopped by\.\n +mouth +[.AiuEO]+", told)
    assert "(O o O) speech  Wait, is that the last train I hear?" in told
    ends = [event["text_end"] for event in mock.of_type("character.playback")]
    assert ends == [0, 26, 26, 63, 63, 99]


@pytest.mark.slow
def test_the_terminal_speaks_over_the_character() -> None:
    """After its time the example asks for the next reply and says what was heard."""
    with MockServer() as mock:
        told = run_python(mock, "hello", "--then", "sad", "--interrupt-after", "1.5")
    assert "(; _ ;) speech  The lighthouse has been dark since Tuesday" in told
    assert "one more cup" not in told
    asked = mock.of_type("response.create")[-1]["response"]
    assert asked["if_active"] == "interrupt"
    assert 0 < asked["heard"]["text_end"] < 63


def test_the_guide_names_every_event_and_field() -> None:
    """What the protocol has, the guide explains."""
    names = [event_name(kind) for kind in CHARACTER_EVENTS]
    names += [name for name in CLIENT_EVENT_TYPES if name.startswith("character.")]
    assert [name for name in names if f"{name.removeprefix('character.')}" not in GUIDE] == []
    fields = {field for kind in CHARACTER_EVENTS for field in kind.__struct_fields__}
    fields |= set(CharacterPatch.__struct_fields__)
    assert [field for field in sorted(fields) if not re.search(rf"\b{field}\b", GUIDE)] == []


def test_the_guides_frames_are_what_the_server_takes() -> None:
    """Every client event in a block of JSON decodes as the protocol's own."""
    frames: list[dict[str, Any]] = []
    for block in re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL):
        frames += [json.loads(line) for line in block.splitlines()]
    assert len(frames) >= 3
    for frame in frames:
        msgspec.convert(frame, CLIENT_EVENT_TYPES[frame["type"]])
