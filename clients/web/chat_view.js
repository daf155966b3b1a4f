// The conversation on the page: bubbles, streaming words, figures, scrolling, and what is read aloud.
import { byId, el } from "./dom.js";
import { has, language, t } from "./i18n.js";
import { noteRow } from "./memory_note.js";
import { replyNodes } from "./segments_view.js";

const NEAR_BOTTOM_PX = 48;
const MOVING_MS = 250;
const SENTENCE = /^[\s\S]*?[.!?…。！？](?:["'”’」』)）]*)(?:\s|$|(?<=[。！？」』]))/;

function feelingName(name) {
  return has(`feel_${name}`) ? t(`feel_${name}`) : name;
}

function emptyWords(item) {
  if (item.note) return t(item.note);
  return item.status === "completed" ? "…" : t("stopped_empty");
}

/** Draws the items of one conversation. */
export class ChatView {
  /** @param {(summary: string) => void} onsummary called when the reader has changed what the model remembers */
  constructor(onsummary) {
    this.onsummary = onsummary;
    this.list = byId("messages");
    this.scroll = byId("scroll");
    this.latest = byId("latest");
    this.announcer = byId("announcer");
    this.rows = new Map();
    this.name = "";
    this.unread = "";
    this.atBottom = true;
    this.movedAt = -Infinity;
    this.pinnedTop = 0;
    for (const kind of ["wheel", "touchmove", "pointerdown", "keydown"]) {
      this.scroll.addEventListener(kind, () => this.#noticeMove(), { passive: true });
    }
    this.scroll.addEventListener("scroll", () => this.#noticeScroll(), { passive: true });
    this.latest.addEventListener("click", () => this.toBottom());
    new ResizeObserver(() => this.#follow()).observe(this.scroll);
  }

  /**
   * Draw a whole conversation.
   * @param {import("./conversation.js").Conversation} conversation what was said
   * @param {string} name the character's name
   */
  show(conversation, name) {
    this.name = name;
    this.rows.clear();
    this.list.replaceChildren();
    for (const item of conversation.items) this.add(item);
    this.toBottom();
  }

  /** @param {import("./conversation.js").Item} item what was just said or begun */
  add(item) {
    const row = this.#row(item);
    this.rows.set(item.key, { ...row, item });
    this.list.append(row.root);
    if (item.role === "user") this.toBottom();
    if (item.role === "assistant") this.#fill(row, item);
    this.#follow();
  }

  /**
   * Words arrive.
   * @param {import("./conversation.js").Item} item the reply
   * @param {string} delta its new words
   */
  append(item, delta) {
    const row = this.rows.get(item.key);
    if (!row) return;
    row.text.append(el("span", { class: "word", text: delta }));
    if (row.text.childElementCount > 240) row.text.replaceChildren(...replyNodes(item));
    row.root.dataset.begun = "true";
    this.unread += delta;
    this.#readAloud(false);
    this.#follow();
  }

  /** @param {import("./conversation.js").Item} item a reply whose pieces, or what was heard of them, are known better */
  repaint(item) {
    const row = this.rows.get(item.key);
    if (!row) return;
    if (item.status === "streaming") this.#writeWords(row, item);
    else this.#finishRow(row, item);
    this.#follow();
  }

  /**
   * Mark the words that are being spoken.
   * @param {string|null} id item id on the wire, or null for none
   * @param {number} [index] segment of it
   */
  highlight(id, index) {
    for (const node of this.list.querySelectorAll(".now")) node.classList.remove("now");
    const row = id === null ? null : [...this.rows.values()].find((one) => one.item.id === id);
    row?.text.querySelector(`[data-index="${index}"]`)?.classList.add("now");
  }

  /** @param {import("./conversation.js").Item} item a reply that has ended */
  settle(item) {
    const row = this.rows.get(item.key);
    if (!row) return;
    this.#finishRow(row, item);
    this.#readAloud(true);
    this.#follow();
  }

  /** @param {import("./conversation.js").Item} item a reply that never was */
  drop(item) {
    this.rows.get(item.key)?.root.remove();
    this.rows.delete(item.key);
  }

  /** Go to the newest words. */
  toBottom() {
    this.atBottom = true;
    this.movedAt = -Infinity;
    this.#follow();
    this.latest.hidden = true;
  }

  #row(item) {
    if (item.role === "user") return this.#userRow(item);
    if (item.role === "note") return noteRow(item, this.name, this.onsummary);
    return this.#replyRow(item);
  }

  #userRow(item) {
    const text = el("p", { class: "text", text: item.text });
    const root = el(
      "li", { class: "row mine", "data-testid": "user-message" },
      el("span", { class: "unseen", text: `${t("you")}: ` }), text,
    );
    return { root, text };
  }

  #replyRow(item) {
    const text = el("p", { class: "text", "data-testid": "reply-text", "aria-live": "off" });
    const dots = el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));
    const meta = el("p", { class: "meta" });
    const root = el(
      "li",
      { class: "row theirs", "data-testid": "reply", "data-status": item.status, "data-greeting": item.greeting ? "true" : undefined },
      el("span", { class: "unseen", text: `${this.name}: ` }), text, dots, meta,
    );
    root.setAttribute("aria-busy", "true");
    return { root, text, meta };
  }

  #fill(row, item) {
    if (item.status !== "streaming") this.#finishRow(row, item);
    else if (item.text) {
      row.root.dataset.begun = "true";
      this.#writeWords(row, item);
    }
  }

  #finishRow(row, item) {
    this.#writeWords(row, item);
    row.text.classList.toggle("hollow", !item.text);
    row.root.dataset.status = item.status;
    row.root.removeAttribute("aria-busy");
    row.meta.replaceChildren(...this.#figures(item));
  }

  // Words anew, keeping the mark of those that are being spoken.
  #writeWords(row, item) {
    const now = row.text.querySelector(".now")?.dataset.index;
    row.text.replaceChildren(...(item.text ? replyNodes(item) : [emptyWords(item)]));
    if (now !== undefined) row.text.querySelector(`[data-index="${now}"]`)?.classList.add("now");
  }

  #figures(item) {
    const parts = [];
    const feelings = [...new Set(item.expressions.map((one) => one.name))];
    if (item.heard !== null && item.heard < Array.from(item.text).length) parts.push(el("span", { class: "why", text: t("unheard") }));
    if (item.greeting) return parts;
    if (item.note && item.text) parts.push(el("span", { class: "why", text: t(item.note) }));
    else if (item.status !== "completed" && item.text && parts.length === 0) parts.push(el("span", { class: "why", text: t(item.status) }));
    if (feelings.length > 0) {
      parts.push(el("span", { class: "feelings", text: feelings.slice(0, 4).map(feelingName).join(" → ") }));
    }
    const { ttft, tps } = item.metrics;
    if (ttft !== undefined) {
      parts.push(el("span", { "data-testid": "metrics-ttft", text: t("ttft", { ms: Math.round(ttft) }) }));
    }
    if (tps !== undefined) {
      const n = tps < 100 ? tps.toFixed(1) : Math.round(tps).toLocaleString(language());
      parts.push(el("span", { "data-testid": "metrics-tps", text: t("tps", { n }) }));
    }
    return parts;
  }

  // Whole sentences only, so that a screen reader is not interrupted by every token.
  #readAloud(all) {
    let ready = "";
    for (;;) {
      const sentence = this.unread.match(SENTENCE);
      if (!sentence || sentence[0].length === this.unread.length && !all) break;
      ready += sentence[0];
      this.unread = this.unread.slice(sentence[0].length);
      if (!sentence[0]) break;
    }
    if (all) {
      ready += this.unread;
      this.unread = "";
    }
    if (ready.trim()) this.announcer.textContent = t("said", { name: this.name, text: ready.trim() });
  }

  #noticeMove() {
    this.movedAt = performance.now();
    clearTimeout(this.moving);
    this.moving = setTimeout(() => this.#follow(), MOVING_MS + 20);
  }

  #noticeScroll() {
    const left = this.scroll.scrollHeight - this.scroll.clientHeight - this.scroll.scrollTop;
    const stayed = this.atBottom && this.scroll.scrollTop >= this.pinnedTop - 1; // only the box changed
    this.atBottom = left < NEAR_BOTTOM_PX || stayed;
    this.latest.hidden = this.atBottom;
  }

  // The scroll event comes a frame late; a reader who moves must not be pulled down meanwhile.
  #follow() {
    if (performance.now() - this.movedAt < MOVING_MS) return;
    if (this.atBottom) this.scroll.scrollTop = this.scroll.scrollHeight;
    else this.latest.hidden = false;
    this.pinnedTop = this.scroll.scrollTop;
  }
}
