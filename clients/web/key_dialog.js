// The door: asks for an API key when the server wants one.
import { el } from "./dom.js";
import { t } from "./i18n.js";

/**
 * Ask for the key until one is given.
 * @param {HTMLDialogElement} dialog the dialog to fill
 * @param {"wrong"|"ended"|null} why what is the matter with the last key, where there was one
 * @returns {Promise<string>} the key
 */
export function askForKey(dialog, why) {
  return new Promise((resolve) => {
    const input = el("input", {
      id: "key-input", type: "password", autocomplete: "off", spellcheck: "false", required: true,
      "data-testid": "key-input", "aria-describedby": why ? "key-wrong" : undefined,
      "aria-invalid": why ? "true" : undefined,
    });
    const give = () => {
      const key = input.value.trim();
      if (!key) return;
      dialog.close();
      resolve(key);
    };
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) give();
    });
    dialog.replaceChildren(
      el("h2", { id: "key-title", text: t("key_title") }),
      el("p", { text: t("key_body") }),
      el("label", { for: "key-input", text: t("key_label") }),
      input,
      ...(why ? [el("p", { id: "key-wrong", class: "wrong", role: "alert", text: t(`key_${why}`) })] : []),
      el("button", { type: "button", class: "primary", "data-testid": "key-submit", text: t("key_submit"), onclick: give }),
    );
    dialog.oncancel = (event) => event.preventDefault();
    if (!dialog.open) dialog.showModal();
    input.focus();
  });
}
