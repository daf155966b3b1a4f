// The running batch as a moving picture: lanes flow left, each column one step of the engine.

const HEADER_PX = 4;
const LABEL_MIN_PX = 8;
const LEAVE_PX = 10; // the ring behind a sequence that left

/**
 * The colour of a sequence.
 * @param {number} hue degrees
 * @param {"prefill"|"decode"} kind what the cell did
 * @param {boolean} dark dark theme
 */
export function tint(hue, kind, dark) {
  if (kind === "prefill") return dark ? `oklch(0.87 0.1 ${hue})` : `oklch(0.53 0.13 ${hue})`;
  return dark ? `oklch(0.63 0.1 ${hue})` : `oklch(0.79 0.09 ${hue})`;
}

/**
 * Draw the lanes.
 * @param {import("./live_canvas.js").Sheet} sheet where
 * @param {import("./live_model.js").LiveModel} model what
 * @param {{head: number, cell: number, words: {idle: string}}} view place, column width, words
 */
export function drawLanes(sheet, model, { head, cell, words }) {
  const pen = sheet.begin();
  const lanes = Math.max(6, model.laneCount);
  const pitch = Math.max(3, Math.min(30, (sheet.height - HEADER_PX * 2) / lanes));
  const bar = Math.max(2, pitch - Math.max(1, pitch * 0.22));
  const top = (lane) => HEADER_PX + lane * pitch + (pitch - bar) / 2;
  const right = sheet.width - 14;
  const x = (index) => right - (head - index) * cell;
  drawRails(pen, sheet, lanes, pitch);
  const first = Math.max(model.columns[0]?.index ?? 0, Math.floor(head - right / cell) - 1);
  const last = Math.min(model.next, Math.ceil(head) + 1);
  for (let index = first; index < last; index += 1) {
    const column = model.at(index);
    if (!column) continue;
    if (column.gap) drawGap(pen, sheet, x(index) + cell / 2, words.idle, column.seconds);
    for (const piece of column.cells) drawCell(pen, piece, x(index), top(piece.lane), cell, bar, sheet.dark);
  }
  const free = new Map(); // lane -> where its last occupant ended
  for (let index = first; index < last; index += 1) {
    const column = model.at(index);
    if (!column) continue;
    for (const seat of column.joined) {
      drawJoin(pen, seat, x(index), top(seat.lane), bar, sheet, free.get(seat.lane) ?? -Infinity);
    }
    for (const piece of column.cells) free.set(piece.lane, x(index) + cell + LEAVE_PX);
    for (const seat of column.left) drawLeave(pen, seat, x(index) + cell, top(seat.lane), bar, sheet);
  }
  drawFade(pen, sheet);
  drawHead(pen, sheet, right);
}

function drawRails(pen, sheet, lanes, pitch) {
  pen.fillStyle = sheet.ink.line;
  pen.globalAlpha = 0.6;
  for (let lane = 0; lane < lanes; lane += 1) {
    pen.fillRect(0, Math.round(HEADER_PX + lane * pitch + pitch / 2) - 0.5, sheet.width, 1);
  }
  pen.globalAlpha = 1;
}

function drawCell(pen, piece, left, top, cell, bar, dark) {
  const gap = cell >= 4 ? Math.min(2, cell * 0.18) : 0;
  pen.fillStyle = tint(piece.hue, piece.kind, dark);
  if (piece.kind === "prefill") {
    pen.beginPath();
    pen.roundRect(left + gap / 2, top, cell - gap, bar, Math.min(3, cell / 3));
    pen.fill();
    if (cell >= 18 && bar >= 12) {
      pen.fillStyle = dark ? "#10131a" : "#ffffff";
      pen.font = `600 ${Math.min(11, bar - 3)}px ui-monospace, monospace`;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillText(String(piece.tokens), left + cell / 2, top + bar / 2 + 0.5, cell - gap - 2);
    }
    return;
  }
  const thin = bar * 0.62;
  pen.beginPath();
  pen.roundRect(left + gap / 2, top + (bar - thin) / 2, cell - gap, thin, Math.min(cell - gap, thin) / 2.6);
  pen.fill();
}

function drawJoin(pen, seat, left, top, bar, sheet, free) {
  pen.fillStyle = tint(seat.hue, "prefill", sheet.dark);
  const middle = top + bar / 2;
  pen.beginPath();
  pen.moveTo(left - 1, middle);
  pen.lineTo(left - 7, middle - Math.min(6, bar / 2));
  pen.lineTo(left - 7, middle + Math.min(6, bar / 2));
  pen.closePath();
  pen.fill();
  if (bar < LABEL_MIN_PX) return;
  pen.fillStyle = sheet.ink.soft;
  pen.font = `500 10px ui-monospace, monospace`;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  const name = seat.id.length > 9 ? `…${seat.id.slice(-7)}` : seat.id;
  const wide = pen.measureText(name).width;
  if (left - 13 - wide < free) return; // no room behind the lane's last occupant
  pen.fillStyle = sheet.ink.sheet;
  pen.fillRect(left - 13 - wide, middle - 1, wide + 5, 2);
  pen.fillStyle = sheet.ink.soft;
  pen.fillText(name, left - 10, middle + 0.5);
}

function drawLeave(pen, seat, right, top, bar, sheet) {
  const middle = top + bar / 2;
  const r = Math.max(2.5, Math.min(4.5, bar / 3));
  pen.lineWidth = 2;
  pen.strokeStyle = tint(seat.hue, "decode", sheet.dark);
  pen.fillStyle = sheet.ink.sheet;
  pen.beginPath();
  pen.arc(right + r + 1, middle, r, 0, Math.PI * 2);
  pen.fill();
  pen.stroke();
}

function drawGap(pen, sheet, x, word, seconds) {
  pen.strokeStyle = sheet.ink.soft;
  pen.globalAlpha = 0.55;
  pen.setLineDash([3, 4]);
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(x, 0);
  pen.lineTo(x, sheet.height);
  pen.stroke();
  pen.setLineDash([]);
  pen.globalAlpha = 1;
  pen.save();
  pen.translate(x - 5, sheet.height - 8);
  pen.rotate(-Math.PI / 2);
  pen.fillStyle = sheet.ink.soft;
  pen.font = `10px ${sheet.font}`;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillText(`${word} ${seconds.toFixed(1)} s`, 0, 0);
  pen.restore();
}

function drawFade(pen, sheet) {
  const fade = pen.createLinearGradient(0, 0, 56, 0);
  fade.addColorStop(0, sheet.ink.sheet);
  fade.addColorStop(1, sheet.ink.sheet.replace(/^rgb\((.*)\)$/, "rgba($1, 0)"));
  pen.fillStyle = fade;
  pen.fillRect(0, 0, 56, sheet.height);
}

function drawHead(pen, sheet, right) {
  pen.fillStyle = sheet.ink["accent-ink"];
  pen.globalAlpha = 0.75;
  pen.fillRect(right + 6, 0, 2, sheet.height);
  pen.globalAlpha = 1;
}
