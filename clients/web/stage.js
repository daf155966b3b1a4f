// The stage: one living face, its name, and the clock that moves it while anyone can see it.
import { completeAvatar, inkOn } from "./color.js";
import { byId, calm } from "./dom.js";
import { poseName } from "./expressions.js";
import { Face } from "./face.js";
import { has, language, localised, t } from "./i18n.js";
import { Performer } from "./performer.js";

/** Shows one character and lets it act. */
export class Stage {
  constructor() {
    this.box = byId("face");
    this.performer = new Performer();
    this.face = null;
    this.character = null;
    this.thinking = () => false;
    this.typedAt = -Infinity;
    this.last = 0;
    this.frame = 0;
    this.visible = true;
    new IntersectionObserver((seen) => {
      this.visible = seen.at(-1).isIntersecting;
      this.#wake();
    }).observe(this.box);
    document.addEventListener("visibilitychange", () => this.#wake());
  }

  /** @param {{id: string}} character who comes on stage */
  enter(character) {
    this.character = character;
    this.performer.begin();
    this.face = new Face(character);
    this.face.element.dataset.testid = "face";
    this.box.replaceChildren(this.face.element);
    const { accent } = completeAvatar(character.id, character.avatar);
    const root = document.documentElement.style;
    root.setProperty("--accent", accent);
    root.setProperty("--on-accent", inkOn(accent));
    this.relabel();
    this.#wake();
  }

  /** Write the names again, after a change of language or feeling. */
  relabel() {
    if (!this.character) return;
    const name = localised(this.character.name, this.character.id);
    byId("who").textContent = name;
    const names = this.character.name ?? {};
    const other = language() === "ja" ? names.en : names.ja;
    byId("who-other").textContent = other && other !== name ? other : "";
    byId("who-other").lang = language() === "ja" ? "en" : "ja";
    byId("about").textContent = localised(this.character.description);
    const key = `feel_${this.face.expression}`;
    const feeling = has(key) ? t(key) : this.face.expression;
    byId("mood").textContent = feeling;
    document.documentElement.dataset.mood = poseName(this.face.expression);
    this.face.element.setAttribute("aria-label", t("looks", { name, feeling }));
  }

  /** A new reply begins. */
  begin() {
    this.performer.begin();
    this.#wake();
  }

  /** @param {string} words what the character says next */
  speak(words) {
    this.performer.push(words);
    this.#wake();
  }

  /** @param {{offset: number, name: string, weight: number}} expression a feeling and its place */
  mark({ offset, name, weight }) {
    this.performer.mark(offset, name, weight);
    this.#wake();
  }

  /** The reply was stopped: the mouth closes now. */
  hush() {
    this.#feel(this.performer.cut());
  }

  /** The reader is typing; the eyes go there. */
  noticeTyping() {
    this.typedAt = performance.now();
  }

  #feel(expression) {
    if (!expression || !this.face) return;
    this.face.feel(expression.name, expression.weight);
    this.relabel();
  }

  #wake() {
    if (this.frame || !this.face || !this.visible || document.hidden) return;
    this.last = performance.now();
    this.frame = requestAnimationFrame((now) => this.#tick(now));
  }

  #tick(now) {
    this.frame = 0;
    const dt = Math.max(0, Math.min(0.1, (now - this.last) / 1000));
    this.last = now;
    const act = this.performer.advance(dt);
    this.#feel(act.expression);
    this.face.say(calm.matches ? { open: 0, wide: 1 } : act.shape);
    const typing = now - this.typedAt < 1600;
    this.face.attend(this.thinking() ? "thinking" : typing ? "typing" : "user");
    this.face.advance(dt);
    if (!this.visible || document.hidden) return;
    if (calm.matches && !act.speaking) return;
    this.frame = requestAnimationFrame((next) => this.#tick(next));
  }
}
