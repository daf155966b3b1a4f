// The smaller pictures of the engine: load per step, the KV memory as a field of blocks, and speed.

const MAX_SQUARES = 1200;

/**
 * Running (area) and waiting (line) replies, on the same columns as the lanes.
 * @param {import("./live_canvas.js").Sheet} sheet where
 * @param {import("./live_model.js").LiveModel} model what
 * @param {{head: number, cell: number}} view place and column width
 */
export function drawLoad(sheet, model, { head, cell }) {
  const pen = sheet.begin();
  const right = sheet.width - 14;
  const first = Math.max(model.columns[0]?.index ?? 0, Math.floor(head - right / cell) - 1);
  const last = Math.min(model.next, Math.ceil(head) + 1);
  let most = 4;
  for (let i = first; i < last; i += 1) {
    const column = model.at(i);
    if (column) most = Math.max(most, column.running + 1, column.waiting + 1);
  }
  const base = sheet.height - 2;
  const y = (n) => base - (n / most) * (base - 12);
  pen.fillStyle = sheet.ink.line;
  pen.fillRect(0, base, sheet.width, 1);
  outline(pen, model, first, last, (i) => right - (head - i) * cell, cell, (c) => y(c.running), base, true);
  pen.fillStyle = sheet.ink.used;
  pen.globalAlpha = 0.28;
  pen.fill();
  pen.globalAlpha = 1;
  stroke(pen, model, first, last, (i) => right - (head - i) * cell, cell, (c) => y(c.running), base, sheet.ink.used);
  stroke(pen, model, first, last, (i) => right - (head - i) * cell, cell, (c) => y(c.waiting), base, sheet.ink.warn);
  scale(pen, sheet, String(most), 9);
}

function outline(pen, model, first, last, x, cell, y, base, closed) {
  pen.beginPath();
  let begun = false;
  for (let i = first; i < last; i += 1) {
    const column = model.at(i);
    if (!column) continue;
    if (!begun) pen.moveTo(x(i), closed ? base : y(column));
    begun = true;
    pen.lineTo(x(i), y(column));
    pen.lineTo(x(i) + cell, y(column));
  }
  if (begun && closed) pen.lineTo(x(last - 1) + cell, base);
}

function stroke(pen, model, first, last, x, cell, y, base, color) {
  outline(pen, model, first, last, x, cell, y, base, false);
  pen.strokeStyle = color;
  pen.lineWidth = 1.8;
  pen.lineJoin = "round";
  pen.stroke();
}

function scale(pen, sheet, text, y) {
  pen.fillStyle = sheet.ink.soft;
  pen.font = `10px ${sheet.font}`;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillText(text, 0, y);
}

/**
 * The KV memory: one square per block (or per handful of blocks when there are very many).
 * @param {import("./live_canvas.js").Sheet} sheet where
 * @param {{used: number, cached: number, total: number}} memory eased counts
 */
export function drawMemory(sheet, { used, cached, total }) {
  const pen = sheet.begin();
  if (total <= 0) return;
  const share = Math.ceil(total / MAX_SQUARES);
  const count = Math.ceil(total / share);
  const { columns, pitch } = bestGrid(count, sheet.width, sheet.height);
  const size = Math.max(1.5, pitch - Math.max(1, pitch * 0.2));
  const inset = (sheet.width - columns * pitch) / 2;
  const round = Math.min(3, size / 3.5);
  for (let i = 0; i < count; i += 1) {
    const x = inset + (i % columns) * pitch;
    const y = Math.floor(i / columns) * pitch;
    const isUsed = clamp(used / share - i);
    const isCached = clamp((used + cached) / share - i) - isUsed;
    square(pen, x, y, size, round, sheet.ink.line, 1);
    if (isCached > 0) square(pen, x, y, size, round, sheet.ink.cached, isCached);
    if (isUsed > 0) square(pen, x, y, size, round, sheet.ink.used, isUsed);
  }
}

function clamp(n) {
  return Math.max(0, Math.min(1, n));
}

function square(pen, x, y, size, round, color, alpha) {
  pen.globalAlpha = alpha;
  pen.fillStyle = color;
  pen.beginPath();
  pen.roundRect(x, y, size, size, round);
  pen.fill();
  pen.globalAlpha = 1;
}

function bestGrid(count, width, height) {
  let pitch = Math.min(22, Math.sqrt((width * height) / count));
  while (Math.floor(width / pitch) * Math.floor(height / pitch) < count && pitch > 2) pitch -= 0.25;
  return { columns: Math.max(1, Math.floor(width / pitch)), pitch };
}

/**
 * Tokens per second over the last minute.
 * @param {import("./live_canvas.js").Sheet} sheet where
 * @param {import("./live_model.js").LiveModel} model what
 * @param {number} now feed time at the right edge
 */
export function drawSpeed(sheet, model, now) {
  const pen = sheet.begin();
  const base = sheet.height - 2;
  const right = sheet.width - 6;
  const most = niceCeiling(Math.max(10, ...model.speed.map((one) => one.tps)));
  const x = (t) => right - ((now - t) / 60) * right;
  const y = (n) => base - (n / most) * (base - 14);
  pen.fillStyle = sheet.ink.line;
  for (const part of [0, 0.5, 1]) pen.fillRect(0, Math.round(y(most * part)), sheet.width, 1);
  pen.beginPath();
  model.speed.forEach((one, i) => (i ? pen.lineTo(x(one.t), y(one.tps)) : pen.moveTo(x(one.t), y(one.tps))));
  pen.strokeStyle = sheet.ink["accent-ink"];
  pen.lineWidth = 2;
  pen.lineJoin = "round";
  pen.stroke();
  if (model.speed.length > 1) {
    pen.lineTo(x(model.speed.at(-1).t), base);
    pen.lineTo(x(model.speed[0].t), base);
    pen.closePath();
    pen.fillStyle = sheet.ink["accent-ink"];
    pen.globalAlpha = 0.12;
    pen.fill();
    pen.globalAlpha = 1;
  }
  scale(pen, sheet, String(most), Math.max(6, y(most) + 8));
}

function niceCeiling(n) {
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 1.5, 2, 3, 4, 6, 8, 10].map((k) => k * power).find((k) => k >= n) ?? n;
}
