// The weather of the connection: one word that is always visible, a countdown, news and kind refusals.
import { byId, el, icon } from "./dom.js";
import { has, t } from "./i18n.js";
import { TAKEN_OVER } from "./realtime.js";

const RATE_CODES = /rate_limit|too_many/;
const FULL_CODES = /overload|capacity|queue_full|server_busy|unavailable/;
const NEWS_OF_CODES = {
  server_draining: "news_leaving", engine_restarted: "error_engine", engine_dead: "error_engine",
};
const TICK_MS = 250;

/** Shows where the link stands, what the server says of itself, and what it refused. */
export class StatusBar {
  /** @param {() => void} onretry called when the reader wants to try again */
  constructor(onretry) {
    this.box = byId("status");
    this.text = byId("status-text");
    this.count = byId("status-count");
    this.retry = byId("retry");
    this.notice = byId("notice");
    this.recorded = byId("recorded");
    /** @type {string|null} what is kept of what is said; `null` where nothing is recorded */
    this.kept = null;
    this.state = { name: "connecting" };
    this.recovering = false;
    this.timer = 0;
    this.noticeTimer = 0;
    this.waitWords = null; // what we have said of a refusal that passes, so as to say it once
    /** @type {() => void} writes the notice again, after a change of language */
    this.rewrite = () => {};
    this.retry.addEventListener("click", onretry);
  }

  /** @param {import("./realtime.js").LinkState & {text?: string}} state where the link stands */
  show(state) {
    this.state = state;
    this.box.dataset.state = state.name;
    this.retry.hidden = !["waiting", "stopped", "key"].includes(state.name);
    clearInterval(this.timer);
    if (state.name === "waiting") this.timer = setInterval(() => this.#countDown(), TICK_MS);
    this.#label();
    if (state.name === "waiting") this.#tellWhyWeWait(state.refusal);
    if (state.name === "ready") this.waitWords = null;
    if (state.name === "ready" && ["link", "passing"].includes(this.notice.dataset.kind)) this.clearNotice();
    if (state.name === "stopped") this.#say(() => this.#why(state), state.code === TAKEN_OVER ? "passing" : "link");
  }

  /** @param {string|null} kept what the server keeps of what is said, if it records the session */
  record(kept) {
    this.kept = kept;
    this.recorded.hidden = kept === null;
    this.recorded.textContent = kept === null ? "" : t(has(`recorded_${kept}`) ? `recorded_${kept}` : "recorded_full");
  }

  /** Write the words again, after a change of language. */
  relabel() {
    this.#label();
    this.record(this.kept);
    if (!this.notice.hidden) this.rewrite();
  }

  /** @param {import("./service_news.js").News} news what the server says of itself */
  report({ name, s = 0 }) {
    const was = this.recovering;
    if (["recovering", "recovered", "begun"].includes(name)) this.recovering = name === "recovering";
    this.#label();
    if (name === "recovering") this.#say(() => t("news_recovering"), "engine");
    else if (name === "leaving") this.#say(() => t("news_leaving"), "passing");
    else if (name === "expiring") this.#say(() => t("news_expiring", { s }), "passing");
    else if (was && this.notice.dataset.kind === "engine") this.clearNotice();
  }

  /** Another conversation begins: what was said of the last one's session is over. */
  forgetNews() {
    this.recovering = false;
    if (["engine", "link", "passing"].includes(this.notice.dataset.kind)) this.clearNotice();
  }

  /** @param {{code?: string, message?: string, retry_after_ms?: number}} error what the server refused */
  refuse({ code = "", message = "", retry_after_ms: wait = 0 }) {
    const words = RATE_CODES.test(code) ? "error_rate" : FULL_CODES.test(code) ? "error_full" : null;
    if (words && wait > 0) this.#sayUntil(words, performance.now() + wait);
    else if (words) this.#say(() => t(words), "error");
    else if (NEWS_OF_CODES[code]) this.#say(() => t(NEWS_OF_CODES[code]), code === "server_draining" ? "passing" : "error");
    else this.#say(() => t("error_generic", { message: message || code || "?" }), "error");
  }

  /**
   * Tell the reader something that is no refusal.
   * @param {string} words what
   */
  tell(words) {
    this.#say(() => words, "news");
  }

  /**
   * Tell the reader what a card's file is lacking.
   * @param {string} words what, and the way out
   */
  warn(words) {
    this.#say(() => words, "error");
  }

  /** Take the notice away. */
  clearNotice() {
    clearInterval(this.noticeTimer);
    this.notice.hidden = true;
    this.notice.replaceChildren();
    delete this.notice.dataset.kind;
  }

  #label() {
    const taken = this.state.name === "stopped" && this.state.code === TAKEN_OVER;
    const recovering = this.state.name === "ready" && this.recovering;
    this.box.classList.toggle("recovering", recovering);
    this.text.textContent = t(taken ? "state_taken" : recovering ? "state_recovering" : `state_${this.state.name}`);
    this.retry.dataset.t = taken ? "take_back" : "retry";
    this.retry.textContent = t(this.retry.dataset.t);
    this.#countDown();
  }

  #tellWhyWeWait(refusal) {
    if (!refusal) return;
    const words = refusal.status === 429 ? "wait_many" : NEWS_OF_CODES[refusal.code] ?? "wait_full";
    if (words !== this.waitWords) this.#say(() => t(words), "link");
    this.waitWords = words;
  }

  #why({ text, code, reason, refusal }) {
    if (text) return t(text);
    if (refusal) return t("refused", { reason: refusal.reason });
    if (has(`close_${code}`)) return t(`close_${code}`);
    if (code === 1008) return t("close_policy", { reason: reason || code });
    return t("close_other", { code, reason: reason ?? "" }).trim();
  }

  // Eyes see the seconds go by; a screen reader hears them once, and then that the time is over.
  #sayUntil(words, end) {
    const left = () => Math.max(1, Math.ceil((end - performance.now()) / 1000));
    const write = () => {
      const count = el("span", { class: "count", "aria-hidden": "true" });
      const tick = () => {
        count.textContent = t(`${words}_for`, { s: left() });
      };
      tick();
      this.#fill([el("span", { class: "unseen", text: t(`${words}_for`, { s: left() }) }), count], "error");
      this.noticeTimer = setInterval(() => {
        if (performance.now() < end) tick();
        else this.#say(() => t("wait_over"), "news");
      }, TICK_MS);
    };
    this.rewrite = write;
    write();
  }

  #say(words, kind) {
    const write = () => this.#fill([words()], kind);
    this.rewrite = write;
    write();
  }

  #fill(content, kind) {
    clearInterval(this.noticeTimer);
    this.notice.dataset.kind = kind;
    this.notice.hidden = false;
    this.notice.replaceChildren(
      el("span", { class: "notice-text" }, ...content),
      el("button", { type: "button", class: "notice-close", "aria-label": t("dismiss"), onclick: () => this.clearNotice() },
        icon("M6 6l12 12M18 6L6 18")),
    );
  }

  #countDown() {
    const left = this.state.name === "waiting" ? this.state.retryAt - performance.now() : 0;
    this.count.textContent = left > 300 ? t("in_seconds", { s: Math.ceil(left / 1000) }) : "";
  }
}
