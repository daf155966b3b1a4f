// Small movements of head, body and hand, as curves over their own time. No DOM.

/**
 * What a movement adds to the picture: head shift and turn (board units, degrees), body shift, and
 * how far the hand is raised (0 hidden, 1 up) and turned.
 * @typedef {{headX: number, headY: number, headTurn: number, bodyY: number, bow: number, hand: number, handTurn: number}} Move
 */

/** @type {Move} */
const STILL = { headX: 0, headY: 0, headTurn: 0, bodyY: 0, bow: 0, hand: 0, handTurn: 0 };

const wave = (t, times) => Math.sin(t * Math.PI * 2 * times);
const arch = (t) => Math.sin(Math.min(1, Math.max(0, t)) * Math.PI);
const hold = (t, edge) => Math.min(1, t / edge, (1 - t) / edge);
const ease = (t) => t * t * (3 - 2 * t);

/** @type {Record<string, {ms: number, at: (t: number) => Partial<Move>}>} */
const CURVES = {
  nod: { ms: 900, at: (t) => ({ headY: 13 * Math.abs(wave(t, 1)) * (1 - t * 0.4), headTurn: 1.5 * wave(t, 1) }) },
  shake: { ms: 1000, at: (t) => ({ headX: 13 * wave(t, 2) * (1 - t * 0.5), headTurn: -3.5 * wave(t, 2) * (1 - t * 0.5) }) },
  wave: { ms: 1900, at: (t) => ({ hand: ease(hold(t, 0.2)), handTurn: 17 * wave(t, 3) * hold(t, 0.15), headTurn: 3 * arch(t) }) },
  bow: { ms: 1600, at: (t) => ({ bow: ease(hold(t, 0.35)), headY: 34 * ease(hold(t, 0.35)), bodyY: 14 * ease(hold(t, 0.35)) }) },
  jump: { ms: 800, at: (t) => ({ headY: -26 * arch(t) + 9 * arch(t * 6), bodyY: -26 * arch(t) + 9 * arch(t * 6) }) },
  tilt: { ms: 1300, at: (t) => ({ headTurn: 9 * ease(hold(t, 0.3)), headX: 4 * ease(hold(t, 0.3)) }) },
};

/** Movements that the drawn face knows. */
export const MOTIONS = Object.keys(CURVES);

/**
 * How long a movement lasts.
 * @param {string} name movement
 * @returns {number} milliseconds; 0 for one that is not known
 */
export function motionMs(name) {
  return Object.hasOwn(CURVES, name) ? CURVES[name].ms : 0;
}

/**
 * A movement at a moment.
 * @param {string|null} name movement, or none
 * @param {number} ms since it began
 * @returns {Move} nothing at all before and after
 */
export function motionAt(name, ms) {
  const lasts = motionMs(name ?? "");
  if (lasts === 0 || ms < 0 || ms >= lasts) return STILL;
  return { ...STILL, ...CURVES[name].at(ms / lasts) };
}
