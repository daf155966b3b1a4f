// The drawn face, an `Avatar`: an SVG rig whose springs follow the feeling, gaze, breath and speech.
import { completeAvatar } from "../color.js";
import { calm, svg } from "../dom.js";
import { MOUTH_SHAPES, shutMouth } from "./avatar.js";
import { PoseSprings, poseFor, poseName } from "./expressions.js";
import { backHair, body, frontHair, head, robotShell, shadesOf } from "./face_art.js";
import { handOf, humanFeatures, marksOf, robotFeatures } from "./face_features.js";
import { lipPaths, lipsOf } from "./lips.js";
import { motionAt, motionMs } from "./motions.js";

const GAZES = { user: [0, 0, 2.4], typing: [7, 8, 1.4], thinking: [-8, -9, 0.9] };
let serial = 0;

function lids(pose, blink) {
  const low = pose.eyeLow;
  const shut = Math.min(low, 14);
  const up = pose.eyeUp + (shut - pose.eyeUp) * blink;
  const inner = up + pose.inner * (1 - blink);
  const outer = up - pose.inner * 0.35 * (1 - blink);
  const bottom = low + (shut - low) * blink * 0.5;
  const upper = `M-25 5C-17 ${inner} 15 ${outer} 26 1`;
  return { upper, lower: `M-25 5C-15 ${bottom} 17 ${bottom} 26 1`, shape: `${upper}C17 ${bottom} -15 ${bottom} -25 5Z` };
}

function place(node, transform) {
  node.setAttribute("transform", transform);
}

/**
 * One drawn face. Create it, put `element` on the page, tell it what to feel and call `advance`.
 * @implements {import("./avatar.js").Avatar}
 */
export class Face {
  /**
   * @param {{id: string, avatar?: Record<string, unknown>}} character whose face
   * @param {{still?: boolean}} [options] `still` draws one picture and never moves
   */
  constructor(character, { still = false } = {}) {
    this.still = still;
    this.avatar = completeAvatar(character.id, character.avatar);
    this.pose = new PoseSprings(poseFor("neutral"));
    this.expression = "neutral";
    this.gaze = { x: 0, y: 0, toX: 0, toY: 0, hold: 1 };
    this.blink = { wait: 2, phase: 0 };
    this.squint = 0;
    this.mouth = shutMouth(); // as it is drawn
    this.shape = shutMouth(); // as it was told
    this.talking = 0;
    this.motion = { name: null, ms: 0 };
    this.attention = "user";
    this.time = Math.random() * 9;
    this.element = this.#build(`face${(serial += 1)}`);
    this.draw();
  }

  /**
   * Change the feeling; the face moves there by itself.
   * @param {string} name expression name
   * @param {number} [weight] strength, 0 to 1
   */
  setExpression(name, weight = 1) {
    if (name !== this.expression && poseName(name) === "happy") this.squint = 1.5 * weight;
    this.expression = name;
    this.pose.target = poseFor(name, weight);
    this.element.dataset.expression = name;
    this.element.dataset.weight = String(weight);
    if (this.still || calm.matches) {
      this.pose.settle();
      this.draw();
    }
  }

  /** @param {import("./avatar.js").Mouth} mouth what the mouth says now */
  setMouth(mouth) {
    this.shape = mouth;
  }

  /** @param {string} name a movement; one that is not known is passed over */
  playMotion(name) {
    if (motionMs(name) > 0) this.motion = { name, ms: 0 };
  }

  /** @param {"user"|"typing"|"thinking"} where what the eyes are on */
  attend(where) {
    if (where !== this.attention) this.gaze.hold = 0;
    this.attention = where;
  }

  /**
   * Let time pass and draw.
   * @param {number} dt seconds
   */
  advance(dt) {
    if (calm.matches) {
      this.pose.settle();
      this.draw();
      return;
    }
    this.time += dt;
    this.pose.advance(dt);
    this.motion.ms += dt * 1000;
    this.#look(dt);
    this.#flutter(dt);
    this.#speak(dt);
    this.draw();
  }

