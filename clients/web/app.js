// The composition: builds every part of the page once and connects them.
import { KeyNeeded, listCharacters } from "./api.js";
import { ChatView } from "./chat_view.js";
import { Conversation } from "./conversation.js";
import { byId, icon } from "./dom.js";
import { EXPRESSIONS } from "./expressions.js";
import { language, localised, setLanguage, t, translatePage } from "./i18n.js";
import { askForKey } from "./key_dialog.js";
import { LiveView } from "./live_view.js";
import { Picker } from "./picker.js";
import { RealtimeLink } from "./realtime.js";
import { Session } from "./session.js";
import * as settings from "./settings.js";
import { Stage } from "./stage.js";
import { StatusBar } from "./status_bar.js";

const THEME_ICONS = {
  auto: ["M12 4a8 8 0 1 0 0 16z", "M12 4a8 8 0 0 1 0 16"],
  light: ["M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z", "M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4"],
  dark: ["M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5z"],
};

/** The page. */
class App {
  constructor() {
    setLanguage(settings.savedLanguage());
    settings.applyTheme(settings.savedTheme());
    this.characters = [];
    this.conversations = new Map();
    this.character = null;
    this.link = new RealtimeLink(settings.savedKey);
    this.session = new Session(this.link);
    this.stage = new Stage();
    this.stage.thinking = () => this.session.thinking;
    this.chat = new ChatView();
    this.picker = new Picker(byId("characters"), (id) => this.meet(id));
    this.live = new LiveView(byId("live-view"), settings.savedKey);
    this.status = new StatusBar(() => this.retry());
    this.input = byId("message");
    this.#listenToSession();
    this.#listenToReader();
    this.#relabel();
    this.#route();
  }

  /** Load the cast and begin. */
  async start() {
    this.status.show({ name: "connecting" });
    try {
      this.characters = await listCharacters(settings.savedKey());
    } catch (error) {
      if (error instanceof KeyNeeded) return this.#askKey(Boolean(settings.savedKey()), () => this.start());
      this.status.show({ name: "stopped", text: t("load_failed") });
      return undefined;
    }
    if (this.characters.length === 0) {
      this.status.show({ name: "stopped", text: t("no_characters") });
      return undefined;
    }
    const saved = settings.savedCharacter();
    const first = this.characters.find((one) => one.id === saved) ?? this.characters[0];
    this.picker.show(this.characters, first.id);
    this.meet(first.id);
    if (window.matchMedia("(pointer: fine)").matches && !this.live.open) this.input.focus();
    return undefined;
  }

  /** @param {string} id character to talk to; its conversation goes on where it was */
  meet(id) {
    this.character = this.characters.find((one) => one.id === id);
    settings.saveCharacter(id);
    if (!this.conversations.has(id)) this.conversations.set(id, new Conversation());
    this.stage.enter(this.character);
    this.#begin();
  }

  /** Forget this conversation and start another with the same character. */
  startOver() {
    if (!this.character) return;
    this.link.close();
    this.conversation.clear();
    this.stage.enter(this.character);
    this.#begin();
    this.input.focus();
  }

  /** Connect again by hand. */
  retry() {
    if (this.character) this.link.retry();
    else this.start();
  }

  /** Send what is in the box. */
  submit() {
    const text = this.input.value.trim();
    if (!text || !this.conversation) return;
    this.input.value = "";
    this.#fitInput();
    this.status.clearNotice();
    this.session.say(text);
  }

  get conversation() {
    return this.character ? this.conversations.get(this.character.id) : null;
  }

