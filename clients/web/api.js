// The HTTP side of the server: characters, and whether our key opens the door.

const TIMEOUT_MS = 10_000;

/** The server asks for a key, or refuses ours. */
export class KeyNeeded extends Error {}

/** The server answered, but not with success. */
export class HttpRefusal extends Error {
  /**
   * @param {number} status HTTP status
   * @param {number} retryAfter seconds the server asks us to wait, 0 when it does not say
   */
  constructor(status, retryAfter = 0) {
    super(`HTTP ${status}`);
    this.status = status;
    this.retryAfter = retryAfter;
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
  if (answer.status === 401) throw new KeyNeeded("unauthorised");
  if (!answer.ok) throw new HttpRefusal(answer.status, Number(answer.headers.get("Retry-After")) || 0);
  return answer.json();
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
