"""The player, the mouth and the movements without a DOM, and the mapping to a VRM."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.web.conftest import Visit

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
PRELUDE = """
const { Player } = await import('/static/avatar/player.js');
const log = [];
const open = (mouth) => Object.entries(mouth).filter(([, w]) => w > 0).map(([n, w]) =>
  `${n}${w}`).join() || 'shut';
const avatar = {
  setExpression: (name, weight) => log.push(`${name}@${weight}`), setMouth: (mouth) => {
    avatar.mouth = open(mouth); },
  playMotion: (name) => log.push(`!${name}`), attend: (where) => { avatar.eyes = where; },
};
const reports = [];
const player = new Player(avatar, { report: (p) =>
  reports.push(`${p.state} ${p.segment_index} ${p.text_end}`) });
const ids = { response_id: 'r1', item_id: 'i1' };
const segment = (index, from, to, more) => player.take({ type: 'character.segment', ...ids,
  index, text_start: from,
  text_end: to, kind: 'speech', est_speech_ms: 1000, ...more }, 0);
const visemes = (segment_index, frames, more) => player.take({ type: 'character.visemes',
  ...ids, segment_index,
  scheme: 'vrm1', unit: 'normalized', frames, ...more }, 0);
"""


def play(page: Page, body: str) -> Any:
    """Run a function body with a player, an avatar that writes down, and helpers for events."""
    return page.evaluate(f"async () => {{ {PRELUDE} {body} }}")


def test_segments_are_played_one_after_another(visit: Visit, page_url: str) -> None:
    """Each has its time, whenever it came; faces and motions begin with it."""
    found = play(
        visit(page_url),
        """
        segment(0, 0, 10, { expression: { name: 'happy', weight: 0.5 } });
        segment(1, 10, 20, { expression: { name: 'sad', weight: 1 }, motion: 'nod' });
        const seen = [];
        for (const now of [0, 950, 1000, 1999, 2000]) { player.advance(now);
          seen.push(log.join(' ')); }
        return [seen, reports, player.playing, player.restless];
        """,
    )
    first, second = "happy@0.5", "happy@0.5 sad@1 !nod"
    assert found[0] == [first, first, second, second, second]
    assert found[1] == ["started 0 0", "finished 0 10", "started 1 10", "finished 1 20"]
    assert found[2:] == [False, True]


def test_mouth_shapes_are_stretched_over_the_speech(visit: Visit, page_url: str) -> None:
    """Normalized frames fill the segment's time, milliseconds do not; between frames it is shut."""
    found = play(
        visit(page_url),
        """
        segment(0, 0, 10, { est_speech_ms: 2000 });
        visemes(0, [[0, 0.25, 'aa', 1], [0.5, 1, 'ou', 0.6]]);
        segment(1, 10, 20);
        visemes(1, [[0, 100, 'O', 1]], { unit: 'ms', scheme: 'oculus' });
        const seen = [];
        for (const now of [0, 499, 600, 1000, 1999, 2050, 2150]) { player.advance(now);
          seen.push(avatar.mouth); }
        return seen;
        """,
    )
    assert found == ["aa1", "aa1", "shut", "ou0.6", "ou0.6", "oh1", "shut"]


def test_only_speech_moves_the_mouth(visit: Visit, page_url: str) -> None:
    """Actions, thoughts and code take a moment with the mouth shut."""
    found = play(
        visit(page_url),
        """
        segment(0, 0, 10, { kind: 'action', est_speech_ms: 0 });
        visemes(0, [[0, 1, 'aa', 1]]);
        segment(1, 10, 20);
        visemes(1, [[0, 1, 'ee', 1]]);
        const seen = [];
        for (const now of [100, 900]) { player.advance(now); seen.push(avatar.mouth); }
        return seen;
        """,
    )
    assert found == ["shut", "ee1"]


