// Expression tags in raw text: takes `[happy] Hi!` apart, and puts it together again. No DOM.

const TAG = /\[([a-z][a-z0-9_-]{1,31})\][ \t]?/gi;

/**
 * Split raw text into clean text and the feelings in it.
 * @param {string} raw text with tags
 * @param {string[]} known expression names that count as tags
 * @returns {{text: string, expressions: Array<{name: string, weight: number, offset: number}>}}
 */
export function parseTags(raw, known) {
  const names = new Set(known.map((name) => name.toLowerCase()));
  const expressions = [];
  let text = "";
  let from = 0;
  for (const match of raw.matchAll(TAG)) {
    const name = match[1].toLowerCase();
    if (!names.has(name)) continue;
    text += raw.slice(from, match.index);
    from = match.index + match[0].length;
    expressions.push({ name, weight: 1, offset: Array.from(text).length });
  }
  return { text: text + raw.slice(from), expressions };
}

/**
 * Rebuild raw text, so that the character reads its own words as it wrote them.
 * @param {string} text clean text
 * @param {Array<{name: string, offset: number}>} expressions feelings, by code-point offset
 * @returns {string}
 */
export function withTags(text, expressions) {
  const chars = Array.from(text);
  let raw = "";
  let at = 0;
  for (const { name, offset } of expressions) {
    if (offset >= chars.length) break; // interrupted before the words it was meant for
    raw += `${chars.slice(at, offset).join("")}[${name}] `;
    at = Math.max(at, offset);
  }
  return raw + chars.slice(at).join("");
}
