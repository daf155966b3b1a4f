// Timing of the performance: walks through the words at speaking pace, says when a feeling is due
// and what shape the mouth has. Text may arrive far faster than a face can act. No DOM, no clock.

const WIDE_PER_S = 11; // kana, kanji, hangul
const NARROW_PER_S = 26; // letters
const MAX_LAG_S = 2.2;

const SHAPES = {
  a: { open: 1, wide: 1 }, i: { open: 0.35, wide: 1.15 }, u: { open: 0.4, wide: 0.62 },
  e: { open: 0.6, wide: 1.05 }, o: { open: 0.85, wide: 0.72 }, n: { open: 0.18, wide: 0.95 },
};
const SHUT = { open: 0, wide: 1 };
const VOWELS = ["a", "i", "u", "e", "o"];
const KANA = {
  a: "あかさたなはまやらわがざだばぱぁゃ", i: "いきしちにひみりぎじぢびぴぃ",
  u: "うくすつぬふむゆるぐずづぶぷぅゅっ", e: "えけせてねへめれげぜでべぺぇ",
  o: "おこそとのほもよろをごぞどぼぽぉょ", n: "ん",
};
const KANA_VOWEL = new Map(
  Object.entries(KANA).flatMap(([vowel, all]) => Array.from(all, (kana) => [kana, vowel])),
);

function isWide(char) {
  return char.codePointAt(0) >= 0x2e80;
}

/**
 * The mouth's shape for one character of text.
 * @param {string} char one code point
 * @returns {{open: number, wide: number}}
 */
export function visemeOf(char) {
  const low = char.toLowerCase();
  if (Object.hasOwn(SHAPES, low)) return SHAPES[low];
  if (/[mbp]/.test(low)) return SHUT;
  if (/[a-zà-ÿ]/.test(low)) return SHAPES.n;
  let kana = char;
  const code = char.codePointAt(0);
  if (code >= 0x30a1 && code <= 0x30f6) kana = String.fromCodePoint(code - 0x60);
  if (KANA_VOWEL.has(kana)) return SHAPES[KANA_VOWEL.get(kana)];
  if (code >= 0x3400 && code <= 0xd7a3) return SHAPES[VOWELS[code % 5]];
  return char === "ー" ? SHAPES.a : SHUT;
}

/** Follows one reply, from its first word to its last. */
export class Performer {
  constructor() {
    this.begin();
  }

  /** Forget the last reply and start on an empty one. */
  begin() {
    this.chars = [];
    this.marks = [];
    this.position = 0;
    this.ended = false;
  }

  /** @param {string} text words that have arrived */
  push(text) {
    for (const char of text) this.chars.push(char);
  }

  /**
   * Note a feeling that begins at a place in the text.
   * @param {number} offset code points into the clean text
   * @param {string} name expression name
   * @param {number} [weight] strength
   */
  mark(offset, name, weight = 1) {
    this.marks.push({ offset, name, weight });
  }

  /** The text is complete; the performance may still be under way. */
  finish() {
    this.ended = true;
  }

  /**
   * Stop at once, as when interrupted.
   * @returns {{name: string, weight: number}|null} the last feeling that was due
   */
  cut() {
    this.position = this.chars.length;
    this.ended = true;
    return this.#due();
  }

  /**
   * Walk on.
   * @param {number} dt seconds since the last call
   * @returns {{speaking: boolean, shape: {open: number, wide: number},
   *   expression: {name: string, weight: number}|null}}
   */
  advance(dt) {
    const ahead = this.chars.length - this.position;
    if (ahead > 0) {
      const next = this.chars[Math.floor(this.position)];
      const pace = isWide(next) ? WIDE_PER_S : NARROW_PER_S;
      const hurry = Math.max(1, ahead / (pace * MAX_LAG_S));
      this.position = Math.min(this.chars.length, this.position + pace * hurry * dt);
    }
    const speaking = this.position < this.chars.length;
    const char = this.chars[Math.min(this.chars.length - 1, Math.floor(this.position))];
    return {
      speaking,
      shape: speaking && char ? visemeOf(char) : SHUT,
      expression: this.#due(),
    };
  }

  #due() {
    let latest = null;
    while (this.marks.length > 0 && this.marks[0].offset <= this.position) {
      latest = this.marks.shift();
    }
    return latest;
  }
}
