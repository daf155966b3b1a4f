// A VRM 1.0 model as a body for Kaiwa's player: maps the `Avatar` interface to @pixiv/three-vrm.
//
//   const vrm = gltf.userData.vrm;                       // loaded with VRMLoaderPlugin
//   const avatar = new VrmAvatar(vrm);
//   const player = new Player(avatar, { report });       // clients/web/avatar/player.js
//   socket.onmessage = ({ data }) => player.take(JSON.parse(data), performance.now());
//   function frame(seconds) { player.advance(performance.now()); avatar.advance(seconds); vrm.update(seconds); }
//
// It needs no import: everything goes through the model that it is given, so any object with the
// same few members will do.

const MOUTH = ["aa", "ih", "ou", "ee", "oh"];
const FACES = ["happy", "angry", "sad", "relaxed", "surprised"]; // VRM 1.0; neutral is none of them
const FACE_S = 0.12; // how fast a face comes and goes
const MOUTH_S = 0.045; // how fast lips follow

// Head and spine turns in radians at `t` from 0 to 1; bones are three-vrm's normalized ones.
const MOTIONS = {
  nod: { seconds: 0.9, bones: (t) => ({ head: [0.3 * Math.abs(Math.sin(t * 2 * Math.PI)), 0, 0] }) },
  shake: { seconds: 1, bones: (t) => ({ head: [0, 0.35 * Math.sin(t * 4 * Math.PI) * (1 - t / 2), 0] }) },
  bow: { seconds: 1.6, bones: (t) => ({ spine: [0.5 * Math.sin(t * Math.PI), 0, 0] }) },
  wave: { seconds: 1.9, bones: (t) => ({ rightUpperArm: [0, 0, 2.2 * Math.sin(t * Math.PI)], rightHand: [0, 0.4 * Math.sin(t * 6 * Math.PI), 0] }) },
};

/**
 * Drives one VRM.
 * @implements {import("../../clients/web/avatar/avatar.js").Avatar}
 */
export class VrmAvatar {
  /**
   * @param {{expressionManager: {setValue: (name: string, weight: number) => void},
   *   humanoid?: {getNormalizedBoneNode: (name: string) => ({rotation: {set: (x: number, y: number, z: number) => void}}|null)},
   *   lookAt?: {target: unknown}}} vrm the model
   * @param {{user?: unknown, away?: unknown}} [targets] what the eyes follow; three.js objects
   */
  constructor(vrm, targets = {}) {
    this.vrm = vrm;
    this.targets = targets;
    this.face = { name: "neutral", weight: 1 };
    this.mouth = {};
    this.shown = Object.fromEntries([...FACES, ...MOUTH, "blink"].map((name) => [name, 0]));
    this.motion = null;
    this.blinkIn = 3;
  }

  /** @param {string} name a preset, or one of the model's own @param {number} weight above 0, at most 1 */
  setExpression(name, weight) {
    this.face = { name, weight };
    this.shown[name] ??= 0;
  }

  /** @param {import("../../clients/web/avatar/avatar.js").Mouth} mouth weights of the five shapes */
  setMouth(mouth) {
    this.mouth = mouth;
  }

  /** @param {string} name one of `MOTIONS`; others are passed over */
  playMotion(name) {
    if (Object.hasOwn(MOTIONS, name)) this.motion = { ...MOTIONS[name], at: 0 };
  }

  /** @param {"user"|"typing"|"thinking"} where what the eyes are on */
  attend(where) {
    if (this.vrm.lookAt) this.vrm.lookAt.target = where === "thinking" ? this.targets.away : this.targets.user;
  }

  /**
   * Let time pass; call it before `vrm.update`.
   * @param {number} seconds since the last call
   */
  advance(seconds) {
    const spoken = MOUTH.reduce((sum, name) => sum + (this.mouth[name] ?? 0), 0);
    for (const name of Object.keys(this.shown)) {
      if (name === "blink" || name === "neutral") continue;
      const isMouth = MOUTH.includes(name);
      // A wide smile and an open vowel add up to a broken jaw: the face gives way while one speaks.
      const room = 1 - 0.35 * Math.min(1, spoken);
      const wanted = isMouth ? this.mouth[name] ?? 0 : name === this.face.name ? this.face.weight * room : 0;
      const follow = 1 - Math.exp(-seconds / (isMouth ? MOUTH_S : FACE_S));
      this.#set(name, this.shown[name] + (wanted - this.shown[name]) * follow);
    }
    this.#blink(seconds);
    this.#move(seconds);
  }

  #set(name, weight) {
    this.shown[name] = weight;
    this.vrm.expressionManager.setValue(name, weight);
  }

  #blink(seconds) {
    this.blinkIn -= seconds;
    if (this.blinkIn < -0.16) this.blinkIn = 2 + Math.random() * 4;
    this.#set("blink", this.blinkIn < 0 ? Math.sin(Math.min(1, -this.blinkIn / 0.16) * Math.PI) : 0);
  }

  #move(seconds) {
    if (!this.motion) return;
    this.motion.at = Math.min(1, this.motion.at + seconds / this.motion.seconds);
    for (const [bone, turn] of Object.entries(this.motion.bones(this.motion.at))) {
      this.vrm.humanoid?.getNormalizedBoneNode(bone)?.rotation.set(...turn);
    }
    if (this.motion.at === 1) this.motion = null;
  }
}
