/**
 * Counters, gauges and histograms in Prometheus' text format (exposition format 0.0.4). Labels are few and bounded: who
 * counts decides what they can be.
 */

export type Labels = Readonly<Record<string, string>>;

/** Seconds: from what memory answers to what a client gives up on. */
const BOUNDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** More than that of one metric is a mistake: the rest is counted without labels. */
const MOST_SERIES = 5000;

interface Distribution {
  /** One more than bounds: what is above the last. */
  counts: number[];
  sum: number;
  count: number;
}

export class Counter {
  readonly #values = new Map<string, number>();

  add(labels: Labels, amount = 1): void {
    const series = seriesOf(labels, this.#values);
    this.#values.set(series, (this.#values.get(series) ?? 0) + amount);
  }

  *lines(name: string): Generator<string> {
    for (const [series, value] of this.#values) yield `${name}${series} ${value}`;
  }
}

export class Histogram {
  readonly #values = new Map<string, Distribution>();

  observe(labels: Labels, seconds: number): void {
    const series = seriesOf(labels, this.#values);
    let found = this.#values.get(series);
    if (!found) this.#values.set(series, (found = { counts: BOUNDS.map(() => 0).concat(0), sum: 0, count: 0 }));
    const place = BOUNDS.findIndex((bound) => seconds <= bound);
    const at = place < 0 ? BOUNDS.length : place;
    found.counts[at] = (found.counts[at] ?? 0) + 1;
    found.sum += seconds;
    found.count++;
  }

  *lines(name: string): Generator<string> {
    for (const [series, { counts, sum, count }] of this.#values) {
      let below = 0;
      for (const [i, here] of counts.entries()) {
        below += here;
        yield `${name}_bucket${withBound(series, BOUNDS[i])} ${below}`;
      }
      yield `${name}_sum${series} ${sum}`;
      yield `${name}_count${series} ${count}`;
    }
  }
}

/** `lines` of one metric with its name, kind and meaning in front. */
export function describe(name: string, kind: string, help: string, lines: Iterable<string>): string {
  const all = [...lines];
  return all.length === 0 ? '' : `# HELP ${name} ${help}\n# TYPE ${name} ${kind}\n${all.join('\n')}\n`;
}

/** Values of now. */
export function* gauge(name: string, values: Iterable<readonly [Labels, number]>): Generator<string> {
  for (const [labels, value] of values) yield `${name}${textOf(labels)} ${value}`;
}

function seriesOf(labels: Labels, known: ReadonlyMap<string, unknown>): string {
  const series = textOf(labels);
  return known.size >= MOST_SERIES && !known.has(series) ? '' : series;
}

function textOf(labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(text: string): string {
  return text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

function withBound(series: string, bound: number | undefined): string {
  const le = `le="${bound ?? '+Inf'}"`;
  return series === '' ? `{${le}}` : `${series.slice(0, -1)},${le}}`;
}
