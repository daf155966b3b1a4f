// A note in the talk that says what the model remembers now; a summary can be put right.
import { el } from "./dom.js";
import { t } from "./i18n.js";

/**
 * The row of a note.
 * @param {import("./conversation.js").Item} item the note
 * @param {string} name the character's name
 * @param {(summary: string) => void} onsummary called with what the reader wrote instead
 * @returns {{root: HTMLElement, text: HTMLElement}}
 */
export function noteRow(item, name, onsummary) {
  const text = el("p", { class: "note-text", "data-testid": "memory-text", text: item.text });
  const root = el(
    "li", { class: "row note", "data-testid": "memory-note", "data-op": item.note },
    el("p", { class: "note-title", text: t(`memory_${item.note}`, { name }) }), ...(item.text ? [text] : []),
  );
  if (item.note === "summarised") root.append(editor(item, text, onsummary));
  return { root, text };
}

function editor(item, text, onsummary) {
  const box = el("div", { class: "note-tools" });
  const rest = () => {
    text.hidden = false;
    box.replaceChildren(el("button", { type: "button", class: "quiet", "data-testid": "memory-edit", text: t("memory_edit"), onclick: write }));
  };
  const write = () => {
    const field = el("textarea", { rows: 4, maxlength: 16000, "aria-label": t("memory_label"), "data-testid": "memory-field" });
    field.value = item.text;
    const keep = () => {
      item.text = field.value.trim();
      text.textContent = item.text || t("memory_empty");
      onsummary(item.text);
      rest();
      box.firstChild.focus();
    };
    const leave = () => {
      rest();
      box.firstChild.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      leave();
    });
    text.hidden = true;
    box.replaceChildren(
      field,
      el("button", { type: "button", class: "quiet strong", "data-testid": "memory-save", text: t("memory_save"), onclick: keep }),
      el("button", { type: "button", class: "quiet", text: t("memory_cancel"), onclick: leave }),
    );
    field.focus();
    box.scrollIntoView({ block: "nearest" });
  };
  rest();
  return box;
}
