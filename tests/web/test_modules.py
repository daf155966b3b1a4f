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


def test_tags_go_back_into_clean_text(visit: Visit, page_url: str) -> None:
    """Feelings stand at their code-point offsets again, as far as the words were heard."""
    found = ask(
        visit(page_url),
        "tags",
        """
        const feelings = [{ name: "happy", offset: 0 }, { name: "sad", offset: 12 }];
        return [m.withTags("Hi 👋 there. Bye.", feelings), m.withTags("Hi", feelings)];
        """,
    )
    assert found == ["[happy] Hi 👋 there. [sad] Bye.", "[happy] Hi"]


def test_only_what_was_heard_is_told_again(visit: Visit, page_url: str) -> None:
    """A reply that was cut off goes to a new session up to there; notes never go."""
    found = ask(
        visit(page_url),
        "conversation",
        """
        const c = new m.Conversation();
        c.addUser("Hello?");
        const reply = Object.assign(c.openReply(), { id: "item_1", text: "One 👋 two.",
          status: "completed" });
        const unheard = Object.assign(c.openReply(), { id: "item_2", text: "Three.",
          status: "cancelled" });
        c.addNote("summarised", "They met.");
        c.cut("item_1", 5); c.cut("item_2", 0);
        return [c.awaitsReply, c.asWire().map((item) => [item.role, item.status,
          item.content[0].text])];
        """,
    )
    told = [["user", "completed", "Hello?"], ["assistant", "incomplete", "One 👋"]]
    assert found == [False, told]


def test_segments_become_elements_of_their_kind(visit: Visit, page_url: str) -> None:
    """Code loses its fences, actions their asterisks, and unheard words are set apart."""
    found = ask(
        visit(page_url),
        "segments_view",
        r"""
        const text = "Hi. *nods* ```js\nf()\n``` Bye now";
        const cuts = [["speech", 0, 4], ["action", 4, 11], ["code", 11, 24], ["speech", 24, 29]];
        const segments = cuts.map(([kind, from, to], index) => ({ kind, from, to, index }));
        const show = (heard) => m.replyNodes({ text, segments, heard }).map((n) => n.outerHTML);
        return [show(null), show(2)[0], show(2).at(-1)];
        """,
    )
    nodes = [
        '<span class="seg" data-index="0">Hi. </span>',
        '<em class="seg action" data-index="1">nods </em>',
        '<code class="seg code block" data-index="2">f()</code>',
        '<span class="seg" data-index="3">Bye </span>',
        "<span>now</span>",
    ]
    unheard = '<span class="seg" data-index="0">Hi<span class="unheard">. </span></span>'
    assert found == [nodes, unheard, '<span class="unheard">now</span>']


def test_every_expression_has_its_own_pose(visit: Visit, page_url: str) -> None:
    """Six poses differ, weight fades to neutral, and strange names are neutral."""
    found = ask(
        visit(page_url),
        "avatar/expressions",
        """
        const { PRESETS } = await import("/static/avatar/avatar.js");
        const poses = new Set(PRESETS.map((name) => JSON.stringify(m.poseFor(name))));
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
