// Expression tags: puts them back into clean text, so that a model reads `[happy] Hi!` again. No DOM.

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