  /** Write the current numbers into the picture. */
  draw() {
    const p = this.pose.value;
    const moving = !this.still && !calm.matches;
    const breath = moving ? Math.sin(this.time * 1.7) : 0;
    const sway = moving ? Math.sin(this.time * 0.61) * 1.1 + (this.mouth.aa + this.mouth.oh) * 0.6 : 0;
    const move = motionAt(moving ? this.motion.name : null, this.motion.ms);
    const turn = p.tilt + sway + this.gaze.x * 0.12 + move.headTurn;
    const x = this.gaze.x * 0.35 + move.headX;
    const y = p.lift + breath * 1.5 + this.gaze.y * 0.3 + move.headY;
    const squash = 1 - move.bow * 0.06;
    place(this.parts.head, `translate(${x} ${y}) rotate(${turn} 200 320) translate(0 ${320 * (1 - squash)}) scale(1 ${squash})`);
    place(this.parts.back, `translate(${x * 0.5} ${p.lift * 0.7 + breath * 1.3 + move.headY * 0.9}) rotate(${turn * 0.85} 200 320)`);
    place(this.parts.body, `translate(0 ${3 + breath * 2.2 + move.bodyY})`);
    place(this.parts.hand, `translate(338 ${560 - move.hand * 178}) rotate(${12 + move.handTurn})`);
    this.parts.hand.setAttribute("opacity", Math.min(1, move.hand * 4).toFixed(2));
    const shut = this.blink.phase > 0 ? Math.sin(Math.min(1, this.blink.phase) * Math.PI) : 0;
    if (this.robot) this.#drawRobot(p, shut);
    else this.#drawHuman(p, shut);
    for (const [name, node] of Object.entries(this.parts.marks)) {
      node.setAttribute("opacity", Math.max(0, Math.min(1, p[name])).toFixed(2));
    }
  }

