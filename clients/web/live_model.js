// What the engine did lately: columns (one per step), a lane per sequence, and figures. No DOM.

const KEEP_COLUMNS = 1600;
const IDLE_GAP_S = 0.6;
const REST_S = 2.5; // a slow step is no rest
const FORGET_AFTER = 400; // columns without a sign of life, should its leaving have been missed
const SPEED_WINDOW_S = 60;
const LANE_REST = 12; // columns that a lane stays empty, so that a leaving and a joining are told apart

/**
 * @typedef {object} Column
 * @property {number} index place on the endless strip
 * @property {boolean} gap an idle pause instead of a step
 * @property {number} running sequences in the batch
 * @property {number} waiting sequences in the queue
 * @property {Array<{lane: number, id: string, kind: string, tokens: number, hue: number}>} cells
 * @property {Array<{lane: number, id: string, hue: number}>} joined
 * @property {Array<{lane: number, id: string, hue: number}>} left
 */

/** Gathers feed frames into a picture's worth of state. */
export class LiveModel {
  constructor() {
    /** @type {Column[]} */
    this.columns = [];
    this.next = 0;
    this.lastStep = -1;
    this.lastT = null;
    this.lanes = new Map();
    /** @type {number[]} the column at which each lane was left */
    this.freed = [];
    this.laneCount = 0;
    this.born = 0;
    this.now = { running: 0, waiting: 0, used: 0, cached: 0, total: 0, tps: 0, seats: 0, ms: 0, t: 0 };
    this.peak = 0;
    /** @type {Array<{t: number, tps: number}>} */
    this.speed = [];
    this.stepsPerSecond = 0;
  }

  /** @param {Record<string, any>} frame one event of the feed */
  take(frame) {
    const { now } = this;
    now.t = Number(frame.t) || now.t;
    now.total = frame.kv_blocks_total ?? now.total;
    now.tps = frame.tokens_per_second ?? 0;
    now.seats = frame.max_num_seqs ?? now.seats;
    const steps = Array.isArray(frame.steps) ? frame.steps : [];
    if (steps.length > 0 && steps.at(-1).step < this.lastStep - KEEP_COLUMNS) this.#restart();
    if (frame.dropped > 0) this.#doubt();
    for (const step of steps) this.#step(step);
    if (steps.length === 0 && this.lastT !== null && now.t - this.lastT > REST_S) this.#rest();
    this.peak = Math.max(this.peak, now.tps);
    this.speed.push({ t: now.t, tps: now.tps });
    while (this.speed.length > 2 && this.speed[1].t < now.t - SPEED_WINDOW_S) this.speed.shift();
    if (this.columns.length > KEEP_COLUMNS) this.columns.splice(0, this.columns.length - KEEP_COLUMNS);
  }

  /**
   * @param {number} index place on the strip
   * @returns {Column|undefined}
   */
  at(index) {
    return this.columns[index - (this.columns[0]?.index ?? 0)];
  }

  /** Frames were missed (pause, lost line): the silence between was not the engine's. */
  resume() {
    this.lastT = null;
  }

  #restart() {
    this.lastStep = -1;
    this.lastT = null;
    this.lanes.clear();
  }

  // Steps were lost on the way, perhaps with somebody's leaving: who stays silent now is forgotten soon.
  #doubt() {
    for (const seat of this.lanes.values()) seat.seen = this.next - FORGET_AFTER + LANE_REST;
  }

  // The feed is quiet while the engine rests, so an empty frame means that nothing runs.
  #rest() {
    Object.assign(this.now, { running: 0, waiting: 0 });
    for (const id of [...this.lanes.keys()]) this.lanes.delete(id);
  }

  #step(step) {
    if (step.step <= this.lastStep) return;
    this.lastStep = step.step;
    const idle = this.lastT === null ? 0 : step.t - this.lastT - (step.ms ?? 0) / 1000;
    if (idle > IDLE_GAP_S) {
      this.#column({ gap: true, seconds: idle, running: 0, waiting: 0, cells: [], joined: [], left: [] });
    } else if (this.lastT !== null && step.t > this.lastT) {
      this.stepsPerSecond += (1 / (step.t - this.lastT) - this.stepsPerSecond) * 0.05;
    }
    this.lastT = step.t;
    const joined = (step.joined ?? []).map((id) => this.#seat(id));
    const cells = (step.batch ?? []).map(([id, kind, tokens]) => {
      const seat = this.#seat(id);
      seat.seen = this.next;
      return { ...seat, kind, tokens };
    });
    const left = (step.left ?? []).filter((id) => this.lanes.has(id)).map((id) => ({ ...this.lanes.get(id) }));
    this.#column({
      gap: false, step: step.step, ms: step.ms, running: step.running ?? cells.length,
      waiting: step.waiting ?? 0, prefill: step.prefill_tokens ?? 0, decode: step.decode_tokens ?? 0,
      used: step.kv_blocks_used ?? 0, cells, joined: joined.map((seat) => ({ ...seat })), left,
    });
    for (const seat of left) {
      this.lanes.delete(seat.id);
      this.freed[seat.lane] = this.next;
    }
    for (const [id, seat] of this.lanes) if (this.next - seat.seen > FORGET_AFTER) this.lanes.delete(id);
    Object.assign(this.now, {
      running: step.running ?? cells.length, waiting: step.waiting ?? 0,
      used: step.kv_blocks_used ?? this.now.used, cached: step.kv_blocks_cached ?? this.now.cached, ms: step.ms ?? this.now.ms,
    });
  }

  #column(column) {
    this.columns.push({ index: this.next, ...column });
    this.next += 1;
  }

  #seat(id) {
    const known = this.lanes.get(id);
    if (known) return known;
    const taken = new Set(Array.from(this.lanes.values(), (seat) => seat.lane));
    let lane = 0;
    while (taken.has(lane) || this.next - (this.freed[lane] ?? -LANE_REST) < LANE_REST) lane += 1;
    const seat = { id, lane, hue: (24 + this.born * 137.508) % 360, seen: this.next };
    this.born += 1;
    this.lanes.set(id, seat);
    this.laneCount = Math.max(this.laneCount, lane + 1);
    return seat;
  }
}