  #begin() {
    const conversation = this.conversation;
    if (conversation.items.length === 0) this.#greet(conversation);
    this.chat.show(conversation, localised(this.character.name, this.character.id));
    this.session.open(this.character.id, conversation);
    this.#relabelInput();
  }

  #greet(conversation) {
    const raw = localised(this.character.greeting);
    if (!raw) return;
    const item = conversation.greet(raw, [...EXPRESSIONS, ...(this.character.expressions ?? [])]);
    for (const expression of item.expressions) this.stage.mark(expression);
    this.stage.speak(item.text);
  }

  #listenToSession() {
    const on = (name, act) => this.session.addEventListener(name, (event) => act(event.detail));
    on("added", ({ item }) => {
      if (item.role === "assistant") this.stage.begin();
      this.chat.add(item);
    });
    on("text", ({ item, delta }) => {
      this.chat.append(item, delta);
      this.stage.speak(delta);
    });
    on("feeling", ({ expression }) => this.stage.mark(expression));
    on("settled", ({ item }) => {
      this.chat.settle(item);
      if (item.status !== "completed") this.stage.hush();
    });
    on("dropped", ({ item }) => this.chat.drop(item));
    on("busy", () => this.#refreshButtons());
    on("refused", (error) => this.status.refuse(error));
    this.link.addEventListener("state", ({ detail }) => {
      if (detail.name === "closed") return;
      this.status.show(detail);
      if (detail.name === "key") this.#askKey(detail.wrong, () => this.link.retry());
    });
    window.addEventListener("online", () => {
      if (this.link.state.name === "waiting") this.link.retry();
    });
  }

  async #askKey(wrong, then) {
    this.status.show({ name: "key" });
    settings.saveKey(await askForKey(byId("key-dialog"), wrong));
    this.live.reconnect();
    then();
  }

  #listenToReader() {
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.submit();
    });
    this.input.addEventListener("input", () => {
      this.#fitInput();
      this.stage.noticeTyping();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing && !byId("key-dialog").open) this.session.stop();
    });
    byId("stop").addEventListener("click", () => {
      this.session.stop();
      this.input.focus();
    });
    byId("new-chat").addEventListener("click", () => this.startOver());
    byId("lang").addEventListener("click", () => this.#switchLanguage());
    byId("theme").addEventListener("click", () => this.#switchTheme());
    window.addEventListener("hashchange", () => this.#route());
    window.visualViewport?.addEventListener("resize", () => this.#makeRoom());
  }

  // Where the on-screen keyboard covers the page instead of shrinking it, shrink the page by hand.
  #makeRoom() {
    const { height, scale } = window.visualViewport;
    const covered = scale === 1 && window.innerHeight - height > 80;
    document.body.style.height = covered ? `${height}px` : "";
  }

  #fitInput() {
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight}px`;
    this.#refreshButtons();
  }

  #refreshButtons() {
    const full = this.input.value.trim() !== "";
    const { busy, stopping } = this.session;
    byId("send").disabled = !full;
    byId("stop").hidden = !busy;
    byId("stop").disabled = stopping;
    byId("composer").classList.toggle("busy", busy && !full);
  }

  #switchLanguage() {
    setLanguage(language() === "ja" ? "en" : "ja");
    settings.saveLanguage(language());
    this.#relabel();
    if (!this.character) return;
    this.picker.show(this.characters, this.character.id);
    this.stage.relabel();
    if (this.conversation.untouched) this.startOver();
    else this.chat.show(this.conversation, localised(this.character.name, this.character.id));
    byId("lang").focus();
  }

  #switchTheme() {
    const next = (settings.THEMES.indexOf(settings.savedTheme()) + 1) % settings.THEMES.length;
    settings.applyTheme(settings.THEMES[next]);
    this.#relabelTheme();
    this.live.repaint();
  }

  #relabel() {
    translatePage();
    const lang = byId("lang");
    lang.textContent = language() === "ja" ? "EN" : "日本語";
    lang.lang = language() === "ja" ? "en" : "ja";
    lang.setAttribute("aria-label", t("language"));
    lang.title = t("language");
    this.#relabelTheme();
    this.#relabelInput();
    this.status.relabel();
    this.live.relabel();
  }

  #relabelTheme() {
    const mode = settings.savedTheme();
    const label = t("theme", { mode: t(`theme_${mode}`) });
    byId("theme").replaceChildren(icon(...THEME_ICONS[mode]));
    byId("theme").setAttribute("aria-label", label);
    byId("theme").title = label;
  }

  #relabelInput() {
    const name = this.character ? localised(this.character.name, this.character.id) : "…";
    this.input.placeholder = t("placeholder", { name });
  }

  #route() {
    const engine = window.location.hash === "#engine";
    document.body.dataset.view = engine ? "live" : "chat";
    byId("chat-view").hidden = engine;
    byId("live-view").hidden = !engine;
    for (const [id, is] of [["tab-chat", !engine], ["tab-live", engine]]) {
      if (is) byId(id).setAttribute("aria-current", "page");
      else byId(id).removeAttribute("aria-current");
    }
    if (engine) this.live.show();
    else this.live.hide();
  }
}

new App().start();
