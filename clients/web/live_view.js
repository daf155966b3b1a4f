// The engine room: lays out the live pictures, keeps them moving, and says in words what they show.
import { calm, el, icon } from "./dom.js";
import { language, t } from "./i18n.js";
import { Sheet } from "./live_canvas.js";
import { drawLoad, drawMemory, drawSpeed } from "./live_charts.js";
import { LiveFeed } from "./live_feed.js";
import { drawLanes } from "./live_lanes.js";
import { LiveModel } from "./live_model.js";

const SUMMARY_EVERY_MS = 10_000;
const CALM_FRAME_MS = 500;
const FLOW_PX_PER_S = 170;
const CELL_MIN = 2;
const CELL_MAX = 26;

/** Shows the engine while its view is open. */
export class LiveView {
  /**
   * @param {HTMLElement} root the view's box
   * @param {() => (string|null)} key says the API key of the moment
   */
  constructor(root, key) {
    this.root = root;
    this.open = false;
    this.paused = false;
    this.zoom = 1;
    this.model = new LiveModel();
    this.head = 0;
    this.eased = { used: 0, cached: 0, cell: 12 };
    this.feedState = "connecting";
    this.last = 0;
    this.drawn = 0;
    this.saidAt = -Infinity;
    this.#build();
    this.feed = new LiveFeed(key);
    this.feed.addEventListener("frame", ({ detail }) => this.#take(detail));
    this.feed.addEventListener("state", ({ detail }) => {
      this.feedState = detail;
      if (detail === "open") this.model.resume();
      this.#labelState();
    });
    document.addEventListener("visibilitychange", () => this.#arrange());
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
  }

  /** Open the view and begin to listen. */
  show() {
    this.open = true;
    this.#arrange();
  }

  /** Close the view; nothing is fetched or drawn meanwhile. */
  hide() {
    this.open = false;
    this.#arrange();
  }

  /** Listen again with the key of now. */
  reconnect() {
    this.feed.stop();
    this.#arrange();
  }

  /** Read the theme's colours again. */
  repaint() {
    for (const sheet of Object.values(this.sheets)) sheet.repaint();
    this.drawn = 0;
  }

  /** Write all words again, after a change of language. */
  relabel() {
    for (const [node, key] of this.words) node.textContent = t(key);
    for (const [node, key] of this.labels) node.setAttribute("aria-label", t(key));
    this.#labelPause();
    this.#labelState();
    this.#figures();
  }

  #arrange() {
    const watching = this.open && !document.hidden;
    if (watching) this.feed.start();
    else this.feed.stop();
    if (watching && !this.frame) {
      this.last = performance.now();
      this.frame = requestAnimationFrame((now) => this.#tick(now));
    }
  }

  #take(frame) {
    if (this.paused) return;
    if (this.model.columns.length === 0) this.head = -1;
    this.model.take(frame);
    if (this.head < 0) this.head = this.model.next;
    this.#figures();
    this.#summarise();
  }

  #tick(now) {
    this.frame = 0;
    if (!this.open || document.hidden) return;
    const dt = Math.min(0.1, (now - this.last) / 1000);
    this.last = now;
    if (!calm.matches || now - this.drawn > CALM_FRAME_MS) {
      this.#ease(calm.matches ? 10 : dt);
      this.#draw();
      this.drawn = now;
    }
    this.frame = requestAnimationFrame((next) => this.#tick(next));
  }

  #ease(dt) {
    const { model, eased } = this;
    const glide = 1 - Math.exp(-dt * 7);
    this.head += (model.next - this.head) * (1 - Math.exp(-dt * 5));
    eased.used += (model.now.used - eased.used) * glide;
    eased.cached += (model.now.cached - eased.cached) * glide;
    const wanted = (FLOW_PX_PER_S / Math.max(4, model.stepsPerSecond)) * this.zoom;
    const cell = Math.max(CELL_MIN, Math.min(CELL_MAX * Math.max(1, this.zoom), wanted));
    eased.cell += (cell - eased.cell) * (1 - Math.exp(-dt * 2.5));
  }

