// The wardrobe: hair, clothes and head shapes as paths on a 400 by 460 board, one set per style.
import { svg } from "../dom.js";
import { luminance, mix } from "../color.js";

const HEAD =
  "M106 192C104 124 146 88 200 88S296 124 294 192C294 236 286 262 262 286C240 306 220 316 200 316" +
  "S160 306 138 286C114 262 106 236 106 192Z";
const BODY = "M22 470C26 398 92 366 160 350L200 398L240 350C308 366 374 398 378 470V520H22Z";

const BACK = {
  bob:
    "M84 206C72 112 124 50 200 50S328 112 316 206C320 262 322 300 300 332C286 346 262 342 250 326" +
    "L150 326C138 342 114 346 100 332C78 300 80 262 84 206Z",
  long:
    "M86 204C72 110 126 50 200 50S328 110 314 204C318 270 340 340 330 410C326 438 300 446 282 430" +
    "L118 430C100 446 74 438 70 410C60 340 82 270 86 204Z",
  short:
    "M92 214C76 172 84 124 104 98C96 96 92 96 86 98C98 74 120 66 132 64C146 48 176 40 204 46" +
    "C240 38 276 54 290 76C300 76 312 84 318 96C312 96 306 98 302 102C320 134 322 176 308 214" +
    "C306 240 300 254 292 262L108 262C100 254 94 240 92 214Z",
  twin:
    "M92 200C78 112 126 52 200 52S322 112 308 200C310 236 300 262 288 276L112 276C100 262 90 236 92 200Z",
  hood: "M66 232C54 120 114 34 200 34S346 120 334 232C332 300 306 346 276 366L124 366C94 346 68 300 66 232Z",
};

const TAILS = [
  "M92 132C44 128 10 182 18 260C24 318 42 356 34 404C66 388 84 346 82 296C80 240 92 196 112 168Z",
  "M308 132C356 128 390 182 382 260C376 318 358 356 366 404C334 388 316 346 318 296C320 240 308 196 288 168Z",
];

const FRONT = {
  bob:
    "M96 262C84 176 112 70 200 68C288 70 316 176 304 262C298 282 290 286 284 288C292 250 292 214 282 176" +
    "C276 190 262 198 244 202C250 188 252 176 250 160C236 182 208 198 178 202C186 190 190 176 188 162" +
    "C172 186 148 198 124 202C118 196 117 186 118 176C108 214 108 250 116 288C110 286 102 282 96 262Z",
  long:
    "M94 300C78 190 108 70 200 68C292 70 322 190 306 300C302 324 296 336 288 344C296 280 300 226 280 164" +
    "C262 160 226 140 206 104C190 142 150 162 120 164C100 226 104 280 112 344C104 336 98 324 94 300Z",
  short:
    "M98 212C86 140 120 66 204 66C288 68 314 140 302 212C296 204 290 190 286 172C280 182 272 188 262 192" +
    "C262 176 258 164 250 150C244 170 230 184 212 194C212 178 206 166 198 156C190 176 174 190 152 196" +
    "C154 182 150 172 144 164C138 178 130 188 120 194C116 188 115 182 114 174C110 190 104 204 98 212Z",
  twin:
    "M98 226C86 150 116 70 200 68C284 70 314 150 302 226C296 216 290 196 284 172C276 188 262 198 246 200" +
    "C250 190 250 178 246 166C238 186 224 198 206 204C208 192 206 180 200 170C194 184 182 198 164 202" +
    "C166 190 166 180 162 168C152 186 136 198 120 200C116 192 115 182 116 172C110 196 104 216 98 226Z",
  hood:
    "M103 208C92 144 122 84 200 82C278 84 308 144 297 208C286 196 278 184 272 170C260 186 240 196 218 198" +
    "C222 186 220 174 214 164C200 186 172 200 142 200C146 190 146 180 142 172C134 190 120 202 103 208Z",
};

const SHINE = {
  bob: "M126 138C144 112 172 100 204 100C186 110 160 122 140 146C134 150 128 146 126 138Z",
  long: "M124 150C138 118 160 102 186 98C172 112 152 134 138 158C132 162 126 158 124 150Z",
  short: "M134 126C152 104 178 94 206 96C186 104 164 116 148 134C142 138 136 134 134 126Z",
  twin: "M126 140C144 112 174 100 206 102C188 110 162 122 142 148C136 152 128 148 126 140Z",
  hood: "M136 146C150 124 172 112 198 112C180 120 162 132 148 152C144 156 138 152 136 146Z",
};

/**
 * Shades that every garment and strand is drawn with.
 * @param {{hair: string, eyes: string, skin: string, accent: string}} avatar colours
 */
