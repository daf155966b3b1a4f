// Character cards from files: dropped anywhere on the page, or chosen with a button.
import { CardRefused, KeyNeeded, sendCard } from "./api.js";
import { t } from "./i18n.js";

const TYPES = { png: "image/png", apng: "image/png", json: "application/json", charx: "application/zip" };
const TELL_FROM_BYTES = 512 * 1024; // a smaller card has arrived before its progress could be read

function carriesFiles(event) {
  return event.dataTransfer?.types.includes("Files");
}

/** Takes card files from the reader and gives them to the server. */
export class CardImport {
  /**
   * @param {{button: HTMLElement, input: HTMLInputElement, curtain: HTMLElement}} nodes the button and its hidden
   *   file field, and what covers the page while a file is above it
   * @param {{key: () => (string|null), onadded: (character: {id: string}) => void, onkey: (error: KeyNeeded) => void,
   *   tell: (words: string) => void, warn: (words: string) => void}} page what to ask, and whom to tell
   */
  constructor({ button, input, curtain }, page) {
    this.page = page;
    this.curtain = curtain;
    this.depth = 0;
    button.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const [file] = input.files;
      input.value = "";
      if (file) this.take(file);
    });
    document.addEventListener("dragenter", (event) => this.#enter(event));
    document.addEventListener("dragleave", (event) => this.#leave(event));
    document.addEventListener("dragover", (event) => {
      if (carriesFiles(event)) event.preventDefault();
    });
    document.addEventListener("drop", (event) => this.#drop(event));
  }

  /**
   * Give one file to the server.
   * @param {File} file a card
   */
  async take(file) {
    const { page } = this;
    const type = TYPES[file.name.toLowerCase().split(".").at(-1)];
    if (!type) return page.warn(t("card_kind", { name: file.name }));
    const progress = (share) => {
      if (file.size >= TELL_FROM_BYTES) page.tell(t("card_sending", { name: file.name, percent: Math.round(share * 100) }));
    };
    progress(0);
    try {
      page.onadded(await sendCard(file, type, page.key(), progress));
    } catch (error) {
      if (error instanceof KeyNeeded) page.onkey(error);
      else if (error instanceof CardRefused) {
        page.warn(t("card_refused", { name: file.name, message: error.message || t("card_lost") }));
      } else throw error;
    }
    return undefined;
  }

  #enter(event) {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    this.depth += 1;
    this.curtain.hidden = false;
  }

  #leave(event) {
    if (!carriesFiles(event)) return;
    this.depth = Math.max(0, this.depth - 1);
    if (this.depth === 0) this.curtain.hidden = true;
  }

  #drop(event) {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    this.depth = 0;
    this.curtain.hidden = true;
    const [file] = event.dataTransfer.files;
    if (file) this.take(file);
  }
}
