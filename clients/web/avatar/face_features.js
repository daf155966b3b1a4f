// What moves in a face: eyes, brows, cheeks, mouth, marks of feeling and a waving hand, built once.
import { mix } from "../color.js";
import { svg } from "../dom.js";

const EYES = [{ x: 152, side: -1 }, { x: 248, side: 1 }];
const EYE_Y = 226;
const MOUTH_Y = 282;

const line = (width, stroke) => svg("path", { class: "face-line", stroke, "stroke-width": width });

/**
 * Eyes, cheeks and mouth of a human face.
 * @param {Record<string, string>} shade from `shadesOf`
 * @param {string} uid prefix of ids that no other face has
 * @param {SVGElement} defs where gradients and clips go
 * @returns {{under: SVGElement[], over: SVGElement[], parts: Record<string, any>}} what lies under the fringe, what over it,
 *   and the nodes that `Face` moves
 */
export function humanFeatures(shade, uid, defs) {
  const ramp = svg("linearGradient", { id: `${uid}-iris`, x1: 0, y1: 0, x2: 0, y2: 1 },
    svg("stop", { offset: "0.1", "stop-color": shade.eyeDeep }),
    svg("stop", { offset: "0.62", "stop-color": shade.eyes }),
    svg("stop", { offset: "1", "stop-color": shade.eyeLight }));
  defs.append(ramp);
  const mouthClip = svg("path");
  defs.append(svg("clipPath", { id: `${uid}-mouth` }, mouthClip));
  const at = (eye) => `translate(${eye.x} ${EYE_Y}) scale(${eye.side} 1)`;
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
  const blush = EYES.map((eye) => svg("ellipse", { cx: eye.x + eye.side * 17, cy: 268, rx: 21, ry: 11, fill: mix(shade.skin, "#f0506e", 0.52) }));
  const mouth = svg("path", { fill: "#7d2f3a" });
  const lip = line(3.8, shade.skinLine);
  const tongue = svg("ellipse", { cy: 27, rx: 17, ry: 14, fill: "#ef8a86" });
  const teeth = svg("path", { fill: "#fffdfa" });
  const inside = svg("g", { "clip-path": `url(#${uid}-mouth)` }, tongue, teeth);
  const outline = svg("path", { class: "face-line", stroke: shade.skinLine, "stroke-width": 3.6 });
  const mouthGroup = svg("g", { transform: `translate(200 ${MOUTH_Y})`, class: "face-mouth" }, mouth, inside, outline, lip);
  const parts = { eyes, blush, mouth, mouthClip, lip, tongue, teeth, outline, mouthGroup };
  return { under: [...blush, ...eyes.map((eye) => eye.group), mouthGroup], over: eyes.map((eye) => eye.browGroup), parts };
}

/**
 * Lights on a robot's screen.
 * @param {Record<string, string>} shade from `shadesOf`
 * @returns {{under: SVGElement[], over: SVGElement[], parts: Record<string, any>}} as `humanFeatures`
 */
export function robotFeatures(shade) {
  const light = mix(shade.eyes, "#ffffff", 0.18);
  const eyes = EYES.map((eye) => {
    const glow = svg("path", { fill: light, stroke: light, "stroke-width": 6, "stroke-linejoin": "round" });
    const brow = svg("path", { class: "face-line", stroke: light, "stroke-width": 5 });
    return { ...eye, glow, brow, group: svg("g", { transform: `translate(${200 + eye.side * 42} 212) scale(${eye.side} 1)` }, glow, brow) };
  });
  const blush = EYES.map((eye) => svg("ellipse", { cx: 200 + eye.side * 62, cy: 250, rx: 12, ry: 6, fill: shade.accent }));
  const mouth = svg("path", { fill: light, stroke: light, "stroke-width": 5, "stroke-linejoin": "round" });
  const mouthGroup = svg("g", { transform: "translate(200 260)", class: "face-mouth" }, mouth);
  return { under: [...blush, ...eyes.map((eye) => eye.group), mouthGroup], over: [], parts: { eyes, blush, mouth, mouthGroup } };
}

/**
 * Signs beside the face: a tear, a vein of anger, sparks and surprise.
 * @param {Record<string, string>} shade from `shadesOf`
 * @returns {Record<string, SVGElement>} by the pose's names
 */
export function marksOf(shade) {
  const ink = (d, stroke, width = 5) => svg("path", { d, class: "face-line", stroke, "stroke-width": width });
  const tear = svg("path", { d: "M286 250C296 266 300 274 300 281A12 12 0 0 1 276 281C276 274 280 266 286 250Z", fill: "#8fd0ff", stroke: "#ffffff", "stroke-width": 2.5 });
  const vein = svg("g", { transform: "translate(24 -4)" }, ink("M286 92C292 102 300 104 310 102M318 94C312 84 312 76 318 68M288 82C298 84 304 78 304 68M322 78", "#e5484d", 6));
  const spark = svg("g", { fill: mix(shade.accent, "#ffffff", 0.8), stroke: mix(shade.accent, "#3a2a10", 0.3), "stroke-width": 1.5 },
    svg("path", { d: "M348 96l6 17 17 6-17 6-6 17-6-17-17-6 17-6z", class: "face-twinkle" }),
    svg("path", { d: "M58 132l4 12 12 4-12 4-4 12-4-12-12-4 12-4z", class: "face-twinkle" }));
  const shock = svg("g", {}, ink("M330 98L350 84M338 122L362 116M322 76L334 56", shade.accent, 6.5));
  return { tear, vein, spark, shock };
}

/**
 * A hand that comes up beside the head to wave.
 * @param {Record<string, string>} shade from `shadesOf`
 * @param {boolean} robot whether it is a robot's
 * @returns {SVGElement} drawn around the elbow, fingers up
 */
export function handOf(shade, robot) {
  const skin = robot ? mix(shade.skin, "#ffffff", 0.25) : shade.skin;
  const edge = robot ? mix(shade.skin, "#3b4656", 0.45) : shade.skinLine;
  const sleeve = robot ? shade.hair : shade.cloth;
  const finger = (x, y, tilt, length) => svg("rect", {
    x: -6.5, y: -length, width: 13, height: length + 12, rx: 6.5, fill: skin, stroke: edge, "stroke-width": 2.6,
    transform: `translate(${x} ${y}) rotate(${tilt})`,
  });
  return svg("g", { class: "face-hand" },
    svg("path", { d: "M-26 150C-24 50 -18 6 -15 -30H15C18 6 24 50 26 150Z", fill: sleeve, stroke: robot ? edge : shade.clothDeep, "stroke-width": 2.6 }),
    finger(-20, -58, -44, 24), finger(-14, -74, -14, 32), finger(0, -79, 0, 35), finger(14, -74, 13, 31),
    svg("path", { d: "M-21 -70C-25 -52 -18 -34 -12 -30H12C20 -36 24 -54 21 -72C10 -80 -12 -80 -21 -70Z", fill: skin }),
    svg("path", { d: "M-22 -62C-23 -48 -18 -35 -12 -30H12C19 -35 23 -50 21.5 -68", class: "face-line", stroke: edge, "stroke-width": 2.6 }));
}
