// The workbench for elements: builds HTML and SVG nodes without ever parsing markup.

const SVG_NS = "http://www.w3.org/2000/svg";

function assign(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
}

/**
 * Build an HTML element.
 * @param {string} tag element name
 * @param {Record<string, unknown>} [attributes] attributes; `text` sets textContent, `onclick` listens
 * @param {...(Node|string)} children nodes, or strings that become text nodes
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  assign(node, attributes);
  node.append(...children);
  return node;
}

/**
 * Build an SVG element.
 * @param {string} tag element name
 * @param {Record<string, unknown>} [attributes] attributes
 * @param {...Node} children child nodes
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG_NS, tag);
  assign(node, attributes);
  node.append(...children);
  return node;
}

/**
 * Draw a small line icon on a 24 by 24 grid.
 * @param {...string} paths SVG path data
 * @returns {SVGElement}
 */
export function icon(...paths) {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true", focusable: "false" },
    ...paths.map((d) => svg("path", { d })),
  );
}

/**
 * Find the one element with this id; a missing one is a programming error.
 * @param {string} id element id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no #${id}`);
  return node;
}

/** Whether the reader asked the system for less motion. */
export const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
