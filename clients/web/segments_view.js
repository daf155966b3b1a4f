// The words of one reply as nodes: speech, actions, thoughts and code, and what was never heard.
import { el } from "./dom.js";

const FENCE = /^(\s*)```[^\n]*\n([\s\S]*?)\n?```(\s*)$/;

// What marks a kind in the text is shown by its style instead.
function dressed(text, kind) {
  const fenced = kind === "code" && text.match(FENCE);
  if (fenced) return { tag: "code", class: "seg code block", shown: fenced[2] };
  if (kind === "code") return { tag: "code", class: "seg code", shown: text.replace(/^(\s*)`+|`+(\s*)$/g, "$1$2") };
  if (kind === "action") return { tag: "em", class: "seg action", shown: text.replace(/^(\s*)\*+|\*+(\s*)$/g, "$1$2") };
  if (kind === "thought") return { tag: "em", class: "seg thought", shown: text };
  return { tag: "span", class: "seg", shown: text };
}

function segmentNode(text, { index, from, to, kind }, heard) {
  const { tag, class: name, shown } = dressed(text, kind);
  const node = el(tag, { class: name, "data-index": index });
  const chars = Array.from(shown);
  const share = heard === null ? 1 : Math.min(1, Math.max(0, (heard - from) / Math.max(1, to - from)));
  const known = Math.round(chars.length * share);
  node.append(chars.slice(0, known).join(""));
  if (known < chars.length) node.append(el("span", { class: "unheard", text: chars.slice(known).join("") }));
  return node;
}

/**
 * Nodes for the words of a reply.
 * @param {import("./conversation.js").Item} item the reply
 * @returns {Node[]}
 */
export function replyNodes(item) {
  const chars = Array.from(item.text);
  const nodes = [];
  let at = 0;
  for (const segment of item.segments) {
    const to = Math.min(segment.to, chars.length);
    if (segment.from !== at || to <= at) continue;
    const text = chars.slice(at, to).join("");
    const afterBlock = nodes.at(-1)?.classList.contains("block"); // which begins a line by itself
    nodes.push(segmentNode(afterBlock ? text.trimStart() : text, { ...segment, to }, item.heard));
    at = to;
  }
  const known = item.heard === null ? chars.length : Math.max(at, item.heard);
  if (at < known) nodes.push(el("span", { text: chars.slice(at, known).join("") }));
  if (known < chars.length) nodes.push(el("span", { class: "unheard", text: chars.slice(known).join("") }));
  return nodes;
}
