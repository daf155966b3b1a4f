// What a feeling looks like: one pose of numbers per expression, and the springs between them.

// eyeUp and eyeLow are the lids' control heights; inner tilts the upper lid at the nose; mouthUp and
// mouthLow are the lips' control heights; corner lifts (negative) or drops the mouth's corners.
const NEUTRAL = {
  browY: 0, browTilt: 0, browCurve: 8, eyeUp: -39, eyeLow: 27, inner: 0, iris: 1,
  mouthW: 15, mouthUp: 6, mouthLow: 7, corner: -1, blush: 0.28, tilt: 0, lift: 0,
  tear: 0, vein: 0, spark: 0, shock: 0,
};

const POSES = {
  neutral: NEUTRAL,
  happy: {
    ...NEUTRAL, browY: -6, browTilt: -2, browCurve: 14, eyeUp: -37, eyeLow: 19, inner: -5, iris: 1.04, mouthW: 25, mouthUp: 5,
    mouthLow: 36, corner: -5, blush: 0.75, tilt: 3, lift: -3, spark: 1,
  },
  relaxed: {
    ...NEUTRAL, browY: 1, browTilt: -4, browCurve: 11, eyeUp: 19, eyeLow: 20, mouthW: 19, mouthUp: 11,
    mouthLow: 12, corner: -4, blush: 0.5, tilt: -5, lift: 3,
  },
  surprised: {
    ...NEUTRAL, browY: -17, browCurve: 18, eyeUp: -47, eyeLow: 31, iris: 0.84, mouthW: 11, mouthUp: -14,
    mouthLow: 20, corner: 2, blush: 0.2, lift: -6, shock: 1,
  },
  sad: {
    ...NEUTRAL, browY: -2, browTilt: -11, browCurve: 4, eyeUp: -29, eyeLow: 25, inner: -9, iris: 1.02,
    mouthW: 13, mouthUp: -7, mouthLow: -5, corner: 4, blush: 0.22, tilt: -3, lift: 6, tear: 1,
  },
  angry: {
    ...NEUTRAL, browY: 7, browTilt: 12, browCurve: 2, eyeUp: -32, eyeLow: 20, inner: 16, iris: 0.9,
    mouthW: 15, mouthUp: -9, mouthLow: -3, corner: 4, blush: 0.45, tilt: 2, lift: 2, vein: 1,
  },
};

// Names that other avatar formats use for the same six feelings.
const ALIASES = {
  joy: "happy", fun: "happy", smile: "happy", excited: "happy", love: "happy", laugh: "happy",
  sorrow: "sad", cry: "sad", lonely: "sad", worried: "sad", anger: "angry", annoyed: "angry",
  surprise: "surprised", shocked: "surprised", calm: "relaxed", sleepy: "relaxed", shy: "relaxed",
};

/**
 * The pose name to draw for an expression name: itself, a known alias, or neutral.
 * @param {string} name expression name from the wire
 * @returns {string}
 */
export function poseName(name) {
  const key = String(name).toLowerCase();
  if (Object.hasOwn(POSES, key)) return key;
  return Object.hasOwn(ALIASES, key) ? ALIASES[key] : "neutral";
}

/**
 * The numbers of an expression at a given strength.
 * @param {string} name expression name
 * @param {number} [weight] 0 (neutral) to 1 (full)
 * @returns {Record<string, number>}
 */
export function poseFor(name, weight = 1) {
  const full = POSES[poseName(name)];
  const share = Math.min(1, Math.max(0, weight));
  const pose = {};
  for (const key of Object.keys(NEUTRAL)) {
    pose[key] = NEUTRAL[key] + (full[key] - NEUTRAL[key]) * share;
  }
  return pose;
}

const STIFFNESS = 150;
const DAMPING = 19;

/** A set of damped springs that carries one pose smoothly into the next. */
export class PoseSprings {
  /** @param {Record<string, number>} pose where to start */
  constructor(pose) {
    this.value = { ...pose };
    this.target = { ...pose };
    this.speed = Object.fromEntries(Object.keys(pose).map((key) => [key, 0]));
  }

  /**
   * Move every spring by `dt` seconds.
   * @param {number} dt seconds since the last call
   * @returns {Record<string, number>} the pose now
   */
  advance(dt) {
    let rest = Math.min(dt, 0.1);
    while (rest > 0) {
      const h = Math.min(rest, 1 / 60);
      for (const key of Object.keys(this.value)) {
        const pull = STIFFNESS * (this.target[key] - this.value[key]) - DAMPING * this.speed[key];
        this.speed[key] += pull * h;
        this.value[key] += this.speed[key] * h;
      }
      rest -= h;
    }
    return this.value;
  }

  /** Jump to the target (reduced motion, still pictures). */
  settle() {
    this.value = { ...this.target };
    for (const key of Object.keys(this.speed)) this.speed[key] = 0;
    return this.value;
  }
}
