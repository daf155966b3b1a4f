// The drawn mouth: blends five shapes over the lips that the feeling has by itself. No DOM.
import { MOUTH_SHAPES } from "./avatar.js";

/**
 * Lips as numbers: half width, control heights of the upper and lower lip, height of the corners
 * (negative lifts them), roundness (0 pointed corners, 1 an oval), and how much teeth and tongue show.
 * @typedef {{w: number, up: number, low: number, corner: number, round: number, teeth: number, tongue: number}} Lips
 */

/** @type {Record<string, Lips>} */
const SPOKEN = {
  aa: { w: 19, up: -15, low: 40, corner: 0, round: 0.55, teeth: 0.75, tongue: 1 },
  ih: { w: 25, up: -3, low: 10, corner: -2, round: 0.15, teeth: 1, tongue: 0 },
  ou: { w: 9.5, up: -14, low: 21, corner: 1, round: 1, teeth: 0, tongue: 0 },
  ee: { w: 23, up: -8, low: 27, corner: -3, round: 0.3, teeth: 1, tongue: 0.55 },
  oh: { w: 12.5, up: -16, low: 30, corner: 1, round: 1, teeth: 0.15, tongue: 0.4 },
};

// Lips take a sound's form before they are as far open as it gets: a soft "ou" is round, too.
const FORMED_BY = 1.6;

/**
 * The lips of a moment.
 * @param {Record<string, number>} pose the feeling's numbers, from `poseFor`
 * @param {import("./avatar.js").Mouth} mouth weights of the five shapes
 * @param {number} talking 0 silent to 1 in the middle of a sentence: a laughing mouth shuts between two sounds
 * @returns {Lips}
 */
export function lipsOf(pose, mouth, talking) {
  const shut = Math.min(1, talking);
  const gap = Math.max(0, pose.mouthLow - pose.mouthUp);
  const rest = {
    w: pose.mouthW * (1 - 0.12 * shut), up: pose.mouthUp * (1 - 0.3 * shut),
    low: pose.mouthUp * (1 - 0.3 * shut) + gap * (1 - 0.82 * shut), corner: pose.corner,
    round: 0, teeth: Math.min(1, gap / 20), tongue: Math.min(1, gap / 24),
  };
  const sum = MOUTH_SHAPES.reduce((total, name) => total + mouth[name], 0);
  const opened = Math.min(1, sum);
  const formed = Math.min(1, sum * FORMED_BY);
  const lips = {};
  for (const key of Object.keys(rest)) {
    const share = key === "up" || key === "low" ? opened : formed;
    lips[key] = rest[key] * (1 - share);
    for (const name of MOUTH_SHAPES) lips[key] += sum > 0 ? (SPOKEN[name][key] * mouth[name] * share) / sum : 0;
  }
  lips.corner += pose.corner * 0.75 * formed * (1 - 0.8 * lips.round); // a smile stays one, but for round lips
  return lips;
}

/**
 * Lips as SVG paths around their own middle.
 * @param {Lips} lips from `lipsOf`
 * @returns {{upper: string, shape: string, teeth: string}} the upper lip's line, the opening, and the upper teeth
 */
export function lipPaths({ w, up, low, corner, round }) {
  const n = (value) => value.toFixed(2);
  const bottom = Math.max(low, up);
  const swell = round * 0.55; // corners turn from a point into the side of an oval
  const side = (bottom - up) * 0.3 * round;
  const hx = w * (0.57 + swell);
  const upper = `M${n(-w)} ${n(corner)}C${n(-hx)} ${n(up - side * 0.2)} ${n(hx)} ${n(up - side * 0.2)} ${n(w)} ${n(corner)}`;
  const shape = `${upper}C${n(w * (0.6 + swell))} ${n(bottom)} ${n(-w * (0.6 + swell))} ${n(bottom)} ${n(-w)} ${n(corner)}Z`;
  const edge = corner + (up - corner) * 0.75 + 5.5;
  const teeth = `M${n(-w)} ${n(Math.min(corner, up) - 30)}H${n(w)}V${n(edge - 2)}Q0 ${n(edge + 3)} ${n(-w)} ${n(edge - 2)}Z`;
  return { upper, shape, teeth };
}
