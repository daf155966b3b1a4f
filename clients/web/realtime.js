// The wire: one WebSocket to /v1/realtime that comes back by itself, to the same session where that still waits.
// No DOM, no conversation.
import { HttpRefusal, KeyNeeded, askWhy, getJson } from "./api.js";

const RETRYABLE = new Set([1000, 1001, 1005, 1006, 1011, 1012, 1013, 4408]);
const KEY_ENDED = 4401; // another key is needed, as after 401
/** Close code: another window has come back to this session, or to its conversation. */
export const TAKEN_OVER = 4409;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
const GREETING_TIMEOUT_MS = 10_000;

/**
 * @typedef {object} LinkState
 * @property {"closed"|"connecting"|"ready"|"waiting"|"stopped"|"key"} name where the link stands
 * @property {number} [retryAt] `performance.now()` of the next try, while waiting
 * @property {number} [code] close code, when stopped
 * @property {string} [reason] the server's words, when stopped
 * @property {HttpRefusal} [refusal] why we were not let in, while waiting or when stopped
 * @property {"wrong"|"ended"|"scope"|null} [why] what is the matter with the key that was given, where one was
 */

/** @typedef {{token: string, lastEventId: string}} WayBack what leads back to a session */

/** A self-healing connection. Emits `state` (LinkState) and `event` (a server event) as `detail`. */
export class RealtimeLink extends EventTarget {
  /** @param {() => (string|null)} key says the API key of the moment */
  constructor(key) {
    super();
    this.key = key;
    this.model = "";
    this.socket = null;
    this.attempt = 0;
    this.timer = 0;
    this.turn = 0;
    /** @type {string|null} leads back to the session, once it has begun */
    this.token = null;
    this.lastEventId = "";
    this.leaving = false; // the server has said that it is about to stop
    /** @type {LinkState} */
    this.state = { name: "closed" };
  }

  /**
   * @param {string} model character to talk to
   * @param {WayBack|null} [way] leads back to a session that may still wait
   */
  open(model, way = null) {
    this.close();
    this.model = model;
    this.token = way?.token ?? null;
    this.lastEventId = way?.lastEventId ?? "";
    this.attempt = 0;
    this.#connect();
  }

  /** Whether a lost socket can be made good, so that nothing that was asked for is lost with it. */
  get resumable() {
    return this.token !== null && ["connecting", "waiting", "ready"].includes(this.state.name);
  }

  /** @returns {WayBack|null} what leads back to this session, on this socket's loss or this page's */
  get wayBack() {
    return this.token === null ? null : { token: this.token, lastEventId: this.lastEventId };
  }

  /** Whether the server takes new work just now. */
  get accepts() {
    return this.state.name === "ready" && !this.leaving;
  }

  /** Hang up and stay away. */
  close() {
    this.turn += 1;
    clearTimeout(this.timer);
    this.token = null;
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
    this.#become({ name: "closed" });
  }

  /** Try again now, whatever we were waiting for. */
  retry() {
    if (this.model && ["waiting", "stopped", "key"].includes(this.state.name)) {
      clearTimeout(this.timer);
      this.#connect();
    }
  }

  /** Drop the socket and come back on a fresh one. */
  renew() {
    this.open(this.model);
  }

  /**
   * @param {Record<string, unknown>} event client event
   * @returns {boolean} whether it left
   */
  send(event) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(event));
    return true;
  }

  async #connect() {
    const turn = (this.turn += 1);
    this.#become({ name: "connecting" });
    try {
      await getJson("/v1/models", this.key());
    } catch (error) {
      if (turn === this.turn) this.#turnedAway(error);
      return;
    }
    if (turn === this.turn) this.#dial(turn);
  }

  // A socket that was never opened looks like a lost line.
  async #askWhy(turn) {
    try {
      await askWhy(this.model, this.key());
    } catch (error) {
      if (turn === this.turn) this.#turnedAway(error);
      return;
    }
    if (turn === this.turn) this.#wait(0);
  }

  // What the server itself says no to stays so until somebody does something; a proxy's no may pass.
  #turnedAway(error) {
    if (error instanceof KeyNeeded) return this.#become({ name: "key", why: this.key() ? error.why : null });
    if (!(error instanceof HttpRefusal)) return this.#wait(0);
    if (error.code === "insufficient_scope") return this.#become({ name: "key", why: "scope" });
    const passes = error.status === 429 || error.status >= 500;
    if (passes || !error.code) return this.#wait(error.retryAfter * 1000, error.code ? error : undefined);
    return this.#become({ name: "stopped", refusal: error });
  }

  #dial(turn) {
    const url = new URL("/v1/realtime", window.location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const way = this.token === null ? {} : { resume: this.token, last_event_id: this.lastEventId };
    url.search = new URLSearchParams({ model: this.model, events: "character.v1", ...way }).toString();
    const key = this.key();
    const protocols = key ? ["realtime", `openai-insecure-api-key.${key}`] : ["realtime"];
    let socket;
    try {
      socket = new WebSocket(url, protocols);
    } catch {
      this.#become({ name: "key", why: "wrong" }); // the key holds a character no header may carry
      return;
    }
    this.socket = socket;
    this.timer = setTimeout(() => socket.close(), GREETING_TIMEOUT_MS);
    socket.addEventListener("message", (message) => {
      if (turn === this.turn) this.#receive(message.data);
    });
    let opened = false;
    socket.addEventListener("open", () => {
      opened = true;
    });
    socket.addEventListener("close", (close) => {
      if (turn === this.turn) this.#closed(close, opened);
    });
  }

  #receive(data) {
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      return;
    }
    this.lastEventId = event?.event_id ?? this.lastEventId;
    if (event?.type === "session.created") {
      this.token = event.session?.resume?.token ?? null;
      clearTimeout(this.timer);
      this.attempt = 0;
      this.leaving = false;
      this.#become({ name: "ready" });
    }
    if (event?.type === "character.session.going_away") this.leaving = true;
    this.dispatchEvent(new CustomEvent("event", { detail: event }));
  }

  #closed({ code, reason }, opened) {
    clearTimeout(this.timer);
    this.socket = null;
    if (!opened) this.#askWhy(this.turn);
    else if (RETRYABLE.has(code)) this.#wait(0);
    else if (code === KEY_ENDED) this.#become({ name: "key", why: "ended" });
    else this.#become({ name: "stopped", code, reason });
  }

  #wait(atLeastMs, refusal = undefined) {
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.attempt);
    const delay = Math.max(atLeastMs, ceiling * (0.5 + Math.random() / 2));
    this.attempt += 1;
    this.#become({ name: "waiting", retryAt: performance.now() + delay, refusal });
    this.timer = setTimeout(() => this.#connect(), delay);
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
