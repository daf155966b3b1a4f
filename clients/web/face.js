// The character's face: an SVG rig whose springs follow the current feeling, gaze, breath and speech.
import { completeAvatar, mix } from "./color.js";
import { calm, svg } from "./dom.js";
import { PoseSprings, poseFor, poseName } from "./expressions.js";
import { backHair, body, frontHair, head, robotShell, shadesOf } from "./face_art.js";

const EYES = [{ x: 152, side: -1 }, { x: 248, side: 1 }];
const EYE_Y = 226;
const MOUTH_Y = 282;
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

function lips(pose, shape) {
  const w = pose.mouthW * (1 + (shape.wide - 1) * 0.55);
  const up = pose.mouthUp - shape.open * 4;
  const low = Math.max(pose.mouthLow, pose.mouthUp) + shape.open * 24;
  const c = pose.corner;
  const upper = `M${-w} ${c}C${-w * 0.55} ${up} ${w * 0.55} ${up} ${w} ${c}`;
  return { upper, shape: `${upper}C${w * 0.6} ${low} ${-w * 0.6} ${low} ${-w} ${c}Z` };
}

/** One drawn face. Create it, put `element` on the page, tell it what to feel. */
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
    this.mouth = { open: 0, wide: 1 };
    this.shape = { open: 0, wide: 1 };
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
  feel(name, weight = 1) {
    if (name !== this.expression && poseName(name) === "happy") this.squint = 1.5;
    this.expression = name;
    this.pose.target = poseFor(name, weight);
    this.element.dataset.expression = name;
    if (this.still || calm.matches) this.pose.settle();
    if (this.still || calm.matches) this.draw();
  }

  /** @param {{open: number, wide: number}} shape what the mouth says now */
  say(shape) {
    this.shape = shape;
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
    this.#look(dt);
    this.#flutter(dt);
    const follow = 1 - Math.exp(-dt * 22);
    this.mouth.open += (this.shape.open - this.mouth.open) * follow;
    this.mouth.wide += (this.shape.wide - this.mouth.wide) * follow;
    this.draw();
  }

  /** Write the current numbers into the picture. */
  draw() {
    const p = this.pose.value;
    const moving = !this.still && !calm.matches;
    const breath = moving ? Math.sin(this.time * 1.7) : 0;
    const nod = moving ? Math.sin(this.time * 0.61) * 1.1 + this.mouth.open * 0.5 : 0;
    const turn = p.tilt + nod + this.gaze.x * 0.12;
    this.parts.head.setAttribute("transform", `translate(${this.gaze.x * 0.35} ${p.lift + breath * 1.5 + this.gaze.y * 0.3}) rotate(${turn} 200 320)`);
    this.parts.back.setAttribute("transform", `translate(${this.gaze.x * 0.15} ${p.lift * 0.7 + breath * 1.3}) rotate(${turn * 0.85} 200 320)`);
    this.parts.body.setAttribute("transform", `translate(0 ${3 + breath * 2.2})`);
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
    const mouth = lips(p, this.mouth);
    this.parts.mouth.setAttribute("d", mouth.shape);
    this.parts.mouthClip.setAttribute("d", mouth.shape);
    this.parts.lip.setAttribute("d", mouth.upper);
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
    const mouth = lips({ ...p, mouthW: p.mouthW * 0.95, mouthLow: p.mouthLow * 0.7 }, this.mouth);
    this.parts.mouth.setAttribute("d", mouth.shape);
    for (const node of this.parts.blush) node.setAttribute("opacity", Math.max(0, p.blush - 0.3).toFixed(2));
  }

  #look(dt) {
    const g = this.gaze;
    g.hold -= dt;
    if (g.hold <= 0) {
      const wander = () => (Math.random() - 0.5) * 2;
      const home = { user: [0, 0, 2.4], typing: [7, 8, 1.4], thinking: [-8, -9, 0.9] }[this.attention];
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
    const features = this.robot ? this.#robotFeatures(shade) : this.#humanFeatures(shade, uid, defs);
    this.parts.back = svg("g", {}, shell ? shell.back : backHair(style, shade));
    this.parts.body = svg("g", {}, shell ? shell.torso : body(style, shade));
    this.parts.head = svg(
      "g", {}, shell ? shell.front : head(shade), ...features.under,
      ...(shell ? [] : [frontHair(style, shade)]), ...features.over, ...this.#marks(shade),
    );
    return svg(
      "svg",
      { viewBox: "0 0 400 460", class: "face", "data-expression": "neutral", role: "img" },
      defs, this.parts.back, this.parts.body, this.parts.head,
    );
  }

  #humanFeatures(shade, uid, defs) {
    const ramp = svg("linearGradient", { id: `${uid}-iris`, x1: 0, y1: 0, x2: 0, y2: 1 },
      svg("stop", { offset: "0.1", "stop-color": shade.eyeDeep }),
      svg("stop", { offset: "0.62", "stop-color": shade.eyes }),
      svg("stop", { offset: "1", "stop-color": shade.eyeLight }));
    defs.append(ramp);
    const mouthClip = svg("path");
    defs.append(svg("clipPath", { id: `${uid}-mouth` }, mouthClip));
    const at = (eye) => `translate(${eye.x} ${EYE_Y}) scale(${eye.side} 1)`;
    const line = (width, stroke) => svg("path", { class: "face-line", stroke, "stroke-width": width });
    const eyes = EYES.map((eye, index) => {
      const clip = svg("path");
      defs.append(svg("clipPath", { id: `${uid}-eye${index}` }, clip));
      const iris = svg("g", {},
        svg("ellipse", { rx: 18, ry: 24, cy: -2, fill: `url(#${uid}-iris)` }),
        svg("ellipse", { rx: 8, ry: 11, cy: -3, fill: mix(shade.eyeDeep, "#05060d", 0.6) }),
        svg("ellipse", { rx: 9, ry: 5, cy: 13, fill: "#ffffff", opacity: 0.28 }),
        svg("circle", { cx: -6.5 * eye.side, cy: -11, r: 6.2, fill: "#ffffff" }),
        svg("circle", { cx: 7 * eye.side, cy: 7, r: 2.8, fill: "#ffffff", opacity: 0.85 }));
      const white = svg("path", { fill: "#fffdfb" });
      const veil = svg("ellipse", { cy: -26, rx: 32, ry: 13, fill: shade.eyeDeep, opacity: 0.16 });
      const lash = line(6.5, shade.line);
      const under = line(2.4, shade.skinLine);
      under.setAttribute("opacity", "0.4");
      const flick = svg("path", { d: "M25 2C29 0 33 -3 35 -8", class: "face-line", stroke: shade.line, "stroke-width": 4.5 });
      const brow = line(6, shade.brow);
      const group = svg("g", { transform: at(eye) }, white,
        svg("g", { "clip-path": `url(#${uid}-eye${index})` }, iris, veil), under, flick, lash);
      return { ...eye, clip, iris, white, lash, under, brow, group, browGroup: svg("g", { transform: at(eye), opacity: 0.92 }, brow) };
    });
    const blush = EYES.map((eye) => svg("ellipse", { cx: eye.x + eye.side * 17, cy: 268, rx: 21, ry: 11, fill: mix(this.avatar.skin, "#f0506e", 0.52) }));
    const mouth = svg("path", { fill: "#7d2f3a", stroke: shade.skinLine, "stroke-width": 3.6, "stroke-linejoin": "round" });
    const lip = line(3.8, shade.skinLine);
    const tongue = svg("ellipse", { cy: 27, rx: 17, ry: 14, fill: "#ef8a86", "clip-path": `url(#${uid}-mouth)` });
    const mouthGroup = svg("g", { transform: `translate(200 ${MOUTH_Y})` }, mouth, tongue, lip);
    this.parts = { eyes, blush, mouth, mouthClip, lip };
    return { under: [...blush, ...eyes.map((eye) => eye.group), mouthGroup], over: eyes.map((eye) => eye.browGroup) };
  }

  #robotFeatures(shade) {
    const light = mix(shade.eyes, "#ffffff", 0.18);
    const eyes = EYES.map((eye) => {
      const glow = svg("path", { fill: light, stroke: light, "stroke-width": 6, "stroke-linejoin": "round" });
      const brow = svg("path", { class: "face-line", stroke: light, "stroke-width": 5 });
      return { ...eye, glow, brow, group: svg("g", { transform: `translate(${200 + eye.side * 42} 212) scale(${eye.side} 1)` }, glow, brow) };
    });
    const blush = EYES.map((eye) => svg("ellipse", { cx: 200 + eye.side * 62, cy: 250, rx: 12, ry: 6, fill: shade.accent }));
    const mouth = svg("path", { fill: light, stroke: light, "stroke-width": 5, "stroke-linejoin": "round" });
    this.parts = { eyes, blush, mouth };
    return { under: [...blush, ...eyes.map((eye) => eye.group), svg("g", { transform: "translate(200 260)" }, mouth)], over: [] };
  }

  #marks(shade) {
    const ink = (d, stroke, width = 5) => svg("path", { d, class: "face-line", stroke, "stroke-width": width });
    const tear = svg("path", { d: "M286 250C296 266 300 274 300 281A12 12 0 0 1 276 281C276 274 280 266 286 250Z", fill: "#8fd0ff", stroke: "#ffffff", "stroke-width": 2.5 });
    const vein = svg("g", { transform: "translate(24 -4)" }, ink("M286 92C292 102 300 104 310 102M318 94C312 84 312 76 318 68M288 82C298 84 304 78 304 68M322 78", "#e5484d", 6));
    const spark = svg("g", { fill: mix(shade.accent, "#ffffff", 0.8), stroke: mix(shade.accent, "#3a2a10", 0.3), "stroke-width": 1.5 },
      svg("path", { d: "M348 96l6 17 17 6-17 6-6 17-6-17-17-6 17-6z", class: "face-twinkle" }),
      svg("path", { d: "M58 132l4 12 12 4-12 4-4 12-4-12-12-4 12-4z", class: "face-twinkle" }));
    const shock = svg("g", {}, ink("M330 98L350 84M338 122L362 116M322 76L334 56", shade.accent, 6.5));
    this.parts.marks = { tear, vein, spark, shock };
    return [tear, vein, spark, shock];
  }
}
