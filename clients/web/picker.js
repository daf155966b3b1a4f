// The cast: a row of small faces, one of which is chosen (a radio group for the keyboard).
import { pictureSource } from "./api.js";
import { completeAvatar } from "./color.js";
import { el } from "./dom.js";
import { Face } from "./avatar/face.js";
import { localised } from "./i18n.js";

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** Draws the characters and tells which one is picked. */
export class Picker {
  /**
   * @param {HTMLElement} root the radio group
   * @param {(id: string) => void} onpick called when the reader picks another character
   * @param {() => (string|null)} key says the API key of the moment
   */
  constructor(root, onpick, key) {
    this.root = root;
    this.onpick = onpick;
    this.key = key;
    this.characters = [];
    root.addEventListener("keydown", (event) => this.#walk(event));
  }

  /**
   * Draw the cast anew.
   * @param {Array<{id: string}>} characters from the server
   * @param {string} chosen id of the chosen one
   */
  show(characters, chosen) {
    this.characters = characters;
    this.root.replaceChildren(...characters.map((one) => this.#card(one)));
    this.choose(chosen);
  }

  /** @param {string} id character to mark as chosen */
  choose(id) {
    for (const card of this.root.children) {
      const is = card.dataset.id === id;
      card.setAttribute("aria-checked", String(is));
      card.tabIndex = is ? 0 : -1;
      if (is) card.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }

  #card(character) {
    const name = localised(character.name, character.id);
    const face = new Face(character, { still: true });
    face.element.removeAttribute("role");
    face.element.removeAttribute("data-expression");
    face.element.setAttribute("aria-hidden", "true");
    face.element.setAttribute("viewBox", "60 48 280 280");
    const frame = el("span", { class: "card-face" }, face.element);
    if (character.picture) this.#hang(frame, character.picture);
    const card = el(
      "button",
      {
        type: "button", role: "radio", class: "card", "data-id": character.id, title: name,
        "data-testid": `character-${character.id}`, onclick: () => this.#pick(character.id),
      },
      frame,
      el("span", { class: "card-name", text: name }),
    );
    card.style.setProperty("--own", completeAvatar(character.id, character.avatar).accent);
    return card;
  }

  // Until a picture has come, and where it never does, the drawn face stands in for it.
  async #hang(frame, picture) {
    const source = await pictureSource(picture, this.key()).catch(() => null);
    if (!source) return;
    const img = el("img", { class: "card-picture", alt: "", draggable: "false", src: source });
    img.addEventListener("load", () => frame.replaceChildren(img));
  }

  #pick(id) {
    if (this.root.querySelector('[aria-checked="true"]')?.dataset.id === id) return;
    this.choose(id);
    this.onpick(id);
  }

  #walk(event) {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const cards = Array.from(this.root.children);
    const at = cards.findIndex((card) => card.getAttribute("aria-checked") === "true");
    const next = cards[(at + step + cards.length) % cards.length];
    next?.focus();
    next?.click();
  }
}