export function shadesOf(avatar) {
  const cream = mix("#fffaf2", avatar.accent, 0.05);
  const hairDeep = mix(avatar.hair, "#0b0a14", 0.32);
  const clothes = {
    bob: { cloth: cream, clothDeep: "#d9cfc2", collar: avatar.hair },
    twin: { cloth: cream, clothDeep: "#d9cfd0", collar: avatar.accent },
    long: { cloth: mix(avatar.accent, "#2a1a26", 0.42), clothDeep: mix(avatar.accent, "#2a1a26", 0.66), collar: cream },
    short: { cloth: mix("#2c3350", avatar.hair, 0.3), clothDeep: "#1b2036", collar: cream },
  }[avatar.style] ?? {
    cloth: mix(avatar.accent, "#1d2233", 0.55), clothDeep: mix(avatar.accent, "#12141f", 0.74), collar: cream,
  };
  return {
    ...clothes,
    ...avatar,
    hairDeep,
    hairShine: mix(avatar.hair, "#ffffff", 0.3),
    skinDeep: mix(avatar.skin, "#b0563f", 0.26),
    skinLine: mix(avatar.skin, "#5b2430", 0.62),
    line: mix(avatar.hair, "#17121f", 0.72),
    brow: luminance(avatar.hair) < 0.12 ? mix(avatar.hair, "#0a0912", 0.45) : mix(avatar.hair, "#17121f", 0.45),
    eyeDeep: mix(avatar.eyes, "#0d1024", 0.58),
    eyeLight: mix(avatar.eyes, "#ffffff", 0.42),
  };
}

/** Hair that falls behind the shoulders. */
export function backHair(style, shade) {
  const parts = [];
  if (style === "twin") {
    for (const d of TAILS) parts.push(svg("path", { d, fill: shade.hair, class: "face-sway" }));
  }
  const fill = style === "hood" ? shade.cloth : shade.hairDeep;
  parts.push(svg("path", { d: BACK[style], fill }));
  if (style === "hood") {
    parts.push(
      svg("path", { d: "M92 236C82 138 128 66 200 66S318 138 308 236C306 290 286 326 262 342L138 342C114 326 94 290 92 236Z", fill: shade.clothDeep }),
    );
  }
  return svg("g", {}, ...parts);
}

/** Neck, shoulders and clothes. */
export function body(style, shade) {
  const neck = svg("path", { d: "M172 286L172 334L150 350C164 384 182 398 200 406C218 398 236 384 250 350L228 334L228 286Z", fill: shade.skin });
  const shadow = svg("path", { d: "M172 300C184 326 216 326 228 300L228 322C216 340 184 340 172 322Z", fill: shade.skinDeep, opacity: 0.75 });
  const torso = svg("path", { d: BODY, fill: shade.cloth });
  const folds = svg("path", { d: "M88 470C90 440 96 424 104 412M312 470C310 440 304 424 296 412", class: "face-line", stroke: shade.clothDeep, "stroke-width": 4 });
  const parts = [neck, shadow, torso, folds];
  if (style === "hood") {
    parts.push(
      svg("path", { d: "M118 352C150 340 168 352 200 380C232 352 250 340 282 352C292 372 262 404 200 410C138 404 108 372 118 352Z", fill: shade.clothDeep }),
      svg("path", { d: "M178 396L174 440M222 396L226 440", class: "face-line", stroke: shade.collar, "stroke-width": 5 }),
    );
  } else if (style === "short") {
    parts.push(
      svg("path", { d: "M158 350L200 380L242 350L258 366L214 412L200 394L186 412L142 366Z", fill: shade.collar }),
      svg("path", { d: "M200 392L210 408L204 470L196 470L190 408Z", fill: shade.accent }),
    );
  } else {
    parts.push(
      svg("path", { d: "M154 351C166 376 182 392 200 400C218 392 234 376 246 351L266 358C256 394 230 422 200 432C170 422 144 394 134 358Z", fill: shade.collar }),
      svg("path", { d: "M200 424C184 408 166 408 160 418C158 430 166 444 200 432C234 444 242 430 240 418C234 408 216 408 200 424Z", fill: shade.accent }),
      svg("circle", { cx: 200, cy: 427, r: 7.5, fill: mix(shade.accent, "#1d1422", 0.25) }),
    );
  }
  return svg("g", {}, ...parts);
}

/** Ears and the bare head. */
export function head(shade) {
  return svg(
    "g",
    {},
    svg("ellipse", { cx: 106, cy: 226, rx: 15, ry: 22, fill: shade.skinDeep }),
    svg("ellipse", { cx: 294, cy: 226, rx: 15, ry: 22, fill: shade.skinDeep }),
    svg("path", { d: HEAD, fill: shade.skin }),
    svg("path", { d: "M196 252C198 255 201 256 204 255", class: "face-line", stroke: shade.skinDeep, "stroke-width": 3.5 }),
  );
}

