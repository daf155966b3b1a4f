// A sheet to draw on: a canvas that stays crisp at every size and knows the theme's colours.

/** A canvas that follows its box. */
export class Sheet {
  /** @param {HTMLCanvasElement} canvas the canvas to draw on */
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.width = 0;
    this.height = 0;
    this.stale = true;
    new ResizeObserver(() => { this.stale = true; }).observe(canvas);
  }

  /** Make ready for one picture: right size, empty, in CSS pixels. */
  begin() {
    if (this.stale) this.#fit();
    this.pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.pen.clearRect(0, 0, this.width, this.height);
    return this.pen;
  }

  /** Read the theme's colours again. */
  repaint() {
    this.stale = true;
  }

  #fit() {
    this.stale = false;
    this.ratio = Math.min(3, window.devicePixelRatio || 1);
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.canvas.width = Math.round(this.width * this.ratio);
    this.canvas.height = Math.round(this.height * this.ratio);
    this.ink = {};
    for (const name of ["ink", "soft", "line", "sheet", "used", "cached", "warn", "accent-ink"]) {
      this.canvas.style.color = `var(--${name})`;
      this.ink[name] = getComputedStyle(this.canvas).color;
    }
    this.canvas.style.color = "";
    this.dark = isDark(this.ink.sheet);
    this.font = getComputedStyle(this.canvas).fontFamily;
  }
}

function isDark(color) {
  const pen = isDark.pen ?? (isDark.pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true }));
  pen.fillStyle = color;
  pen.fillRect(0, 0, 1, 1);
  const [r, g, b] = pen.getImageData(0, 0, 1, 1).data;
  return r * 0.3 + g * 0.6 + b * 0.1 < 128;
}
