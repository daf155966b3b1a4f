// What the reader chose: language, theme, own name and more (kept); API key and the talk so far (this tab only).

const LANGUAGE = "kaiwa.language";
const THEME = "kaiwa.theme";
const KEY = "kaiwa.key";
const CHARACTER = "kaiwa.character";
const TALK = "kaiwa.talk";
const USER_NAME = "kaiwa.user_name";
const SPEAKS_FIRST = "kaiwa.speaks_first";

/** Theme choices in the order of the toggle. */
export const THEMES = ["auto", "light", "dark"];

function read(store, name) {
  try {
    return store().getItem(name);
  } catch {
    return null; // storage may be forbidden; the page works without
  }
}

function write(store, name, value) {
  try {
    if (value) store().setItem(name, value);
    else store().removeItem(name);
  } catch {
    // nothing to keep it in
  }
}

const local = () => window.localStorage;
const tab = () => window.sessionStorage;

/** @returns {"en"|"ja"} the chosen language, else the browser's */
export function savedLanguage() {
  const saved = read(local, LANGUAGE);
  if (saved === "en" || saved === "ja") return saved;
  return (navigator.language || "en").toLowerCase().startsWith("ja") ? "ja" : "en";
}

/** @param {"en"|"ja"} lang language to keep */
export function saveLanguage(lang) {
  write(local, LANGUAGE, lang);
}

/** @returns {"auto"|"light"|"dark"} */
export function savedTheme() {
  const saved = read(local, THEME);
  return THEMES.includes(saved) ? saved : "auto";
}

/** @param {"auto"|"light"|"dark"} theme theme to keep and to show */
export function applyTheme(theme) {
  write(local, THEME, theme === "auto" ? null : theme);
  document.documentElement.dataset.theme = theme;
}

/** @returns {string|null} the API key of this tab */
export function savedKey() {
  return read(tab, KEY);
}

/** @param {string|null} key API key to hold, or null to forget it */
export function saveKey(key) {
  write(tab, KEY, key);
}

/** @param {object} talk what the next page in this tab goes on with */
export function leaveTalk(talk) {
  write(tab, TALK, JSON.stringify(talk));
}

/**
 * What the page before has left in this tab, once: a tab that is a copy of this one begins anew.
 * @returns {object|null}
 */
export function takeTalk() {
  const left = read(tab, TALK);
  write(tab, TALK, null);
  try {
    return JSON.parse(left);
  } catch {
    return null;
  }
}

/** @returns {string|null} the character talked to last */
export function savedCharacter() {
  return read(local, CHARACTER);
}

/** @param {string} id character to remember */
export function saveCharacter(id) {
  write(local, CHARACTER, id);
}

/** @returns {string} what characters call the reader; empty for no name */
export function savedUserName() {
  return read(local, USER_NAME) ?? "";
}

/** @param {string} name name to keep */
export function saveUserName(name) {
  write(local, USER_NAME, name);
}

/** @returns {boolean} whether characters speak by themselves after a silence */
export function savedSpeaksFirst() {
  return read(local, SPEAKS_FIRST) === "yes";
}

/** @param {boolean} does whether they do */
export function saveSpeaksFirst(does) {
  write(local, SPEAKS_FIRST, does ? "yes" : null);
}
