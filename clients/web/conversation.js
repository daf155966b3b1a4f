// What has been said: the items of one conversation, as this page knows them. No DOM, no socket.
import { parseTags, withTags } from "./tags.js";

/**
 * @typedef {object} Item
 * @property {string} key stable name inside the page
 * @property {string|null} id item id on the wire
 * @property {"user"|"assistant"} role who speaks
 * @property {string} text clean text
 * @property {"streaming"|"completed"|"cancelled"|"interrupted"} status how it stands
 * @property {Array<{name: string, weight: number, offset: number}>} expressions feelings in it
 * @property {{ttft?: number, tps?: number}} metrics measured for a reply
 * @property {string|null} note why it ended early: `cut`, `failed` or nothing
 * @property {boolean} greeting whether it is the character's opening line
 */

function newId(prefix) {
  const bytes = crypto.getRandomValues(new Uint8Array(10));
  return `${prefix}_${Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("")}`;
}

/** One conversation with one character. */
export class Conversation {
  constructor() {
    /** @type {Item[]} */
    this.items = [];
  }

  /** Whether the user has not said anything yet. */
  get untouched() {
    return !this.items.some((item) => item.role === "user");
  }

  /** Whether the last word is the user's, so that a reply is due. */
  get awaitsReply() {
    return this.items.at(-1)?.role === "user";
  }

  /**
   * @param {string} raw greeting with tags
   * @param {string[]} known expression names
   * @returns {Item}
   */
  greet(raw, known) {
    const { text, expressions } = parseTags(raw, known);
    return this.#add({ role: "assistant", text, expressions, status: "completed", greeting: true, id: newId("item") });
  }

  /** @param {string} text what the user said  @returns {Item} */
  addUser(text) {
    return this.#add({ role: "user", text, status: "completed", id: newId("item") });
  }

  /** @returns {Item} a reply that has no words yet */
  openReply() {
    return this.#add({ role: "assistant", text: "", status: "streaming" });
  }

  /** @param {Item} item what never happened */
  drop(item) {
    this.items = this.items.filter((one) => one !== item);
  }

  /** Forget everything. */
  clear() {
    this.items = [];
  }

  /**
   * The items as `conversation.item.create` wants them, for a server that does not know them.
   * @returns {Array<Record<string, unknown>>}
   */
  asWire() {
    return this.items.filter((item) => item.text && item.status !== "streaming").map(wireItem);
  }

  #add(fields) {
    const item = {
      key: newId("row"), id: null, expressions: [], metrics: {}, note: null, greeting: false, ...fields,
    };
    this.items.push(item);
    return item;
  }
}

/**
 * One item in the wire's form.
 * @param {Item} item item of ours
 * @returns {Record<string, unknown>}
 */
export function wireItem(item) {
  const assistant = item.role === "assistant";
  const text = assistant ? withTags(item.text, item.expressions) : item.text;
  return {
    id: item.id ?? newId("item"),
    type: "message",
    role: item.role,
    status: assistant && item.status !== "completed" ? "incomplete" : "completed",
    content: [{ type: assistant ? "output_text" : "input_text", text }],
  };
}
