// What has been said: the items of one conversation, as this page knows them. No DOM, no socket.
import { withTags } from "./tags.js";

/**
 * @typedef {object} Item
 * @property {string} key stable name inside the page
 * @property {string|null} id item id on the wire
 * @property {"user"|"assistant"|"note"} role who speaks; a note is the page's own, of the model's memory
 * @property {string} text clean text
 * @property {"streaming"|"completed"|"cancelled"|"interrupted"} status how it stands
 * @property {Array<{name: string, weight: number, offset: number}>} expressions feelings in it
 * @property {Array<{index: number, from: number, to: number, kind: string}>} segments pieces of it, in code points
 * @property {number|null} heard code points that were heard of it, where it was cut off
 * @property {{ttft?: number, tps?: number}} metrics measured for a reply
 * @property {string|null} note why it ended early: `cut`, `failed` or nothing; of a note, its kind
 * @property {boolean} greeting whether it is the character's opening line
 */

function newId(prefix) {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  return `${prefix}_${Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("")}`;
}

/** One conversation with one character. */
export class Conversation {
  constructor() {
    this.clear();
  }

  /** Whether the user has not said anything yet. */
  get untouched() {
    return !this.items.some((item) => item.role === "user");
  }

  /** Whether the last word is the user's, so that a reply is due. */
  get awaitsReply() {
    return this.items.findLast((item) => item.role !== "note")?.role === "user";
  }

  /** @param {string} text what the user said  @returns {Item} */
  addUser(text) {
    return this.#add({ role: "user", text, status: "completed", id: newId("item") });
  }

  /**
   * @param {"compacted"|"summarised"|"noted"} op what became of the model's memory
   * @param {string} text the summary, or what came up
   * @returns {Item}
   */
  addNote(op, text) {
    return this.#add({ role: "note", text, status: "completed", note: op });
  }

  /**
   * @param {boolean} [greeting] whether it is the character's opening line
   * @returns {Item} a reply that has no words yet
   */
  openReply(greeting = false) {
    return this.#add({ role: "assistant", text: "", status: "streaming", greeting });
  }

  /**
   * Note how much was heard of a reply; the rest is not told to the model again.
   * @param {string} id item id on the wire
   * @param {number} textEnd code points
   * @returns {Item|undefined} the item, where there is one
   */
  cut(id, textEnd) {
    const item = this.items.find((one) => one.id === id);
    if (item) item.heard = textEnd;
    return item;
  }

  /** @param {Item} item what never happened */
  drop(item) {
    this.items = this.items.filter((one) => one !== item);
  }

  /** Forget everything. */
  clear() {
    /** @type {Item[]} */
    this.items = [];
    /** What the model reads in the place of turns that it does not read any more. */
    this.summary = "";
  }

  /**
   * Take over what another page has kept of a conversation.
   * @param {{items: Item[], summary: string}} kept its items and summary
   * @returns {Conversation}
   */
  static of({ items, summary }) {
    return Object.assign(new Conversation(), { items, summary });
  }

  /**
   * The items as `conversation.item.create` wants them, for a server that does not know them.
   * @returns {Array<Record<string, unknown>>}
   */
  asWire() {
    const told = this.items.filter((item) => item.role !== "note" && item.status !== "streaming");
    return told.filter((item) => heardText(item) !== "").map(wireItem);
  }

  #add(fields) {
    const item = {
      key: newId("row"), id: null, expressions: [], segments: [], heard: null, metrics: {}, note: null,
      greeting: false, ...fields,
    };
    this.items.push(item);
    return item;
  }
}

function heardText(item) {
  return item.heard === null ? item.text : Array.from(item.text).slice(0, item.heard).join("");
}

/**
 * One item in the wire's form.
 * @param {Item} item item of ours
 * @returns {Record<string, unknown>}
 */
export function wireItem(item) {
  const assistant = item.role === "assistant";
  const text = assistant ? withTags(heardText(item), item.expressions) : item.text;
  const whole = item.status === "completed" && item.heard === null;
  return {
    id: item.id ?? newId("item"),
    type: "message",
    role: item.role,
    status: assistant && !whole ? "incomplete" : "completed",
    content: [{ type: assistant ? "output_text" : "input_text", text }],
  };
}
