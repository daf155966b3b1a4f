// Plays a reply: takes `character.v1` events and the time, drives an avatar, and says what was heard.
// No DOM, no clock, no socket: docs/character-v1.md explains the events.
import { mouthFor, shutMouth } from "./avatar.js";

const UNSPOKEN_MS = { action: 700, thought: 900, code: 250 };
const LINGER_MS = 2600; // the last face stays for a moment after the last word

/**
 * @typedef {object} Playback what `character.playback` wants
 * @property {string} item_id the reply's item
 * @property {number} segment_index which segment
 * @property {number} text_end code points of clean text that have been played
 * @property {"started"|"finished"|"interrupted"} state
 */

/**
 * @typedef {object} Piece one segment on its way to the avatar
 * @property {string} responseId
 * @property {string} itemId
 * @property {number} index
 * @property {number} from code points of clean text before it
 * @property {number} to code points up to its end
 * @property {boolean} spoken whether it moves the mouth
 * @property {number} speechMs
 * @property {{name: string, weight: number}|null} expression
 * @property {string|null} motion
 */

/** Plays the segments of replies one after another. */
export class Player {
  /**
   * @param {import("./avatar.js").Avatar} avatar the body that acts
   * @param {{report?: (playback: Playback) => void}} [listener] told of every start and end
   */
  constructor(avatar, { report = () => {} } = {}) {
    this.avatar = avatar;
    this.report = report;
    this.#forget();
  }

  /** Whether a segment is being played or waits for its turn. */
  get playing() {
    return this.piece !== null || this.queue.length > 0;
  }

  /** Whether the avatar still needs time: something plays, or the last face has not gone yet. */
  get restless() {
    return this.playing || this.neutralAt < Infinity;
  }

  /**
   * Take one event; those that are not of `character.v1` are passed over.
   * @param {{type: string} & Record<string, any>} event as it came
   * @param {number} now milliseconds on any clock that only rises
   */
  take(event, now) {
    if (this.silenced.has(event.response_id)) return; // what an interrupted reply still sends
    const key = `${event.item_id}:${event.segment_index}`;
    if (event.type === "character.segment") this.#enqueue(event, now);
    else if (event.type === "character.expression") this.#expect(event, key);
    else if (event.type === "character.motion") this.motions.set(key, event.name);
    else if (event.type === "character.visemes") this.visemes.set(key, event);
    else if (event.type === "character.state") this.#turn(event, now);
  }

  /**
   * Let time pass.
   * @param {number} now milliseconds, on the clock of `take`
   */
  advance(now) {
    while (this.piece && now >= this.startedAt + this.piece.speechMs) {
      const ended = this.startedAt + this.piece.speechMs;
      this.#finish();
      if (this.queue.length > 0) this.#begin(ended);
      else this.neutralAt = ended + LINGER_MS;
    }
    if (!this.piece && this.queue.length > 0) this.#begin(now);
    if (!this.playing && now >= this.neutralAt) this.#relax();
    this.avatar.setMouth(this.#mouth(now));
  }

  /**
   * Stop at once and shut the mouth, as when the user speaks.
   * @param {number} now milliseconds, on the clock of `take`
   * @returns {{item_id: string, text_end: number}|null} what was heard of the reply that was cut
   *   off; null when nothing was
   */
  interrupt(now) {
    this.advance(now);
    const heard = this.heard(now);
    if (heard) {
      this.report({ ...heard, segment_index: (this.piece ?? this.queue[0]).index, state: "interrupted" });
    }
    this.silenced = new Set([this.response, ...[this.piece, ...this.queue].map((piece) => piece?.responseId)]);
    this.silenced.delete(undefined);
    this.#forget();
    this.neutralAt = now + LINGER_MS;
    this.avatar.setMouth(shutMouth());
    return heard;
  }

  /** Forget everything, as when another conversation begins; nothing is reported. */
  reset() {
    this.#forget();
    this.silenced = new Set();
    this.avatar.setMouth(shutMouth());
  }

  /**
   * How much of the reply that is being played has been heard.
   * @param {number} now milliseconds, on the clock of `take`
   * @returns {{item_id: string, text_end: number}|null} null when none is
   */
  heard(now) {
    if (!this.piece) return null;
    const { from, to, speechMs, spoken, itemId } = this.piece;
    const share = spoken && speechMs > 0 ? Math.min(1, Math.max(0, (now - this.startedAt) / speechMs)) : 1;
    return { item_id: itemId, text_end: from + Math.floor((to - from) * share) };
  }

  #forget() {
    /** @type {Piece[]} */
    this.queue = [];
    /** @type {Piece|null} */
    this.piece = null;
    this.startedAt = 0;
    this.neutralAt = Infinity;
    this.response = undefined;
    this.silenced ??= new Set();
    this.motions = new Map();
    this.visemes = new Map();
    this.holds = new Map();
    this.fades = false;
  }

  #enqueue(event, now) {
    const key = `${event.item_id}:${event.index}`;
    const spoken = event.kind === "speech";
    this.response = event.response_id;
    this.queue.push({
      responseId: event.response_id, itemId: event.item_id, index: event.index, from: event.text_start, to: event.text_end, spoken,
      speechMs: spoken ? event.est_speech_ms : UNSPOKEN_MS[event.kind] ?? 0,
      expression: event.expression ?? null, motion: event.motion ?? this.motions.get(key) ?? null,
    });
    this.neutralAt = Infinity;
    if (!this.piece) this.#begin(now);
  }

  // Ahead of the first words the face may change at once; later it waits for its segment.
  #expect(event, key) {
    this.response = event.response_id;
    this.holds.set(key, event.hold);
    if (this.playing) return;
    this.neutralAt = Infinity;
    this.avatar.setExpression(event.name, event.weight);
  }

  #turn(event, now) {
    if (event.response_id !== undefined) this.response = event.response_id;
    this.avatar.attend(event.state === "thinking" ? "thinking" : "user");
    const isOver = event.state === "idle" || event.state === "interrupted";
    if (isOver && !this.restless) this.neutralAt = now + LINGER_MS;
  }

  #begin(at) {
    const piece = this.queue.shift();
    this.piece = piece;
    this.startedAt = at;
    if (piece.expression) this.avatar.setExpression(piece.expression.name, piece.expression.weight);
    else if (this.fades) this.avatar.setExpression("neutral", 1);
    this.fades = this.holds.get(`${piece.itemId}:${piece.index}`) === "segment";
    if (piece.motion) this.avatar.playMotion(piece.motion);
    this.#say(piece, "started", piece.from);
  }

  #finish() {
    const { piece } = this;
    this.piece = null; // whoever is told may ask whether anything plays
    for (const known of [this.motions, this.visemes, this.holds]) known.delete(`${piece.itemId}:${piece.index}`);
    this.#say(piece, "finished", piece.to);
  }

  #relax() {
    this.neutralAt = Infinity;
    this.avatar.setExpression("neutral", 1);
  }

  #say({ itemId, index }, state, textEnd) {
    this.report({ item_id: itemId, segment_index: index, text_end: textEnd, state });
  }

  #mouth(now) {
    const told = this.piece?.spoken && this.visemes.get(`${this.piece.itemId}:${this.piece.index}`);
    if (!told) return shutMouth();
    const passed = now - this.startedAt;
    const at = told.unit === "ms" ? passed : passed / this.piece.speechMs;
    const frame = told.frames.find(([from, to]) => at >= from && at < to);
    return frame ? mouthFor(told.scheme, frame[2], frame[3]) : shutMouth();
  }
}