  #drawHuman(p, shut) {
    const squint = Math.min(1, Math.max(0, this.squint)) * p.spark;
    const lid = { ...p, eyeUp: p.eyeUp + (-26 - p.eyeUp) * squint, eyeLow: p.eyeLow + (-17 - p.eyeLow) * squint };
    const { upper, lower, shape } = lids(lid, shut * (1 - squint));
    for (const eye of this.parts.eyes) {
      eye.white.setAttribute("d", shape);
      eye.clip.setAttribute("d", shape);
      eye.lash.setAttribute("d", upper);
      eye.under.setAttribute("d", lower);
      const x = this.gaze.x * eye.side;
      eye.iris.setAttribute("transform", `translate(${x + 1} ${this.gaze.y}) scale(${p.iris})`);
      eye.brow.setAttribute("d", `M-25 ${-44 + p.browY + p.browTilt}Q0 ${-46 + p.browY - p.browCurve} 27 ${-41 + p.browY - p.browTilt}`);
    }
    this.#drawMouth(lipsOf(p, this.mouth, this.talking));
    for (const node of this.parts.blush) node.setAttribute("opacity", Math.max(0, p.blush).toFixed(2));
  }

  #drawRobot(p, shut) {
    const open = Math.max(0.06, (p.eyeLow - p.eyeUp) / 66) * (1 - shut * 0.92);
    const arc = Math.min(1, Math.max(0, p.spark));
    for (const eye of this.parts.eyes) {
      const h = 21 * open * (1 - arc * 0.75);
      const top = -h + p.inner * 0.5;
      const bend = 26 * arc;
      eye.glow.setAttribute("d", `M-15 ${top + bend * 0.4}C-9 ${-h - bend * 0.6} 9 ${-h - bend * 0.6} 15 ${-h - p.inner * 0.2 + bend * 0.4}V${h * 0.8 + bend * 0.2}C9 ${h - bend * 0.5} -9 ${h - bend * 0.5} -15 ${h * 0.8 + bend * 0.2}Z`);
      eye.glow.setAttribute("transform", `translate(${this.gaze.x * eye.side} ${this.gaze.y})`);
      eye.brow.setAttribute("d", `M-15 ${-34 + p.browY * 0.6 + p.browTilt * 0.8}L15 ${-34 + p.browY * 0.6 - p.browTilt * 0.5}`);
      eye.brow.setAttribute("opacity", Math.min(1, Math.abs(p.browTilt) / 10).toFixed(2));
    }
    const lips = lipsOf(p, this.mouth, this.talking);
    this.parts.mouth.setAttribute("d", lipPaths({ ...lips, w: lips.w * 0.95, low: lips.low * 0.7, up: lips.up * 0.7 }).shape);
    for (const node of this.parts.blush) node.setAttribute("opacity", Math.max(0, p.blush - 0.3).toFixed(2));
  }

  #drawMouth(lips) {
    const { mouth, mouthClip, outline, lip, teeth, tongue } = this.parts;
    const paths = lipPaths(lips);
    for (const node of [mouth, mouthClip, outline]) node.setAttribute("d", paths.shape);
    lip.setAttribute("d", paths.upper);
    teeth.setAttribute("d", paths.teeth);
    teeth.setAttribute("opacity", Math.max(0, Math.min(1, lips.teeth)).toFixed(2));
    tongue.setAttribute("cy", (lips.low * 0.72 + 4).toFixed(2));
    tongue.setAttribute("rx", Math.max(0, lips.w * 0.8).toFixed(2));
    tongue.setAttribute("opacity", Math.max(0, Math.min(1, lips.tongue)).toFixed(2));
  }

  // Lips follow a shape within a few hundredths of a second; a sentence keeps them ready between two.
  #speak(dt) {
    const follow = 1 - Math.exp(-dt * 24);
    let told = 0;
    for (const name of MOUTH_SHAPES) {
      told += this.shape[name];
      this.mouth[name] += (this.shape[name] - this.mouth[name]) * follow;
    }
    this.talking = told > 0 ? 1 : Math.max(0, this.talking - dt / 0.45);
    const loudest = MOUTH_SHAPES.reduce((best, name) => (this.mouth[name] > this.mouth[best] ? name : best));
    this.parts.mouthGroup.dataset.shape = this.mouth[loudest] > 0.3 ? loudest : "shut";
    this.parts.mouthGroup.dataset.strength = this.mouth[loudest].toFixed(1);
  }

  #look(dt) {
    const g = this.gaze;
    g.hold -= dt;
    if (g.hold <= 0) {
      const wander = () => (Math.random() - 0.5) * 2;
      const home = GAZES[this.attention];
      const roam = this.attention === "user" ? 4.5 : 2.5;
      g.toX = home[0] + wander() * roam;
      g.toY = home[1] + wander() * roam * 0.5;
      g.hold = home[2] * (0.5 + Math.random());
    }
    const follow = 1 - Math.exp(-dt * 14);
    g.x += (g.toX - g.x) * follow;
    g.y += (g.toY - g.y) * follow;
  }

  #flutter(dt) {
    this.squint = Math.max(0, this.squint - dt);
    const b = this.blink;
    if (b.phase > 0) {
      b.phase += dt / 0.17;
      if (b.phase >= 1) b.phase = 0;
    } else if ((b.wait -= dt) <= 0) {
      b.phase = 0.01;
      b.wait = Math.random() < 0.15 ? 0.25 : 2 + Math.random() * 3.5;
    }
  }

  #build(uid) {
    const shade = shadesOf(this.avatar);
    this.robot = this.avatar.style === "robot";
    const style = this.avatar.style;
    const shell = this.robot ? robotShell(shade) : null;
    const defs = svg("defs");
    const features = this.robot ? robotFeatures(shade) : humanFeatures(shade, uid, defs);
    const marks = marksOf(shade);
    this.parts = { ...features.parts, marks };
    this.parts.back = svg("g", {}, shell ? shell.back : backHair(style, shade));
    this.parts.body = svg("g", {}, shell ? shell.torso : body(style, shade));
    this.parts.hand = handOf(shade, this.robot);
    this.parts.head = svg(
      "g", {}, shell ? shell.front : head(shade), ...features.under,
      ...(shell ? [] : [frontHair(style, shade)]), ...features.over, ...Object.values(marks),
    );
    return svg(
      "svg",
      { viewBox: "0 0 400 460", class: "face", "data-expression": "neutral", role: "img" },
      defs, this.parts.back, this.parts.body, this.parts.head, this.parts.hand,
    );
  }
}
