// The HTTP side of the server: characters, and whether our key opens the door.

const TIMEOUT_MS = 10_000;

/** The server asks for a key, or refuses ours. */
export class KeyNeeded extends Error {
  /** @param {string} [code] the server's name for what is wrong with the key */
  constructor(code = "") {
    super("unauthorised");
    /** @type {"wrong"|"ended"} */
    this.why = code === "api_key_expired" ? "ended" : "wrong";
  }
}

/** The server answered, but not with success. */
export class HttpRefusal extends Error {
  /**
   * @param {number} status HTTP status
   * @param {number} retryAfter seconds the server asks us to wait, 0 when it does not say
   * @param {string} code the server's name for it; empty where somebody on the way has answered
   * @param {string} reason the server's words
   */
  constructor(status, retryAfter = 0, code = "", reason = "") {
    super(`HTTP ${status}`);
    this.status = status;
    this.retryAfter = retryAfter;
    this.code = code;
    this.reason = reason;
  }
}

/**
 * Headers that carry the key, when there is one.
 * @param {string|null} key API key
 * @returns {Record<string, string>}
 */
export function authorised(key) {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/**
 * GET a JSON document.
 * @param {string} path path on this server
 * @param {string|null} key API key
 * @returns {Promise<any>}
 */
export async function getJson(path, key) {
  const answer = await fetch(path, { headers: authorised(key), cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  await check(answer);
  return answer.json();
}

/**
 * Ask why a WebSocket was not opened: browsers keep the answer to themselves.
 * @param {string} model character to talk to
 * @param {string|null} key API key
 * @returns {Promise<void>} where it would be opened now
 * @throws {KeyNeeded|HttpRefusal} where it is refused
 */
export async function askWhy(model, key) {
  const path = `/v1/realtime?${new URLSearchParams({ model })}`;
  await check(await fetch(path, { method: "POST", headers: authorised(key), signal: AbortSignal.timeout(TIMEOUT_MS) }));
}

async function check(answer) {
  if (answer.ok) return;
  const { code, message } = (await answer.json().catch(() => null))?.error ?? {};
  if (answer.status === 401) throw new KeyNeeded(code);
  throw new HttpRefusal(answer.status, Number(answer.headers.get("Retry-After")) || 0, code, message);
}

/**
 * The characters of this server.
 * @param {string|null} key API key
 * @returns {Promise<Array<{id: string}>>}
 */
export async function listCharacters(key) {
  const list = await getJson("/v1/characters", key);
  return (list?.data ?? []).filter((one) => typeof one?.id === "string");
}

/** The server read a card and did not take it. */
export class CardRefused extends Error {}

/**
 * Give the server a character card.
 * @param {Blob} file the card: PNG, JSON or CHARX
 * @param {string} type media type
 * @param {string|null} key API key
 * @param {(share: number) => void} onprogress told how much has left, 0 to 1
 * @returns {Promise<{id: string, warnings?: string[]}>} the character
 * @throws {KeyNeeded|CardRefused} with a sentence for the reader, where the server gave one
 */
export function sendCard(file, type, key, onprogress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much has been sent
    request.open("POST", "/v1/characters");
    request.setRequestHeader("Content-Type", type);
    for (const [name, value] of Object.entries(authorised(key))) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => onprogress(total > 0 ? loaded / total : 0);
    request.onerror = () => reject(new CardRefused(""));
    request.onload = () => {
      const { status, response } = request;
      if (status === 401) reject(new KeyNeeded(response?.error?.code));
      else if (status >= 200 && status < 300 && typeof response?.id === "string") resolve(response);
      else reject(new CardRefused(response?.error?.message ?? `HTTP ${status}`));
    };
    request.send(file);
  });
}

/**
 * A character's picture as something that an `img` may show.
 * @param {unknown} picture path on this server, or a data address
 * @param {string|null} key API key, which an `img` cannot send by itself
 * @returns {Promise<string|null>} null when there is none
 */
export async function pictureSource(picture, key) {
  if (typeof picture !== "string") return null;
  if (picture.startsWith("data:image/")) return picture;
  if (!/^\/(?!\/)/.test(picture)) return null; // another server's
  if (!key) return picture;
  const answer = await fetch(picture, { headers: authorised(key), signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!answer.ok) return null;
  const blob = await answer.blob();
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => resolve(null);
    reader.readAsDataURL(blob);
  });
}
