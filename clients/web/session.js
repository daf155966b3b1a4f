// The talk itself: turns user actions and server events into changes of one conversation. No DOM.
import { wireItem } from "./conversation.js";

const CANCEL_TIMEOUT_MS = 5000;
const GREET = "greet";
const QUIET_ERRORS = new Set([
  "response_cancel_not_active", "item_create_duplicate_item_id", "session_not_resumed", "turn_already_running",
  "api_key_ended", // the close that follows says it
]);

/**
 * @typedef {object} Reply one reply that has not ended
 * @property {import("./conversation.js").Item} item
 * @property {string|null} ask our name for it; none for what nobody here asked for
 * @property {string|null} id the server's name for it, once there is one
 * @property {boolean} cut whether the user has spoken over it: another reply is the one to wait for
 * @property {boolean} silent whether it is not played any more
 * @property {{asked: number, first: number, last: number, deltas: number}} clock
 */

/**
 * @typedef {object} Luggage what the next page needs to go on where this one was
 * @property {import("./realtime.js").WayBack|null} way back to the session
 * @property {object[]} replies that have not ended, each with its item's key
 * @property {string[]} known ids of items that the server has acknowledged
 */

/**
 * Emits, as `detail`: `added` {item}, `text` {item, delta}, `segment` {item}, `act` {event} (of
 * `character.v1`, to be played), `heard` {item}, `settled` {item}, `dropped` {item}, `busy` {busy},
 * `character` {character}, `refused` {code, message}.
 */
export class Session extends EventTarget {
  /**
   * @param {import("./realtime.js").RealtimeLink} link the wire
   * @param {() => {character: Record<string, unknown>, greet: Record<string, unknown>|null}} profile
   *   what a new session is told: the extension's block, and which greeting to say, if any
   */
  constructor(link, profile) {
    super();
    this.link = link;
    this.profile = profile;
    this.conversation = null;
    /** @type {Reply[]} */
    this.replies = [];
    this.stopping = false;
    this.known = new Set(); // ids of items that the server has acknowledged
    this.missed = 0; // events that are still told again, after a return
    link.addEventListener("event", (event) => this.#receive(event.detail));
    link.addEventListener("state", (event) => {
      if (event.detail.name !== "ready" && !link.resumable) this.#lost();
    });
  }

  /** Whether a reply is asked for or under way. */
  get busy() {
    return this.replies.some((reply) => !reply.cut);
  }

  /**
   * Talk to a character, carrying on a conversation that may already have words.
   * @param {string} model character id
   * @param {import("./conversation.js").Conversation} conversation its conversation
   * @param {Luggage|null} [luggage] of the page that had this conversation before
   */
  open(model, conversation, luggage = null) {
    this.link.close();
    this.conversation = conversation;
    this.link.open(model, luggage?.way); // which hangs up, and ends what ran here before
    if (luggage) this.#unpack(luggage);
  }

  /** @returns {Luggage} what another page needs to go on here */
  get luggage() {
    const replies = this.replies.map(({ item, clock, ...rest }) => ({ ...rest, key: item.key }));
    return { way: this.link.wayBack, replies, known: [...this.known] };
  }

  /**
   * Say something; a reply under way is interrupted in the same frame that asks for the next.
   * @param {string} text what the user says
   * @param {string|null} voiced item id of the reply that the face still spoke; null where it did not
   */
  say(text, voiced = null) {
    const item = this.conversation.addUser(text);
    this.#emit("added", { item });
    const heard = this.#read(voiced);
    if (!this.link.accepts) return; // told to the server when the link is back, or to the next server
    const interrupts = this.busy;
    for (const reply of this.replies) reply.cut = reply.silent = true;
    this.#tell(item);
    this.#ask(interrupts ? { if_active: "interrupt", ...(heard && { heard }) } : null);
  }

  /**
   * Ask the server to stop talking.
   * @param {string|null} voiced item id of the reply that the face still spoke; null where it did not
   */
  stop(voiced = null) {
    if (this.stopping) return;
    const heard = this.#read(voiced);
    if (heard) this.report({ ...heard, state: "interrupted" });
    if (!this.busy) return;
    this.stopping = true;
    for (const reply of this.replies) reply.silent = true;
    const id = this.replies.at(-1).id;
    this.link.send({ type: "response.cancel", ...(id && { response_id: id }) });
    this.stopTimer = setTimeout(() => this.link.renew(), CANCEL_TIMEOUT_MS);
    this.#emit("busy", { busy: true });
  }

  /** @param {object} playback how far a reply has been played, as `character.playback` wants it */
  report(playback) {
    this.link.send({ type: "character.playback", ...playback });
  }

  /** @param {Record<string, unknown>} character change of the extension's block of the session */
  configure(character) {
    this.link.send({ type: "session.update", session: { type: "realtime", character } });
  }

  #tell(item) {
    this.link.send({ type: "conversation.item.create", item: wireItem(item) });
  }

