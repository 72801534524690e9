/**
 * Asks a URL many times, each time over a connection of its own, and counts who answered and what failed. Runs inside
 * a pod; the demo and the tests read its JSON.
 */
import { get } from 'node:http';

export interface HttpLoadOptions {
  url: string;
  requests: number;
  /** How many at once. */
  concurrency: number;
  /** A connection or an answer that takes longer has failed. */
  timeoutMs: number;
  /** Called between two requests, when that many are done. */
  onProgress?: (done: number) => Promise<void> | void;
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
  maxMs: number;
}

export async function httpLoad(options: HttpLoadOptions): Promise<HttpLoadResult> {
  const began = performance.now();
  const answers = new Map<string, number>();
  const failures = new Map<string, number>();
  const times: number[] = [];
  let started = 0;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (started < options.requests) {
      started++;
      const at = performance.now();
      try {
        const text = await ask(options.url, options.timeoutMs);
        answers.set(text, (answers.get(text) ?? 0) + 1);
        times.push(performance.now() - at);
      } catch (error) {
        const message = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
        failures.set(message, (failures.get(message) ?? 0) + 1);
      }
      await options.onProgress?.(++done);
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  times.sort((a, b) => a - b);
  const total = [...failures.values()].reduce((sum, count) => sum + count, 0);
  return {
    requests: options.requests,
    failed: total,
    failures: Object.fromEntries(failures),
    answers: Object.fromEntries([...answers].sort()),
    seconds: (performance.now() - began) / 1000,
    medianMs: times[times.length >> 1] ?? 0,
    maxMs: times.at(-1) ?? 0,
  };
}

function ask(url: string, timeoutMs: number): Promise<string> {
  return new Promise((done, fail) => {
    const request = get(url, { agent: false, headers: { connection: 'close' } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.once('error', fail);
      response.once('end', () => {
        clearTimeout(timer);
        if (response.statusCode === 200) done(text);
        else fail(new Error(`status ${response.statusCode}`));
      });
    });
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    request.once('error', (error) => {
      clearTimeout(timer);
      fail(error);
    });
  });
}
