/**
 * Asks a URL many times, each time over a connection of its own, and counts who answered and what failed. Runs inside
 * a pod; the demo and the tests read its JSON.
 */
import { connect, isIPv6 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface HttpLoadOptions {
  url: string;
  requests: number;
  /** How many at once. */
  concurrency: number;
  /** A connection or an answer that takes longer has failed. */
  timeoutMs: number;
  /** After that many, `pause` is awaited, with no request in work. */
  pauseAfter?: number;
  pause?: () => Promise<void>;
  /** At most so many begin in a second. */
  perSecond?: number;
  /** Whether every answer's moment is wanted: `timeline` of the result, in intervals of so many milliseconds. */
  intervalMs?: number;
}

/** What ended in one interval. */
export interface HttpLoadInterval {
  answers: Record<string, number>;
  failed: number;
  /** Of the requests that did not fail. */
  maxMs: number;
}

export interface HttpLoadResult {
  requests: number;
  failed: number;
  /** What failed, by message. */
  failures: Record<string, number>;
  /** Answers by their text. */
  answers: Record<string, number>;
  seconds: number;
  /** Of the requests that did not fail. */
  medianMs: number;
  p99Ms: number;
  maxMs: number;
  /** Since `beganAt`, milliseconds since 1970. */
  timeline?: { beganAt: number; intervalMs: number; intervals: HttpLoadInterval[] };
}

export async function httpLoad(options: HttpLoadOptions): Promise<HttpLoadResult> {
  const began = performance.now();
  const beganAt = Date.now();
  const { perSecond, intervalMs } = options;
  const intervals: HttpLoadInterval[] = [];
  const url = new URL(options.url);
  const answers = new Map<string, number>();
  const failures = new Map<string, number>();
  const times: number[] = [];
  let started = 0;
  const work = async (until: number): Promise<void> => {
    while (started < until) {
      const turn = began + (perSecond === undefined ? 0 : (started * 1000) / perSecond);
      started++;
      if (turn > performance.now()) await sleep(turn - performance.now());
      const at = performance.now();
      try {
        const text = await ask(url, options.timeoutMs);
        const ms = performance.now() - at;
        answers.set(text, (answers.get(text) ?? 0) + 1);
        times.push(ms);
        if (intervalMs !== undefined) note(intervals, Math.floor((at + ms - began) / intervalMs), text, ms);
      } catch (error) {
        const message = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
        failures.set(message, (failures.get(message) ?? 0) + 1);
        if (intervalMs !== undefined) note(intervals, Math.floor((performance.now() - began) / intervalMs));
      }
    }
  };
  for (const until of [options.pauseAfter ?? options.requests, options.requests]) {
    await Promise.all(Array.from({ length: options.concurrency }, () => work(until)));
    if (until === options.pauseAfter) await options.pause?.();
  }
  times.sort((a, b) => a - b);
  const total = [...failures.values()].reduce((sum, count) => sum + count, 0);
  return {
    requests: options.requests,
    failed: total,
    failures: Object.fromEntries(failures),
    answers: Object.fromEntries([...answers].sort()),
    seconds: (performance.now() - began) / 1000,
    medianMs: times[times.length >> 1] ?? 0,
    p99Ms: times[Math.floor(times.length * 0.99)] ?? 0,
    maxMs: times.at(-1) ?? 0,
    ...(intervalMs === undefined ? {} : { timeline: { beganAt, intervalMs, intervals } }),
  };
}

/** An answer, or a failure where there is none. */
function note(intervals: HttpLoadInterval[], at: number, answer?: string, ms = 0): void {
  while (intervals.length <= at) intervals.push({ answers: {}, failed: 0, maxMs: 0 });
  const interval = intervals[at]!;
  if (answer === undefined) interval.failed++;
  else interval.answers[answer] = (interval.answers[answer] ?? 0) + 1;
  interval.maxMs = Math.max(interval.maxMs, ms);
}

/** As little as it takes, so that a client measures the network and not itself: the server ends the connection. */
function ask(url: URL, timeoutMs: number): Promise<string> {
  return new Promise((done, fail) => {
    // An IPv6 address stands in brackets.
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const socket = connect({ host, port: Number(url.port || 80), family: isIPv6(host) ? 6 : 4 });
    socket.setEncoding('latin1');
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    let text = '';
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.once('error', fail);
    socket.once('end', () => {
      const status = /^HTTP\/1\.\d (\d+)/.exec(text)?.[1];
      if (status === '200') done(text.slice(text.indexOf('\r\n\r\n') + 4));
      else fail(new Error(status === undefined ? 'no answer' : `status ${status}`));
    });
    socket.write(`GET ${url.pathname}${url.search} HTTP/1.0\r\nHost: ${url.host}\r\n\r\n`);
  });
}