  // This page has no sound. Its words are read, as soon as they are shown, and the mouth only follows. So what
  // is shown has been heard: all words so far of a reply that is still being written, and the whole of one that
  // is complete, wherever the mouth is. Who reads fast and answers at once takes nothing from the model's memory.
  #read(voiced) {
    const written = this.replies.findLast((one) => !one.cut && one.item.id !== null && one.item.text !== "");
    if (written) {
      const heard = { item_id: written.item.id, text_end: Array.from(written.item.text).length };
      this.#emit("heard", { item: this.conversation.cut(heard.item_id, heard.text_end) });
      return heard;
    }
    const item = voiced && this.conversation.items.find((one) => one.id === voiced);
    if (item) this.report({ item_id: voiced, text_end: Array.from(item.text).length, state: "finished" });
    return null;
  }

  #ask(response) {
    const reply = this.#open(this.conversation.openReply());
    reply.ask = `ask_${reply.item.key}`;
    reply.response = response;
    this.stopping = false;
    clearTimeout(this.stopTimer);
    this.#send(reply);
    this.#emit("busy", { busy: true });
  }

  // The name of the turn makes it harmless to ask twice, where the first asking was lost on its way.
  #send({ ask, response }) {
    this.link.send({
      type: "response.create", event_id: ask, response: { metadata: { ask }, turn_id: ask, ...response },
    });
  }

  #unpack({ replies, known }) {
    this.known = new Set(known);
    for (const { key, ...rest } of replies) {
      const item = this.conversation.items.find((one) => one.key === key);
      if (item) this.replies.push({ ...rest, item, clock: newClock() });
    }
    this.#emit("busy", { busy: this.busy });
  }

  #open(item) {
    const reply = { item, ask: null, id: null, cut: false, silent: false, clock: newClock() };
    this.replies.push(reply);
    this.#emit("added", { item });
    return reply;
  }

  #close(reply) {
    this.replies = this.replies.filter((one) => one !== reply);
    if (this.busy) return;
    this.stopping = false;
    clearTimeout(this.stopTimer);
  }

  #receive(event) {
    if (!this.conversation) return;
    this.#take(event);
    if (this.missed > 0 && event?.type !== "session.created") {
      this.missed -= 1;
      if (this.missed === 0) this.#askAgain();
    }
  }

  #take(event) {
    const handler = HANDLERS[event?.type];
    if (handler) handler.call(this, event);
    else if (String(event?.type).startsWith("character.")) this.#act(event);
  }

  // What the user has spoken over is shown as it ends, but not played any more.
  #act(event) {
    const reply = this.#of(event.response_id);
    if (event.type === "character.segment" && reply) {
      const { index, text_start: from, text_end: to, kind } = event;
      reply.item.segments.push({ index, from, to, kind });
      this.#emit("segment", { item: reply.item });
    }
    if (event.type === "character.expression" && reply) {
      reply.item.expressions.push({ name: event.name, weight: event.weight, offset: event.text_offset });
    }
    const isLast = event.type === "character.state" && !reply; // how it ended is told behind its end
    if (event.response_id === undefined || isLast || (reply && !reply.silent)) this.#emit("act", { event });
  }

  #of(id) {
    return this.replies.find((reply) => reply.id !== null && reply.id === id);
  }

  /** `session.created`: the server greets us, for the first time, or again. */
  greeted({ session = {} }) {
    if (session.resume?.resumed) this.#resumed(session);
    else this.#resync(session);
  }

  // The session has waited. What was said meanwhile follows; what got lost on its way there is said again.
  #resumed(session) {
    this.updated({ session });
    this.missed = session.resume.replayed ?? 0;
    if (this.missed === 0) this.#askAgain();
  }

  #askAgain() {
    const unheard = this.conversation.items.filter((item) => item.role === "user" && !this.known.has(item.id));
    for (const item of unheard) this.#tell(item);
    const waiting = this.replies.filter((reply) => reply.id === null && reply.ask !== null && !reply.cut);
    for (const reply of waiting) this.#send(reply);
    if (!this.conversation.awaitsReply) return;
    const interrupts = this.busy; // something was said meanwhile
    for (const reply of this.replies) reply.cut = reply.silent = true;
    this.#ask(interrupts ? { if_active: "interrupt" } : null);
  }

  // The server knows nothing of us. Tell it all, then ask for the reply that is due.
  #resync(session) {
    this.#lost();
    this.missed = 0;
    this.known.clear();
    const { character, greet } = this.profile();
    const { summary } = this.conversation;
    this.configure({ ...character, ...(summary && { memory: { summary } }) });
    this.updated({ session });
    for (const item of this.conversation.asWire()) {
      this.link.send({ type: "conversation.item.create", item });
    }
    if (this.conversation.awaitsReply) this.#ask(null);
    else if (this.conversation.items.length === 0 && greet) {
      this.link.send({ type: "character.greet", event_id: GREET, ...greet });
    }
  }

  /** `session.updated`: who speaks, as the server knows it. */
  updated({ session = {} }) {
    if (session.character) this.#emit("character", { character: session.character });
  }

  /** `response.created`: the reply has a name; one that nobody here asked for begins. */
  started({ response = {} }) {
    const ask = response.metadata?.ask;
    let reply = this.replies.find((one) => one.id === null && one.ask === ask);
    if (!reply) {
      reply = this.#open(this.conversation.openReply(this.conversation.untouched));
      this.#emit("busy", { busy: true });
    }
    reply.id = response.id ?? null;
  }

  /** `conversation.item.added`: the server has it; told again after a gap, it holds what was missed. */
  itemKnown({ item = {} }) {
    this.known.add(item.id);
    const ours = this.conversation.items.find((one) => one.id === item.id);
    const text = item.content?.map((part) => part.text ?? "").join("") ?? "";
    if (!ours || ours.role !== "assistant" || !text.startsWith(ours.text) || text === ours.text) return;
    const delta = text.slice(ours.text.length);
    ours.text = text;
    this.#emit("text", { item: ours, delta });
  }

  /** `response.output_item.added`: the reply has an item id, which survives a reconnect. */
  itemNamed(event) {
    const reply = this.#of(event.response_id);
    if (reply && event.item?.type === "message") reply.item.id = event.item.id;
  }

  /** `response.output_text.delta`: words. */
  words(event) {
    const reply = this.#of(event.response_id);
    if (!reply || !event.delta) return;
    const now = performance.now();
    reply.clock.first ||= now;
    reply.clock.last = now;
    reply.clock.deltas += 1;
    reply.item.text += event.delta;
    this.#emit("text", { item: reply.item, delta: event.delta });
  }

  /** `response.done`: the one end of every reply. */
  finished({ response = {} }) {
    const reply = this.#of(response.id);
    if (!reply) return;
    const failed = response.status === "failed";
    reply.item.metrics = measure(response, reply.clock);
    this.#close(reply);
    if (response.status === "cancelled") this.#settle(reply.item, "cancelled");
    else if (failed) this.#settle(reply.item, "interrupted", "failed");
    else this.#settle(reply.item, "completed", response.status === "incomplete" ? "cut" : null);
    if (failed) this.#emit("refused", response.status_details?.error ?? {});
    this.#emit("busy", { busy: this.busy });
  }

  /** `character.memory`: what the model remembers has changed. */
  remembered({ op, summary, entries = [] }) {
    if (op === "noted" && entries.length === 0) return;
    if (summary !== undefined) this.conversation.summary = summary;
    this.#emit("added", { item: this.conversation.addNote(op, summary ?? entries.join(" · ")) });
  }

  /** `error`: tell the user, unless it only says that we were too late. */
  troubled({ error = {} }) {
    const reply = this.replies.find((one) => one.id === null && one.ask !== null && one.ask === error.event_id);
    if (reply) {
      this.#close(reply);
      this.#settle(reply.item, "interrupted", "failed");
      this.#emit("busy", { busy: this.busy });
    }
    if (!QUIET_ERRORS.has(error.code)) this.#emit("refused", error);
  }

  #lost() {
    const lost = this.replies;
    this.replies = [];
    this.stopping = false;
    clearTimeout(this.stopTimer);
    for (const { item } of lost) {
      if (item.text) this.#settle(item, "interrupted");
      else {
        this.conversation.drop(item);
        this.#emit("dropped", { item });
      }
    }
    if (lost.length > 0) this.#emit("busy", { busy: false });
  }

  #settle(item, status, note = null) {
    item.status = status;
    item.note = note;
    this.#emit("settled", { item });
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function newClock() {
  return { asked: performance.now(), first: 0, last: 0, deltas: 0 };
}

function measure(response, { asked, first, last, deltas }) {
  const told = response.x_metrics ?? {};
  if (!first) return {};
  const tokens = told.output_tokens ?? response.usage?.output_tokens ?? deltas;
  const seconds = (last - first) / 1000;
  return {
    ttft: told.ttft_ms ?? first - asked,
    tps: told.tokens_per_second ?? (seconds > 0.02 && tokens > 1 ? (tokens - 1) / seconds : undefined),
  };
}

const HANDLERS = {
  "session.created": Session.prototype.greeted,
  "conversation.item.added": Session.prototype.itemKnown,
  "session.updated": Session.prototype.updated,
  "response.created": Session.prototype.started,
  "response.output_item.added": Session.prototype.itemNamed,
  "response.output_text.delta": Session.prototype.words,
  "character.memory": Session.prototype.remembered,
  "response.done": Session.prototype.finished,
  error: Session.prototype.troubled,
};