def test_a_face_may_come_before_its_words_and_goes_after_the_last(
    visit: Visit, page_url: str
) -> None:
    """While nothing plays it shows at once; a moment after the reply the face is neutral."""
    found = play(
        visit(page_url),
        """
        const face = { type: 'character.expression', ...ids, name: 'surprised', weight: 1,
          segment_index: 0, hold: 'response' };
        player.take({ type: 'character.state', ...ids, state: 'thinking', reason: 'asked' }, 0);
        const eyes = [avatar.eyes];
        player.take(face, 0);
        const early = [...log];
        player.take({ type: 'character.state', ...ids, state: 'speaking', reason: 'words' }, 0);
        eyes.push(avatar.eyes);
        segment(0, 0, 10, { expression: { name: 'surprised', weight: 1 } });
        player.take({ ...face, name: 'angry', segment_index: 1 }, 0);
        player.advance(500);
        const during = log.length;
        player.advance(1100); player.advance(2000);
        const after = log.at(-1);
        player.advance(5000);
        return [eyes, early, during, after, log.at(-1), player.restless];
        """,
    )
    assert found == [["thinking", "user"], ["surprised@1"], 2, "surprised@1", "neutral@1", False]


def test_a_face_for_one_segment_goes_with_it(visit: Visit, page_url: str) -> None:
    """With ``hold: segment`` the next segment without a face of its own is neutral."""
    found = play(
        visit(page_url),
        """
        player.take({ type: 'character.expression', ...ids, name: 'angry', weight: 1,
          segment_index: 0, hold: 'segment' }, 0);
        segment(0, 0, 10, { expression: { name: 'angry', weight: 1 } });
        segment(1, 10, 20);
        player.advance(1100);
        return log.at(-1);
        """,
    )
    assert found == "neutral@1"


def test_an_interruption_is_silent_at_once_and_tells_what_was_heard(
    visit: Visit, page_url: str
) -> None:
    """The mouth shuts, the rest of that reply is never played, and another reply is."""
    found = play(
        visit(page_url),
        """
        segment(0, 0, 10); segment(1, 10, 30);
        visemes(1, [[0, 1, 'aa', 1]]);
        player.advance(1500);
        const before = avatar.mouth;
        const heard = player.interrupt(1500);
        segment(2, 30, 40);
        const silent = [avatar.mouth, player.playing, reports.at(-1), player.interrupt(1700)];
        segment(0, 0, 5, { response_id: 'r2', item_id: 'i2' });
        return [before, heard, silent, player.playing];
        """,
    )
    heard = {"item_id": "i1", "text_end": 20}
    assert found == ["aa1", heard, ["shut", False, "interrupted 1 20", None], True]


def test_a_player_that_slept_catches_up(visit: Visit, page_url: str) -> None:
    """After a hidden tab everything that was due has been played, in order, and reported."""
    found = play(
        visit(page_url),
        """
        for (let i = 0; i < 4; i += 1) segment(i, i * 10, i * 10 + 10);
        player.advance(3300);
        return [reports.filter((one) => one.startsWith('finished')), player.heard(3300).text_end];
        """,
    )
    assert found == [["finished 0 10", "finished 1 20", "finished 2 30"], 33]


def test_events_of_others_are_passed_over(visit: Visit, page_url: str) -> None:
    """Standard events and unknown ones change nothing."""
    found = play(
        visit(page_url),
        """
        for (const type of ['response.output_text.delta', 'character.metrics', 'character.new'])
          player.take({ type, ...ids }, 0);
        player.advance(10);
        return [log, player.playing, avatar.mouth];
        """,
    )
    assert found == [[], False, "shut"]


def test_five_mouth_shapes_are_five_pictures(visit: Visit, page_url: str) -> None:
    """Every two differ by more than a hair in the drawing, under every feeling."""
    nearest = visit(page_url).evaluate(
        """async () => {
        const { MOUTH_SHAPES, PRESETS, shutMouth } = await import('/static/avatar/avatar.js');
        const { lipsOf } = await import('/static/avatar/lips.js');
        const { poseFor } = await import('/static/avatar/expressions.js');
        let nearest = Infinity;
        for (const feeling of PRESETS) {
          const all = ['shut', ...MOUTH_SHAPES].map((name) => lipsOf(poseFor(feeling), {
            ...shutMouth(), [name]: 1 }, 1));
          all.forEach((a, i) => all.slice(i + 1).forEach((b) => {
            nearest = Math.min(nearest, Math.hypot(a.w - b.w, (a.low - a.up) - (b.low - b.up)));
          }));
        }
        return nearest; }"""
    )
    assert nearest > 4