  #draw() {
    const view = { head: this.head, cell: this.eased.cell, words: { idle: t("idle_gap") } };
    drawLanes(this.sheets.lanes, this.model, view);
    drawLoad(this.sheets.load, this.model, view);
    drawMemory(this.sheets.memory, { ...this.eased, total: this.model.now.total });
    drawSpeed(this.sheets.speed, this.model, this.model.now.t);
  }

  #figures() {
    const { now, peak } = this.model;
    const whole = (n) => Math.round(n).toLocaleString(language());
    this.values.running.textContent = whole(now.running);
    this.values.waiting.textContent = whole(now.waiting);
    this.values.kv.textContent = whole(now.used);
    this.values.tps.textContent = now.tps < 100 ? now.tps.toFixed(1) : whole(now.tps);
    this.sides.running.textContent = now.seats ? t("of", { n: whole(now.seats) }) : "";
    this.sides.waiting.textContent = now.ms ? t("step_ms", { ms: now.ms.toFixed(1) }) : "";
    this.sides.kv.textContent = now.total ? t("of", { n: whole(now.total) }) : "";
    this.sides.tps.textContent = peak ? t("lasted", { n: whole(peak) }) : "";
    this.root.dataset.columns = String(this.model.columns.length);
    this.idle.hidden = this.model.columns.length > 0;
  }

  #summarise() {
    const time = performance.now();
    if (time - this.saidAt < SUMMARY_EVERY_MS) return;
    this.saidAt = time;
    const { running, waiting, used, total, tps } = this.model.now;
    const words = t("live_summary", { running, waiting, used, total, tps: Math.round(tps) });
    if (this.summary.textContent !== words) this.summary.textContent = words;
  }

  #labelPause() {
    this.pause.replaceChildren(
      icon(this.paused ? "M8 5l11 7-11 7z" : "M8 5v14M16 5v14"),
      el("span", { text: t(this.paused ? "resume" : "pause") }),
    );
    this.pause.setAttribute("aria-pressed", String(this.paused));
  }

  #labelState() {
    const state = this.paused ? "paused" : this.feedState;
    this.state.dataset.state = state;
    this.stateText.textContent = t(`live_state_${state}`);
  }

  #togglePause() {
    this.paused = !this.paused;
    if (!this.paused) this.model.resume();
    this.#labelPause();
    this.#labelState();
  }

  #build() {
    this.words = [];
    this.labels = [];
    this.values = {};
    this.sides = {};
    this.sheets = {};
    this.summary = el("p", { class: "unseen", role: "status", "aria-live": "polite", "data-testid": "live-summary" });
    this.idle = el("p", { class: "idle" });
    this.words.push([this.idle, "live_idle"]);
    this.stateText = el("span");
    this.state = el("p", { class: "status", "data-testid": "live-state" }, el("span", { class: "dot", "aria-hidden": "true" }), this.stateText);
    this.pause = el("button", { type: "button", class: "quiet", "data-testid": "live-pause", onclick: () => this.#togglePause() });
    this.root.append(
      el("header", { class: "live-head" },
        el("div", {}, this.#say("h2", "live_title"), this.#say("p", "live_lead", "lead")),
        el("div", { class: "live-tools" }, this.state, this.#zoomer(0.6, "zoom_out", "M5 12h14"),
          this.#zoomer(1 / 0.6, "zoom_in", "M12 5v14M5 12h14"), this.pause)),
      this.summary,
      el("dl", { class: "tiles" }, this.#tile("running"), this.#tile("waiting"), this.#tile("kv"), this.#tile("tps")),
      this.#panel("lanes", "live_lanes", ["prefill", "decode", "join", "leave"].map((n) => `legend_${n}`), this.idle),
      this.#panel("load", "live_load", ["legend_running", "legend_waiting"]),
      this.#panel("memory", "live_memory", ["kv_used", "kv_cached", "kv_free"]),
      this.#panel("speed", "live_speed", ["minute"]),
    );
  }

  #say(tag, key, style) {
    const node = el(tag, { class: style });
    this.words.push([node, key]);
    return node;
  }

  #zoomer(factor, key, path) {
    const button = el("button", {
      type: "button", class: "quiet only-icon",
      onclick: () => { this.zoom = Math.max(0.2, Math.min(8, this.zoom * factor)); },
    }, icon(path));
    this.labels.push([button, key]);
    return button;
  }

  #tile(name) {
    this.values[name] = el("span", { class: "big", "data-testid": `live-${name}`, text: "0" });
    this.sides[name] = el("span", { class: "side" });
    return el("div", { class: `tile tile-${name}` }, this.#say("dt", `live_${name}`), el("dd", {}, this.values[name], this.sides[name]));
  }

  #panel(name, title, legend, ...more) {
    const canvas = el("canvas", { class: `canvas-${name}`, role: "img", "data-testid": `canvas-${name}` });
    this.labels.push([canvas, `${name}_label`]);
    this.sheets[name] = new Sheet(canvas);
    const keys = legend.map((key) => el("li", { class: `key key-${key}` }, el("i", { "aria-hidden": "true" }), this.#say("span", key)));
    return el("section", { class: `panel panel-${name}` },
      el("div", { class: "panel-head" }, this.#say("h3", title), el("ul", { class: "legend" }, ...keys)),
      el("div", { class: "canvas-box" }, canvas, ...more));
  }
}
