// What a reader tells of themselves: a name, and whether the character may speak first.
import { el } from "./dom.js";
import { t } from "./i18n.js";
import * as settings from "./settings.js";

/**
 * Open the dialog; what is changed is kept at once and told when it closes.
 * @param {HTMLDialogElement} dialog the dialog to fill
 * @param {() => void} onchange called after it has closed with something changed
 */
export function openOwnDialog(dialog, onchange) {
  const before = `${settings.savedSpeaksFirst()} ${settings.savedUserName()}`;
  const name = el("input", {
    id: "own-name", type: "text", maxlength: 64, autocomplete: "nickname", "data-testid": "own-name", "aria-describedby": "own-name-hint",
    oninput: () => settings.saveUserName(name.value.trim()),
  });
  name.value = settings.savedUserName();
  const first = el("input", {
    id: "own-first", type: "checkbox", role: "switch", "data-testid": "own-first", "aria-describedby": "own-first-hint",
    checked: settings.savedSpeaksFirst(), onchange: () => settings.saveSpeaksFirst(first.checked),
  });
  name.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) dialog.close();
  });
  dialog.replaceChildren(
    el("h2", { id: "own-title", text: t("own_title") }),
    el("label", { for: "own-name", text: t("own_name") }), name,
    el("p", { id: "own-name-hint", text: t("own_name_hint") }),
    el("label", { class: "switch-row", for: "own-first" }, el("span", { text: t("own_first") }), first),
    el("p", { id: "own-first-hint", text: t("own_first_hint") }),
    el("button", { type: "button", class: "primary", "data-testid": "own-done", text: t("own_done"), onclick: () => dialog.close() }),
  );
  dialog.onclose = () => {
    if (before !== `${settings.savedSpeaksFirst()} ${settings.savedUserName()}`) onchange();
  };
  dialog.showModal();
  name.focus();
}