def test_a_weak_feeling_looks_weaker(visit: Visit, page_url: str) -> None:
    """At half weight every number of the face lies between neutral and the whole feeling."""
    found = visit(page_url).evaluate(
        """async () => {
        const { poseFor } = await import('/static/avatar/expressions.js');
        const { PRESETS } = await import('/static/avatar/avatar.js');
        const [zero] = [poseFor('neutral')];
        return PRESETS.every((name) => Object.keys(zero).every((key) => {
          const [half, full] = [poseFor(name, 0.5)[key] - zero[key], poseFor(name,
            1)[key] - zero[key]];
          return Math.abs(half * 2 - full) < 1e-9;
        })); }"""
    )
    assert found is True


def test_movements_begin_and_end_where_the_body_rests(visit: Visit, page_url: str) -> None:
    """Each moves something on its way, nothing at its ends; unknown names move nothing."""
    found = visit(page_url).evaluate(
        """async () => {
        const m = await import('/static/avatar/motions.js');
        const size = (move) => Object.values(move).reduce((sum, v) => sum + Math.abs(v), 0);
        const way = (name) => Math.max(...[0.2, 0.35, 0.5].map((t) => size(m.motionAt(name,
          t * m.motionMs(name)))));
        const ends = m.MOTIONS.flatMap((name) => [m.motionAt(name, 0), m.motionAt(name,
          m.motionMs(name) - 1e-6), m.motionAt(name, 1e6)]);
        return [m.MOTIONS, m.MOTIONS.every((name) => way(name) > 0.9), ends.every((end) =>
          size(end) < 0.1),
          size(m.motionAt('constructor', 10)), m.motionMs('toString')]; }"""
    )
    assert found == [["nod", "shake", "wave", "bow", "jump", "tilt"], True, True, 0, 0]


def test_the_vrm_adapter_maps_every_call(visit: Visit, page_url: str) -> None:
    """Faces, mouth, blink, gaze and motions reach a model with three-vrm's members."""
    source = (EXAMPLES / "three-vrm-adapter.js").read_text(encoding="utf-8")
    page = visit(page_url)
    page.route(
        "**/adapter.js", lambda route: route.fulfill(body=source, content_type="text/javascript")
    )
    found = page.evaluate(
        """async () => {
        const { VrmAvatar } = await import('/adapter.js');
        const values = {}, turned = new Set();
        const vrm = {
          expressionManager: { setValue: (name, weight) => { values[name] = weight; } },
          humanoid: { getNormalizedBoneNode: (name) => ({ rotation: { set: () =>
            turned.add(name) } }) },
          lookAt: { target: null },
        };
        const avatar = new VrmAvatar(vrm, { user: 'camera', away: 'ceiling' });
        const run = (seconds) => { for (let t = 0; t < seconds; t += 0.02) avatar.advance(0.02);
          };
        const round = (name) => Math.round(values[name] * 100) / 100;
        avatar.setExpression('happy', 0.5); run(1);
        const happy = [round('happy'), round('sad')];
        avatar.setMouth({ aa: 0, ih: 0, ou: 1, ee: 0, oh: 0 }); run(1);
        const spoken = [round('ou'), round('aa'), values.happy < 0.5];
        avatar.setExpression('neutral', 1); avatar.setMouth({}); run(2);
        avatar.playMotion('nod'); avatar.playMotion('fly'); avatar.attend('thinking'); run(1);
        return [happy, spoken, round('happy'), round('ou'), [...turned], vrm.lookAt.target,
          'blink' in values]; }"""
    )
    assert found == [[0.5, 0], [1, 0, True], 0, 0, ["head"], "ceiling", True]