/** Fringe, ribbons, pins and the rim of a hood. */
export function frontHair(style, shade) {
  const parts = [
    svg("path", { d: FRONT[style], fill: shade.skinDeep, opacity: 0.5, transform: "translate(0 6)" }),
    svg("path", { d: FRONT[style], fill: shade.hair }),
    svg("path", { d: SHINE[style], fill: shade.hairShine, opacity: 0.55 }),
  ];
  if (style === "bob") {
    parts.push(svg("path", { d: "M270 132L292 158M276 126L298 152", class: "face-line", stroke: shade.accent, "stroke-width": 7 }));
  } else if (style === "twin") {
    for (const x of [98, 302]) {
      parts.push(
        svg("path", { d: `M${x} 146l-22 -17v34zM${x} 146l22 -17v34z`, fill: shade.accent, "stroke-linejoin": "round", stroke: shade.accent, "stroke-width": 5 }),
        svg("circle", { cx: x, cy: 146, r: 8, fill: mix(shade.accent, "#1d1422", 0.25) }),
      );
    }
  } else if (style === "long") {
    parts.push(
      svg("circle", { cx: 288, cy: 150, r: 9, fill: mix(shade.accent, "#ffffff", 0.6) }),
      ...[0, 72, 144, 216, 288].map((turn) =>
        svg("ellipse", { cx: 288, cy: 137, rx: 8.5, ry: 11, fill: shade.accent, transform: `rotate(${turn} 288 150)` })),
      svg("circle", { cx: 288, cy: 150, r: 6, fill: mix(shade.accent, "#ffffff", 0.75) }),
    );
  } else if (style === "hood") {
    parts.push(
      svg("path", { d: "M66 232C54 120 114 34 200 34S346 120 334 232C334 250 332 268 328 284C318 300 306 304 300 296C306 276 308 256 308 236C318 138 272 76 200 76S82 138 92 236C92 256 94 276 100 296C94 304 82 300 72 284C68 268 66 250 66 232Z", fill: shade.cloth }),
      svg("path", { d: "M92 236C82 138 128 76 200 76S318 138 308 236", class: "face-line", stroke: shade.accent, "stroke-width": 5 }),
    );
  }
  return svg("g", {}, ...parts);
}

/** The robot's shell; returns what lies behind and what lies under the features. */
export function robotShell(shade) {
  const shell = mix(shade.skin, "#ffffff", 0.25);
  const shellDeep = mix(shade.skin, "#3b4656", 0.35);
  const back = svg(
    "g",
    {},
    svg("path", { d: "M200 92V52", class: "face-line", stroke: shade.hair, "stroke-width": 8 }),
    svg("circle", { cx: 200, cy: 44, r: 15, fill: shade.accent, class: "face-lamp" }),
    svg("rect", { x: 68, y: 184, width: 48, height: 78, rx: 18, fill: shade.hair }),
    svg("rect", { x: 284, y: 184, width: 48, height: 78, rx: 18, fill: shade.hair }),
  );
  const front = svg(
    "g",
    {},
    svg("rect", { x: 92, y: 88, width: 216, height: 226, rx: 70, fill: shell }),
    svg("path", { d: "M92 236V244C92 283 123 314 162 314H238C277 314 308 283 308 244V236C308 270 277 296 238 296H162C123 296 92 270 92 236Z", fill: shellDeep, opacity: 0.5 }),
    svg("rect", { x: 112, y: 142, width: 176, height: 154, rx: 52, fill: "#141a26" }),
    svg("path", { d: "M138 158C160 148 200 146 226 150C196 158 158 170 132 190C126 178 130 164 138 158Z", fill: "#ffffff", opacity: 0.07 }),
    svg("rect", { x: 152, y: 108, width: 96, height: 10, rx: 5, fill: shade.accent, opacity: 0.9 }),
  );
  const torso = svg(
    "g",
    {},
    svg("rect", { x: 170, y: 300, width: 60, height: 70, rx: 14, fill: shade.hair }),
    svg("path", { d: "M170 322H230M170 340H230", class: "face-line", stroke: mix(shade.hair, "#ffffff", 0.25), "stroke-width": 4 }),
    svg("path", { d: "M38 470C40 396 92 360 150 356H250C308 360 360 396 362 470V520H38Z", fill: shell }),
    svg("path", { d: "M38 470C40 396 92 360 150 356H160C120 376 100 420 98 470Z", fill: shellDeep, opacity: 0.35 }),
    svg("rect", { x: 164, y: 394, width: 72, height: 44, rx: 16, fill: "#141a26" }),
    svg("path", { d: "M178 416H190L196 406L204 426L210 416H222", class: "face-line", stroke: shade.accent, "stroke-width": 4 }),
  );
  return { back, front, torso };
}
