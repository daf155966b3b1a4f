// The talk itself: turns user actions and server events into changes of one conversation. No DOM.
import { wireItem } from "./conversation.js";

const CANCEL_TIMEOUT_MS = 5000;
const QUIET_ERRORS = new Set(["response_cancel_not_active", "item_create_duplicate_item_id"]);

/**
 * Emits, as `detail`: `added` {item}, `text` {item, delta}, `feeling` {item, expression}, `settled`
 * {item}, `dropped` {item}, `busy` {busy}, `refused` {code, message}.
 */
export class Session extends EventTarget {
  /** @param {import("./realtime.js").RealtimeLink} link the wire */
  constructor(link) {
    super();
    this.link = link;
    this.conversation = null;
    this.#rest();
    link.addEventListener("event", (event) => this.#receive(event.detail));
    link.addEventListener("state", (event) => {
      if (event.detail.name !== "ready") this.#lost();
    });
  }

  /** Whether a reply is asked for or under way. */
  get busy() {
    return this.reply !== null;
  }

  /** Whether words are still to come for the reply that is shown. */
  get thinking() {
    return this.reply !== null && this.reply.text === "";
  }

  /**
   * Talk to a character, carrying on a conversation that may already have words.
   * @param {string} model character id
   * @param {import("./conversation.js").Conversation} conversation its conversation
   */
  open(model, conversation) {
    this.link.close();
    this.conversation = conversation;
    this.link.open(model);
  }

  /** @param {string} text what the user says; a reply under way is interrupted */
  say(text) {
    const item = this.conversation.addUser(text);
    const interrupted = this.reply;
    this.#emit("added", { item });
    if (this.link.state.name !== "ready") return; // told to the server when the link is back
    if (interrupted) {
      this.unsaid.push(item);
      this.stop();
    } else {
      this.#tell(item);
      this.#ask();
    }
  }

  /** Ask the server to stop talking. */
  stop() {
    if (!this.reply || this.stopping) return;
    this.stopping = true;
    this.link.send({ type: "response.cancel", ...(this.responseId && { response_id: this.responseId }) });
    this.stopTimer = setTimeout(() => this.link.renew(), CANCEL_TIMEOUT_MS);
    this.#emit("busy", { busy: true });
  }

  #rest() {
    clearTimeout(this.stopTimer);
    this.reply = null;
    this.responseId = null;
    this.askedAs = null;
    this.stopping = false;
    this.unsaid = [];
    this.clock = { asked: 0, first: 0, last: 0, deltas: 0 };
  }

  #tell(item) {
    this.link.send({ type: "conversation.item.create", item: wireItem(item) });
  }

  #ask() {
    this.reply = this.conversation.openReply();
    this.responseId = null;
    this.stopping = false;
    this.askedAs = `ask_${this.reply.key}`;
    this.clock = { asked: performance.now(), first: 0, last: 0, deltas: 0 };
    this.link.send({ type: "response.create", event_id: this.askedAs });
    this.#emit("added", { item: this.reply });
    this.#emit("busy", { busy: true });
  }

  #receive(event) {
    const handler = HANDLERS[event?.type];
    if (handler && this.conversation) handler.call(this, event);
  }

  /** The server knows nothing of us: tell it all, then ask for the reply that is due. */
  resync() {
    for (const item of this.conversation.asWire()) {
      this.link.send({ type: "conversation.item.create", item });
    }
    if (this.conversation.awaitsReply) this.#ask();
  }

  #lost() {
    const reply = this.reply;
    this.#rest();
    if (!reply) return;
    if (reply.text) this.#settle(reply, "interrupted");
    else {
      this.conversation.drop(reply);
      this.#emit("dropped", { item: reply });
    }
    this.#emit("busy", { busy: false });
  }

  #settle(item, status, note = null) {
    item.status = status;
    item.note = note;
    this.#emit("settled", { item });
  }

  #concerns(event) {
    return this.reply !== null && (!this.responseId || event.response_id === this.responseId);
  }

  /** `response.created`: the reply has a name. */
  started(event) {
    if (this.reply && !this.responseId) this.responseId = event.response?.id ?? null;
  }

  /** `response.output_item.added`: the reply has an item id, which survives a reconnect. */
  itemNamed(event) {
    if (this.#concerns(event) && event.item?.type === "message") this.reply.id = event.item.id;
  }

  /** `response.output_text.delta`: words. */
  words(event) {
    if (!this.#concerns(event) || !event.delta) return;
    const now = performance.now();
    this.clock.first ||= now;
    this.clock.last = now;
    this.clock.deltas += 1;
    this.reply.text += event.delta;
    this.#emit("text", { item: this.reply, delta: event.delta });
  }

  /** `character.expression`: a feeling, ahead of its words. */
  feeling(event) {
    if (!this.#concerns(event) || typeof event.name !== "string") return;
    const expression = {
      name: event.name,
      weight: Number.isFinite(event.weight) ? event.weight : 1,
      offset: Number.isFinite(event.text_offset) ? event.text_offset : Array.from(this.reply.text).length,
    };
    this.reply.expressions.push(expression);
    this.#emit("feeling", { item: this.reply, expression });
  }

  /** `response.done`: the one end of every reply. */
  finished({ response = {} }) {
    if (!this.reply || (this.responseId && response.id !== this.responseId)) return;
    const reply = this.reply;
    const unsaid = this.unsaid;
    reply.metrics = this.#measure(response);
    const failed = response.status === "failed";
    this.#rest();
    if (response.status === "cancelled") this.#settle(reply, "cancelled");
    else if (failed) this.#settle(reply, "interrupted", "failed");
    else this.#settle(reply, "completed", response.status === "incomplete" ? "cut" : null);
    if (failed) this.#emit("refused", response.status_details?.error ?? {});
    this.#emit("busy", { busy: false });
    this.#flush(unsaid);
  }

  /** `error`: tell the user, unless it only says that we were too late. */
  troubled({ error = {} }) {
    if (this.reply && error.event_id === this.askedAs) {
      const { reply, unsaid } = this;
      this.#rest();
      this.#settle(reply, "interrupted", "failed");
      this.#emit("busy", { busy: false });
      this.#flush(unsaid);
    }
    if (!QUIET_ERRORS.has(error.code)) this.#emit("refused", error);
  }

  #flush(items) {
    if (items.length === 0 || this.link.state.name !== "ready") return;
    for (const item of items) this.#tell(item);
    this.#ask();
  }

  #measure(response) {
    const told = response.x_metrics ?? {};
    const { asked, first, last, deltas } = this.clock;
    if (!first) return {};
    const tokens = told.output_tokens ?? response.usage?.output_tokens ?? deltas;
    const seconds = (last - first) / 1000;
    return {
      ttft: told.ttft_ms ?? first - asked,
      tps: told.tokens_per_second ?? (seconds > 0.02 && tokens > 1 ? (tokens - 1) / seconds : undefined),
    };
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

const HANDLERS = {
  "session.created": Session.prototype.resync,
  "response.created": Session.prototype.started,
  "response.output_item.added": Session.prototype.itemNamed,
  "response.output_text.delta": Session.prototype.words,
  "character.expression": Session.prototype.feeling,
  "response.done": Session.prototype.finished,
  error: Session.prototype.troubled,
};
