// The composition: builds every part of the page once and connects them.
import { KeyNeeded, listCharacters } from "./api.js";
import { MOTIONS } from "./avatar/motions.js";
import { CardImport } from "./card_import.js";
import { ChatView } from "./chat_view.js";
import { Conversation } from "./conversation.js";
import { byId } from "./dom.js";
import { language, localised, setLanguage, t, translatePage } from "./i18n.js";
import { askForKey } from "./key_dialog.js";
import { LiveView } from "./live_view.js";
import { openOwnDialog } from "./own_dialog.js";
import { Picker } from "./picker.js";
import { RealtimeLink } from "./realtime.js";
import { newsOf } from "./service_news.js";
import { Session } from "./session.js";
import * as settings from "./settings.js";
import { Stage } from "./stage.js";
import { StatusBar } from "./status_bar.js";
import { ThemeButton } from "./theme_button.js";

const IDLE_MS = 60_000;

/** The page. */
class App {
  constructor() {
    setLanguage(settings.savedLanguage());
    this.characters = [];
    this.greetings = 0; // to choose from, of the character of the moment
    this.conversations = new Map();
    this.character = null;
    this.link = new RealtimeLink(settings.savedKey);
    this.greeting = 0;
    this.session = new Session(this.link, () => this.#profile());
    this.stage = new Stage((playback) => this.#played(playback));
    this.chat = new ChatView((summary) => this.#remember(summary));
    this.picker = new Picker(byId("characters"), (id) => this.meet(id), settings.savedKey);
    this.cards = new CardImport({ button: byId("add-card"), input: byId("card-file"), curtain: byId("curtain") }, {
      key: settings.savedKey,
      onadded: (character) => this.#welcome(character),
      onkey: ({ why }) => this.#askKey(settings.savedKey() ? why : null, () => this.link.retry()),
      tell: (words) => this.status.tell(words),
      warn: (words) => this.status.warn(words),
    });
    this.live = new LiveView(byId("live-view"), settings.savedKey);
    this.status = new StatusBar(() => this.retry());
    this.theme = new ThemeButton(byId("theme"), () => this.live.repaint());
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
      if (error instanceof KeyNeeded) return this.#askKey(settings.savedKey() ? error.why : null, () => this.start());
      this.status.show({ name: "stopped", text: "load_failed" });
      return undefined;
    }
    if (this.characters.length === 0) {
      this.status.show({ name: "stopped", text: "no_characters" });
      return undefined;
    }
    const left = this.#unpack(settings.takeTalk());
    const saved = left?.model ?? settings.savedCharacter();
    const first = this.characters.find((one) => one.id === saved) ?? this.characters[0];
    this.picker.show(this.characters, first.id);
    this.meet(first.id, first.id === left?.model ? left.luggage : null);
    if (window.matchMedia("(pointer: fine)").matches && !this.live.open) this.input.focus();
    return undefined;
  }

  /**
   * @param {string} id character to talk to; its conversation goes on where it was
   * @param {import("./session.js").Luggage|null} [luggage] of the page before this one
   */
  meet(id, luggage = null) {
    this.character = this.characters.find((one) => one.id === id);
    settings.saveCharacter(id);
    this.greeting = this.greetings = 0;
    if (!this.conversations.has(id)) this.conversations.set(id, new Conversation());
    this.stage.enter(this.character);
    this.#begin(luggage);
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
    this.session.say(text, this.stage.interrupt()?.item_id);
  }

  /** Stop the character: its words, its voice, or both. */
  stop() {
    this.session.stop(this.stage.interrupt()?.item_id);
    this.#refreshButtons();
  }

  get conversation() {
    return this.character ? this.conversations.get(this.character.id) : null;
  }

  #begin(luggage = null) {
    this.#refreshGreeting();
    this.status.forgetNews();
    this.chat.show(this.conversation, localised(this.character.name, this.character.id));
    this.session.open(this.character.id, this.conversation, luggage);
    this.#relabelInput();
  }

  // For the page that a reload brings: it goes on with the same session, where that still waits.
  #pack() {
    if (!this.character) return;
    const conversations = [...this.conversations].map(([id, { items, summary }]) => [id, { items, summary }]);
    settings.leaveTalk({ model: this.character.id, luggage: this.session.luggage, conversations });
  }

