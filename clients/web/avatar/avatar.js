// What a body must be able to do for the player, and the five mouth shapes that all bodies share.

/**
 * Weights of the five VRM 1.0 mouth shapes, 0 to 1 each; all 0 is a shut mouth.
 * @typedef {{aa: number, ih: number, ou: number, ee: number, oh: number}} Mouth
 */

/**
 * A body for a character: a drawn face, a VRM or a Live2D model. The player calls it and nothing
 * else does; blinking, breathing and every transition are the body's own affair.
 * @typedef {object} Avatar
 * @property {(name: string, weight: number) => void} setExpression the face from now on: `neutral`,
 *   a VRM preset or a name that the client declared; weight above 0, at most 1
 * @property {(mouth: Mouth) => void} setMouth the mouth now, told every frame while one speaks
 * @property {(name: string) => void} playMotion begin a movement that ends by itself
 * @property {(where: "user"|"typing"|"thinking") => void} attend what the eyes are on
 */

/** Names of the five mouth shapes. */
export const MOUTH_SHAPES = ["aa", "ih", "ou", "ee", "oh"];

/** Expression presets of VRM 1.0, which every body should know. */
export const PRESETS = ["neutral", "happy", "relaxed", "surprised", "sad", "angry"];

// The fifteen Oculus shapes as shares of the five; `sil` and `PP` are a shut mouth.
const OCULUS = {
  sil: {}, PP: {}, FF: { ih: 0.25 }, TH: { ih: 0.35 }, DD: { ih: 0.4 }, kk: { ih: 0.35, aa: 0.1 },
  CH: { ou: 0.45 }, SS: { ee: 0.3 }, nn: { ih: 0.3 }, RR: { oh: 0.35 },
  aa: { aa: 1 }, E: { ee: 1 }, I: { ih: 1 }, O: { oh: 1 }, U: { ou: 1 },
  ih: { ih: 1 }, ou: { ou: 1 }, oh: { oh: 1 },
};

/** @returns {Mouth} a shut mouth, to be changed by the caller */
export function shutMouth() {
  return { aa: 0, ih: 0, ou: 0, ee: 0, oh: 0 };
}

/**
 * One viseme as weights of the five shapes.
 * @param {"vrm1"|"oculus"} scheme which names `shape` is of
 * @param {string} shape a shape's name; an unknown one shuts the mouth
 * @param {number} weight 0 to 1
 * @returns {Mouth}
 */
export function mouthFor(scheme, shape, weight) {
  const shares = scheme === "oculus" && Object.hasOwn(OCULUS, shape) ? OCULUS[shape] : { [shape]: 1 };
  const mouth = shutMouth();
  for (const name of MOUTH_SHAPES) mouth[name] = Math.min(1, Math.max(0, (shares[name] ?? 0) * weight));
  return mouth;
}
