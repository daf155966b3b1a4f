// The engine's pulse: reads the server-sent events of /v1/engine/live and comes back by itself. No DOM.
import { authorised } from "./api.js";

const FIRST_DELAY_MS = 600;
const LONGEST_DELAY_MS = 10_000;

/** Emits `frame` (one parsed event) and `state` (`connecting`, `open` or `lost`) as `detail`. */
export class LiveFeed extends EventTarget {
  /** @param {() => (string|null)} key says the API key of the moment */
  constructor(key) {
    super();
    this.key = key;
    this.abort = null;
  }

  /** Begin to listen; does nothing when listening already. */
  start() {
    if (this.abort) return;
    this.abort = new AbortController();
    this.#run(this.abort.signal);
  }

  /** Stop listening. */
  stop() {
    this.abort?.abort();
    this.abort = null;
  }

  async #run(signal) {
    let attempt = 0;
    while (!signal.aborted) {
      this.#tell("state", "connecting");
      try {
        const answer = await fetch("/v1/engine/live", {
          headers: { Accept: "text/event-stream", ...authorised(this.key()) }, cache: "no-store", signal,
        });
        if (answer.ok && answer.body) {
          attempt = 0;
          this.#tell("state", "open");
          await this.#read(answer.body, signal);
        }
      } catch {
        // the network is away, or we stopped listening: both end this try
      }
      if (signal.aborted) return;
      this.#tell("state", "lost");
      const delay = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt) * (0.5 + Math.random() / 2);
      attempt += 1;
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, delay);
        signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
      });
    }
  }

  async #read(body, signal) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || signal.aborted) return;
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) this.#parse(block);
    }
  }

  #parse(block) {
    const data = block.split(/\r?\n/).filter((line) => line.startsWith("data:"))
      .map((line) => line.slice(5).trimStart()).join("\n");
    if (!data) return;
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    this.#tell("frame", frame);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