  #unpack(left) {
    for (const [id, kept] of left?.conversations ?? []) this.conversations.set(id, Conversation.of(kept));
    return left;
  }

  // What every new session is told of its reader.
  #profile() {
    const greets = localised(this.character.greeting) !== "";
    return {
      character: {
        user_name: settings.savedUserName() || null,
        motions: MOTIONS,
        visemes: { scheme: "vrm1" },
        proactive: settings.savedSpeaksFirst() ? { idle_ms: IDLE_MS } : null,
      },
      greet: greets ? { index: this.greeting, language: language() } : null,
    };
  }

  // What an interruption leaves is for the session to tell.
  #played(playback) {
    if (playback.state !== "interrupted") this.session.report(playback);
    if (playback.state === "started") this.chat.highlight(playback.item_id, playback.segment_index);
    else this.chat.highlight(null);
    this.#refreshButtons();
  }

  #remember(summary) {
    this.conversation.summary = summary;
    this.session.configure({ memory: { summary } });
  }

  #welcome(character) {
    const others = this.characters.filter((one) => one.id !== character.id);
    this.characters = [...others, character];
    this.conversations.delete(character.id);
    this.picker.show(this.characters, character.id);
    this.meet(character.id);
    const name = localised(character.name, character.id);
    this.status.tell([t("card_added", { name }), ...(character.warnings ?? [])].join(" "));
  }

  #listenToSession() {
    const on = (name, act) => this.session.addEventListener(name, (event) => act(event.detail));
    on("added", ({ item }) => {
      this.chat.add(item);
      this.#refreshGreeting();
    });
    on("text", ({ item, delta }) => this.chat.append(item, delta));
    on("segment", ({ item }) => this.chat.repaint(item));
    on("act", ({ event }) => this.stage.perform(event));
    on("heard", ({ item }) => this.chat.repaint(item));
    on("settled", ({ item }) => this.chat.settle(item));
    on("character", ({ character }) => {
      this.greetings = character.greetings ?? 0;
      this.#refreshGreeting();
    });
    on("dropped", ({ item }) => this.chat.drop(item));
    on("busy", () => this.#refreshButtons());
    on("refused", (error) => this.status.refuse(error));
    this.link.addEventListener("state", ({ detail }) => {
      if (detail.name === "closed") return;
      this.status.show(detail);
      if (detail.name === "key") this.#askKey(detail.why, () => this.link.retry());
    });
    this.link.addEventListener("event", ({ detail }) => {
      const news = newsOf(detail);
      if (news) this.status.report(news);
      if (detail.type === "session.created") this.status.record(detail.session?.recording?.text ?? null);
    });
    window.addEventListener("pagehide", () => this.#pack());
    window.addEventListener("online", () => {
      if (this.link.state.name === "waiting") this.link.retry();
    });
  }

  async #askKey(why, then) {
    this.status.show({ name: "key" });
    settings.saveKey(await askForKey(byId("key-dialog"), why));
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
      if (event.key === "Escape" && !event.isComposing && !document.querySelector("dialog[open]")) this.stop();
    });
    byId("stop").addEventListener("click", () => {
      this.stop();
      this.input.focus();
    });
    byId("own").addEventListener("click", () => openOwnDialog(byId("own-dialog"), () => this.session.configure(this.#profile().character)));
    byId("other-greeting").addEventListener("click", () => this.#greetAnew());
    byId("new-chat").addEventListener("click", () => this.startOver());
    byId("lang").addEventListener("click", () => this.#switchLanguage());
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
    const active = busy || this.stage.playing;
    byId("stop").hidden = !active;
    byId("stop").disabled = stopping;
    byId("composer").classList.toggle("busy", active && !full);
  }

  #refreshGreeting() {
    byId("other-greeting").hidden = !(this.greetings > 1 && this.conversation?.untouched);
  }

  #greetAnew() {
    this.greeting = (this.greeting + 1) % this.greetings;
    this.startOver();
    byId("other-greeting").focus();
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

  #relabel() {
    translatePage();
    const lang = byId("lang");
    lang.textContent = language() === "ja" ? "EN" : "日本語";
    lang.lang = language() === "ja" ? "en" : "ja";
    lang.setAttribute("aria-label", t("language"));
    lang.title = t("language");
    this.theme.relabel();
    this.#relabelInput();
    this.status.relabel();
    this.live.relabel();
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
