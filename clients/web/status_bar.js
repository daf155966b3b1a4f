// The weather of the connection: one word that is always visible, a countdown, and kind refusals.
import { byId, el, icon } from "./dom.js";
import { t } from "./i18n.js";

const RATE_CODES = /rate_limit|too_many/;
const FULL_CODES = /overload|capacity|queue_full|server_busy|unavailable/;

/** Shows where the link stands, and what the server refused. */
export class StatusBar {
  /** @param {() => void} onretry called when the reader wants to try again */
  constructor(onretry) {
    this.box = byId("status");
    this.text = byId("status-text");
    this.count = byId("status-count");
    this.retry = byId("retry");
    this.notice = byId("notice");
    this.state = { name: "connecting" };
    this.timer = 0;
    this.retry.addEventListener("click", onretry);
  }

  /** @param {import("./realtime.js").LinkState & {text?: string}} state where the link stands */
  show(state) {
    this.state = state;
    this.box.dataset.state = state.name;
    this.retry.hidden = !["waiting", "stopped", "key"].includes(state.name);
    clearInterval(this.timer);
    if (state.name === "waiting") this.timer = setInterval(() => this.#countDown(), 250);
    this.relabel();
    if (state.name === "ready" && this.notice.dataset.kind === "link") this.clearNotice();
    if (state.name === "stopped") this.#explain(state);
  }

  /** Write the words again, after a change of language. */
  relabel() {
    this.text.textContent = t(`state_${this.state.name}`);
    this.#countDown();
  }

  /** @param {{code?: string, message?: string}} error what the server refused */
  refuse({ code = "", message = "" }) {
    if (RATE_CODES.test(code)) this.#say(t("error_rate"), "error");
    else if (FULL_CODES.test(code)) this.#say(t("error_full"), "error");
    else this.#say(t("error_generic", { message: message || code || "?" }), "error");
  }

  /**
   * Tell the reader something that is no refusal.
   * @param {string} words what
   */
  tell(words) {
    this.#say(words, "news");
  }

  /**
   * Tell the reader what a card's file is lacking.
   * @param {string} words what, and the way out
   */
  warn(words) {
    this.#say(words, "error");
  }

  /** Take the notice away. */
  clearNotice() {
    this.notice.hidden = true;
    this.notice.replaceChildren();
  }

  #explain({ text, code, reason }) {
    if (text) this.#say(text, "link");
    else if (code === 1008) this.#say(t("close_policy", { reason: reason || code }), "link");
    else this.#say(t("close_other", { code, reason: reason ?? "" }).trim(), "link");
  }

  #say(words, kind) {
    this.notice.dataset.kind = kind;
    this.notice.hidden = false;
    this.notice.replaceChildren(
      el("span", { class: "notice-text", text: words }),
      el("button", { type: "button", class: "notice-close", "aria-label": t("dismiss"), onclick: () => this.clearNotice() },
        icon("M6 6l12 12M18 6L6 18")),
    );
  }

  #countDown() {
    const left = this.state.name === "waiting" ? this.state.retryAt - performance.now() : 0;
    this.count.textContent = left > 300 ? t("in_seconds", { s: Math.ceil(left / 1000) }) : "";
  }
}
