"""The page's rooms without a DOM, asked one by one inside the browser that will run them."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.web.conftest import Visit

pytestmark = pytest.mark.slow


def ask(page: Page, module: str, body: str) -> Any:
    """Run a function body with a module of the page bound to `m`, and return its value."""
    script = f"async () => {{ const m = await import('/static/{module}.js'); {body} }}"
    return page.evaluate(script)


def test_tags_come_apart_and_together(visit: Visit, page_url: str) -> None:
    """Known tags become feelings at code-point offsets; unknown brackets stay text."""
    found = ask(
        visit(page_url),
        "tags",
        """
        const raw = "[happy] Hi 👋 [note] there. [sad] Bye.";
        const { text, expressions } = m.parseTags(raw, ["happy", "sad"]);
        const cut = m.withTags("Hi", [{ name: "happy", offset: 0 }, { name: "sad", offset: 2 }]);
        const places = expressions.map((e) => [e.name, e.offset]);
        return [text, places, m.withTags(text, expressions), cut];
        """,
    )
    assert found == [
        "Hi 👋 [note] there. Bye.",
        [["happy", 0], ["sad", 19]],
        "[happy] Hi 👋 [note] there. [sad] Bye.",
        "[happy] Hi",
    ]


def test_the_performance_keeps_pace(visit: Visit, page_url: str) -> None:
    """A reply that arrives at once is acted over time, each feeling with its own words."""
    acted = ask(
        visit(page_url),
        "performer",
        """
        const p = new m.Performer();
        p.push("a".repeat(40)); p.mark(0, "happy"); p.mark(30, "sad"); p.finish();
        const seen = []; let t = 0, speaking = true;
        while (speaking && t < 20) {
          const act = p.advance(0.02); t += 0.02; speaking = act.speaking;
          if (act.expression) seen.push([act.expression.name, Math.round(t * 10) / 10]);
        }
        return { seen, t };
        """,
    )
    assert [name for name, _ in acted["seen"]] == ["happy", "sad"]
    assert acted["seen"][0][1] == 0
    assert 0.8 < acted["seen"][1][1] < 1.5
    assert 1.2 < acted["t"] < 2.5


def test_a_cut_performance_is_silent_at_once(visit: Visit, page_url: str) -> None:
    """After a cut nothing is spoken, and the last feeling that was due is returned."""
    found = ask(
        visit(page_url),
        "performer",
        """
        const p = new m.Performer();
        p.push("hello there"); p.mark(0, "happy"); p.mark(6, "angry");
        const last = p.cut();
        return [last.name, p.advance(0.1).speaking];
        """,
    )
    assert found == ["angry", False]


def test_the_mouth_knows_kana(visit: Visit, page_url: str) -> None:
    """Kana and letters of one vowel share a shape; pauses and lips close the mouth."""
    found = ask(
        visit(page_url),
        "performer",
        """
        const same = (a, b) => m.visemeOf(a) === m.visemeOf(b);
        return [same("か", "a"), same("ト", "o"), same("u", "む"), m.visemeOf("。").open,
          m.visemeOf("m").open, m.visemeOf("葵").open > 0];
        """,
    )
    assert found == [True, True, True, 0, 0, True]


def test_every_expression_has_its_own_pose(visit: Visit, page_url: str) -> None:
    """Six poses differ, weight fades to neutral, and strange names are neutral."""
    found = ask(
        visit(page_url),
        "expressions",
        """
        const poses = new Set(m.EXPRESSIONS.map((name) => JSON.stringify(m.poseFor(name))));
        const faded = JSON.stringify(m.poseFor("angry", 0));
        const springs = new m.PoseSprings(m.poseFor("neutral"));
        springs.target = m.poseFor("happy");
        for (let i = 0; i < 120; i += 1) springs.advance(1 / 60);
        const far = Math.abs(springs.value.mouthW - m.poseFor("happy").mouthW);
        return [poses.size, faded === JSON.stringify(m.poseFor("neutral")),
          m.poseName("constructor"), m.poseName("Joy"), far < 0.01];
        """,
    )
    assert found == [6, True, "neutral", "happy", True]


def test_sequences_keep_their_lane(visit: Visit, page_url: str) -> None:
    """A sequence has one lane from joining to leaving; a repeated step is not drawn twice."""
    found = ask(
        visit(page_url),
        "live_model",
        """
        const model = new m.LiveModel();
        const step = (n, batch, joined = [], left = []) => ({ step: n, t: n / 50, ms: 20,
          running: batch.length, waiting: 0, joined, left, kv_blocks_used: 3,
          kv_blocks_cached: 1, batch });
        const frame = (...steps) => model.take({ t: steps.at(-1)?.t ?? 9, steps,
          kv_blocks_total: 8, tokens_per_second: 50, max_num_seqs: 4 });
        frame(step(1, [["a", "prefill", 9]], ["a"]),
          step(2, [["a", "decode", 1], ["b", "prefill", 5]], ["b"]));
        frame(step(2, [["a", "decode", 1]]), step(3, [["b", "decode", 1]], [], ["a"]),
          step(4, [["b", "decode", 1], ["c", "prefill", 2]], ["c"]));
        const lanes = model.columns.map((c) => c.cells.map((cell) => cell.id + cell.lane));
        frame(step(400, [["b", "decode", 1]]));
        const gaps = model.columns.filter((c) => c.gap).length;
        model.take({ t: 20, steps: [] });
        return [lanes, gaps, model.now.running, model.now.total];
        """,
    )
    lanes = [["a0"], ["a0", "b1"], ["b1"], ["b1", "c2"]]
    assert found == [lanes, 1, 0, 8]


def test_ink_is_readable_on_any_accent(visit: Visit, page_url: str) -> None:
    """The ink chosen for a colour reaches 4.5 to 1 on every one of 4,096 accents."""
    worst = ask(
        visit(page_url),
        "color",
        """
        let worst = 99;
        for (let n = 0; n < 4096; n += 1) {
          const hex = "#" + n.toString(16).padStart(3, "0").replace(/./g, "$&$&");
          const [a, b] = [m.luminance(hex), m.luminance(m.inkOn(hex))].sort((x, y) => y - x);
          worst = Math.min(worst, (a + 0.05) / (b + 0.05));
        }
        return worst;
        """,
    )
    assert worst >= 4.5
