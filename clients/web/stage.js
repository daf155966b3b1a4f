// The stage: one living face, its name, and the clock that moves it while anyone can see it.
import { shutMouth } from "./avatar/avatar.js";
import { poseName } from "./avatar/expressions.js";
import { Face } from "./avatar/face.js";
import { Player } from "./avatar/player.js";
import { completeAvatar, inkOn } from "./color.js";
import { byId, calm } from "./dom.js";
import { has, language, localised, t } from "./i18n.js";

const TYPING_MS = 1600;

/** Shows one character and lets it act. */
export class Stage {
  /** @param {(playback: import("./avatar/player.js").Playback) => void} report told of every start and end */
  constructor(report) {
    this.box = byId("face");
    this.face = null;
    this.character = null;
    this.gaze = "user";
    this.typedAt = -Infinity;
    this.last = 0;
    this.frame = 0;
    this.visible = true;
    this.player = new Player(this.#body(), { report });
    new IntersectionObserver((seen) => {
      this.visible = seen.at(-1).isIntersecting;
      this.#wake();
    }).observe(this.box);
    document.addEventListener("visibilitychange", () => this.#wake());
  }

  /** Whether the character still speaks, or will. */
  get playing() {
    return this.player.playing;
  }

  /** @param {{id: string}} character who comes on stage */
  enter(character) {
    this.character = character;
    this.face = new Face(character);
    this.face.element.dataset.testid = "face";
    this.player.reset();
    this.gaze = "user";
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

  /** @param {{type: string}} event of `character.v1`, to be played in its turn */
  perform(event) {
    if (this.face) this.player.take(event, performance.now());
    this.#wake();
  }

  /**
   * Stop at once: the mouth shuts, and what is not yet played never is.
   * @returns {{item_id: string, text_end: number}|null} what was heard of the reply that was cut off
   */
  interrupt() {
    const heard = this.face ? this.player.interrupt(performance.now()) : null;
    this.gaze = "user";
    this.#wake();
    return heard;
  }

  /** The reader is typing; the eyes go there. */
  noticeTyping() {
    this.typedAt = performance.now();
  }

  // The face with what belongs to a page: the name's label, and calm for those who asked for it.
  #body() {
    return {
      setExpression: (name, weight) => {
        this.face.setExpression(name, weight);
        this.relabel();
      },
      setMouth: (mouth) => this.face?.setMouth(calm.matches ? shutMouth() : mouth),
      playMotion: (name) => this.face.playMotion(name),
      attend: (where) => {
        this.gaze = where;
      },
    };
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
    this.player.advance(performance.now());
    this.face.attend(now - this.typedAt < TYPING_MS ? "typing" : this.gaze);
    this.face.advance(dt);
    if (!this.visible || document.hidden) return;
    if (calm.matches && !this.player.restless) return;
    this.frame = requestAnimationFrame((next) => this.#tick(next));
  }
}
