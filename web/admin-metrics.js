// What the admin page knows of Prometheus: its text format, counters that begin again, quantiles of histograms.
//
// Invariant: nothing here touches the page or the clock, so that all of it runs under Node's test runner.
// Not here: which series are shown, and how (admin.js).

const LABEL = /\s*([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?/gy;
const LINE = /^([a-zA-Z_:][\w:]*)(\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?\s+(\S+)/;
const ESCAPES = { n: "\n", "\\": "\\", '"': '"' };

/**
 * The value that a sample has: decimals, `NaN`, `+Inf`, `-Inf`.
 * @param {string} text
 */
const valueOf = (text) => (/^[+-]?inf/i.test(text) ? (text[0] === "-" ? -Infinity : Infinity) : Number(text));

/** @param {string} text the inside of the braces */
function labelsOf(text) {
  const labels = {};
  for (const [, name, value] of text.matchAll(LABEL)) {
    labels[name] = value.replace(/\\(.)/g, (both, escaped) => ESCAPES[escaped] ?? both);
  }
  return labels;
}

/** What a series is called and labelled, by how it is written: a page repeats itself every second. */
const heads = new Map();

/**
 * Reads a page of metrics, of which lines that are no sample are left out.
 *
 * @param {string} text Prometheus text, version 0.0.4
 * @param {(name: string) => boolean} [wanted] whether to keep the series of this name
 * @returns {Map<string, {name: string, labels: Record<string, string>, value: number}>} by series as it is written
 */
export function parse(text, wanted = () => true) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const found = line && line[0] !== "#" && LINE.exec(line.trimStart());
    if (!found || !wanted(found[1])) continue;
    const key = found[1] + (found[2] ?? "");
    let head = heads.get(key);
    if (!head) heads.set(key, (head = { name: found[1], labels: labelsOf(found[2]?.slice(1, -1) ?? "") }));
    samples.set(key, { ...head, value: valueOf(found[3]) });
  }
  return samples;
}

/** Pages one after the other, so that what happened between two of them can be told. */
export class History {
  #points = [];
  #keysByName = new Map();
  #keepMs;

  /** @param {number} keepMs how long a page is remembered */
  constructor(keepMs) {
    this.#keepMs = keepMs;
  }

  /**
   * Takes in a page. Values that fell began again from 0, and so did all of a process that was restarted.
   *
   * @param {number} atMs of a clock that never goes back
   * @param {ReturnType<typeof parse>} samples
   * @param {boolean} restarted this is another process than that of the page before
   */
  handle_page(atMs, samples, restarted = false) {
    const before = this.#points.at(-1);
    const totals = new Map();
    this.#keysByName.clear();
    for (const [key, { name, value }] of samples) {
      if (!this.#keysByName.get(name)?.push(key)) this.#keysByName.set(name, [key]);
      const last = before?.samples.get(key)?.value;
      const grown = last === undefined ? 0 : restarted || value < last ? value : value - last;
      totals.set(key, (before?.totals.get(key) ?? 0) + grown);
    }
    this.#points.push({ atMs, samples, totals });
    while (this.#points[0].atMs < atMs - this.#keepMs) this.#points.shift();
  }

  /** The newest page, or nothing before the first. */
  get newest() {
    return this.#points.at(-1);
  }

  /** The oldest page of the last `spanMs` before the newest, if there is one. */
  #since(spanMs) {
    const newest = this.newest;
    const found = newest && this.#points.find((point) => point.atMs >= newest.atMs - spanMs);
    return found === newest ? undefined : found;
  }

  /** Keys of the newest page with this name and these labels. */
  keys(name, labels = {}) {
    const asked = Object.entries(labels);
    const matches = (key) => asked.every(([label, value]) => this.newest.samples.get(key).labels[label] === value);
    return (this.#keysByName.get(name) ?? []).filter(matches);
  }

  /** The sum of what these series are now; `undefined` when there are none. */
  sum(name, labels) {
    const keys = this.keys(name, labels);
    return keys.length ? keys.reduce((sum, key) => sum + this.newest.samples.get(key).value, 0) : undefined;
  }

  /** How much these keys grew in the last `spanMs`, never below 0; `undefined` while only one page is known. */
  grown(keys, spanMs) {
    const since = this.#since(spanMs);
    if (!since || !keys.length) return undefined;
    const growth = (key) => this.newest.totals.get(key) - (since.totals.get(key) ?? 0);
    return keys.reduce((sum, key) => sum + growth(key), 0);
  }

  /** Growth of these keys a second, over the last `spanMs`; `undefined` while it is not known. */
  rateOf(keys, spanMs) {
    const grown = this.grown(keys, spanMs);
    return grown === undefined ? undefined : (grown * 1000) / (this.newest.atMs - this.#since(spanMs).atMs);
  }

  /** As {@link rateOf}, of all series with this name and these labels. */
  rate(name, labels, spanMs) {
    return this.rateOf(this.keys(name, labels), spanMs);
  }

  /** What a histogram took in over the last `spanMs`, summed by bound: `[[le, how many up to it], ...]`. */
  buckets(name, labels, spanMs) {
    const byBound = new Map();
    for (const key of this.keys(`${name}_bucket`, labels)) {
      const bound = valueOf(this.newest.samples.get(key).labels.le);
      byBound.set(bound, (byBound.get(bound) ?? 0) + (this.grown([key], spanMs) ?? 0));
    }
    return [...byBound].sort(([a], [b]) => a - b);
  }
}

/**
 * As Prometheus' `histogram_quantile`: evenly within the bucket that holds the quantile, the first from 0; what lies
 * beyond the last finite bound is that bound.
 *
 * @param {number} quantile 0 to 1
 * @param {[number, number][]} buckets upper bounds with how many are up to them, the last bound infinite
 * @returns {number} `NaN` when nothing is in them
 */
export function quantileOf(quantile, buckets) {
  const total = buckets.at(-1)?.[1] ?? 0;
  if (buckets.length < 2 || buckets.at(-1)[0] !== Infinity || !(total > 0)) return NaN;
  const rank = quantile * total;
  const at = buckets.findIndex(([, count]) => count >= rank);
  const [bound, count] = buckets[at];
  if (bound === Infinity) return buckets.at(-2)[0];
  if (at === 0 && bound <= 0) return bound;
  const [start, below] = at ? buckets[at - 1] : [0, 0];
  return count > below ? start + ((bound - start) * (rank - below)) / (count - below) : bound;
}
