// Paint: validates, mixes and measures hex colours for faces and themes.

const HEX = /^#[0-9a-f]{6}$/i;

function channels(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/**
 * Return `value` when it is a six-digit hex colour, else the fallback.
 * @param {unknown} value colour from outside
 * @param {string} fallback colour of ours
 * @returns {string}
 */
export function hexOr(value, fallback) {
  return typeof value === "string" && HEX.test(value) ? value : fallback;
}

/**
 * Mix two hex colours.
 * @param {string} a first colour
 * @param {string} b second colour
 * @param {number} share share of `b`, 0 to 1
 * @returns {string}
 */
export function mix(a, b, share) {
  const other = channels(b);
  const mixed = channels(a).map((c, i) => Math.round(c + (other[i] - c) * share));
  return `#${mixed.map((c) => c.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * Relative luminance after WCAG 2.
 * @param {string} hex colour
 * @returns {number} 0 (black) to 1 (white)
 */
export function luminance(hex) {
  const [r, g, b] = channels(hex).map((c) => {
    const s = c / 255;
    return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/**
 * Black or white, whichever reads better on this colour (never below 4.5:1).
 * @param {string} hex background colour
 * @returns {string}
 */
export function inkOn(hex) {
  const l = luminance(hex);
  return 1.05 / (l + 0.05) >= (l + 0.05) / 0.05 ? "#ffffff" : "#000000";
}

const PALETTES = [
  { hair: "#1f6f78", eyes: "#c2410c", skin: "#ffe0d0", accent: "#38a3a5" },
  { hair: "#7a3b2e", eyes: "#2f9e6e", skin: "#f7d3bd", accent: "#e4572e" },
  { hair: "#3a3a3c", eyes: "#b45309", skin: "#f1c9ac", accent: "#4c9f70" },
  { hair: "#c98bb9", eyes: "#8e4fc9", skin: "#ffe4da", accent: "#7a9cf0" },
  { hair: "#8a8f98", eyes: "#d97706", skin: "#e9bfa3", accent: "#9277d6" },
];

/** Hair styles that the face can draw; nobody is a robot by chance. */
export const STYLES = ["bob", "long", "short", "twin", "hood", "robot"];

/**
 * Complete an avatar description: what is missing or unusable is chosen by the id.
 * @param {string} id character id
 * @param {Record<string, unknown>} [avatar] what the server said
 * @returns {{hair: string, eyes: string, skin: string, accent: string, style: string}}
 */
export function completeAvatar(id, avatar = {}) {
  const seed = Array.from(id).reduce((sum, c) => (sum * 31 + c.codePointAt(0)) >>> 0, 7);
  const base = PALETTES[seed % PALETTES.length];
  const style = STYLES[Math.floor(seed / PALETTES.length) % (STYLES.length - 1)];
  return {
    hair: hexOr(avatar?.hair, base.hair),
    eyes: hexOr(avatar?.eyes, base.eyes),
    skin: hexOr(avatar?.skin, base.skin),
    accent: hexOr(avatar?.accent, base.accent),
    style: STYLES.includes(avatar?.style) ? avatar.style : style,
  };
}
