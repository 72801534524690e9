/**
 * One collection of an API server, followed: listed in pages, then watched from where the list ended, for ever. A watch
 * that breaks goes on from the last version that was heard of; where the server no longer knows that one (410 Gone) the
 * list is read again (k8s.io/client-go tools/cache, Reflector). Work comes in slices, so that ten thousand objects hold
 * up nobody.
 *
 *   list ──page──page──▶ replace ──▶ watch ──event──event──▶ …
 *    ▲                                 │ ends, breaks, silent: again from the last version
 *    └──────────── 410 ────────────────┘
 */
import type { IncomingMessage } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type ApiClient, ApiRequestError } from './api-client.ts';
import { isJsonObject, type JsonObject } from './json-value.ts';
import { splitLines } from './line-splitter.ts';

const PAGE = 500;
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 10_000;
/** Where nobody listens, asking costs nobody anything: who comes back is found soon. */
const LONGEST_REFUSED_MS = 1000;
/** A watch lives so long, plus up to as much again: not all clients come back at once. */
const WATCH_SECONDS = 240;
/** Servers say something (a bookmark) more often than this; who is silent longer may have gone. */
const SILENCE_MS = 90_000;
/** A watch that ends sooner is no success. */
const SHORT_MS = 1000;
const SLICE_MS = 10;
const SLICE_OBJECTS = 50;
const PAGE_MS = 30_000;
/** Until a watch is answered, be it empty. */
const ANSWER_MS = 15_000;

export interface ReflectorSink {
  /** A list begins; what pages came of an earlier one is void. */
  begin(): void;
  /** Objects of the list, some at a time, as the server wrote them. */
  page(items: readonly JsonObject[]): void;
  /** The list is complete: its objects are all there are. */
  replace(): void;
  change(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: JsonObject): void;
  /** Undefined: it is followed now. Else why not, as a sentence; what was known stays in force. */
  fault(message: string | undefined): void;
}

export interface ReflectorOptions {
  client: ApiClient;
  /** `/api/v1/pods`. */
  path: string;
  query?: Readonly<Record<string, string>>;
  sink: ReflectorSink;
  /** For tests: how long to wait for something, in milliseconds. */
  wait?: (ms: number, signal: AbortSignal) => Promise<void>;
  silenceMs?: number;
  pageSize?: number;
}

export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #waitMs = FIRST_WAIT_MS;
  /** Where the next watch goes on; undefined: nothing is known, or too little. */
  #version: string | undefined;
  /** A server that forgets its pages before they are read is asked for all at once. */
  #paged = true;

  constructor(options: ReflectorOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        this.#version ??= await this.#list();
        await this.#watch();
      } catch (error) {
        if (signal.aborted) return;
        if (isGone(error)) {
          this.#version = undefined;
          // Once at once; a server that forgets again and again is asked more and more seldom.
          if (this.#waitMs === FIRST_WAIT_MS) {
            this.#waitMs *= 2;
            continue;
          }
        } else this.#options.sink.fault(sentence(error));
        await this.#pause(error);
      }
    }
  }

  async #pause(error: unknown): Promise<void> {
    const asked = isRequestError(error) ? Number(error.details.retryAfterSeconds ?? 0) * 1000 : 0;
    const longest = isRefused(error) ? LONGEST_REFUSED_MS : LONGEST_WAIT_MS;
    const jittered = Math.min(this.#waitMs, longest) * (0.5 + Math.random() / 2);
    this.#waitMs = Math.min(this.#waitMs * 2, longest);
    const wait = this.#options.wait ?? sleep;
    // All who were told the same come one after the other.
    const later = Math.max(jittered, asked * (1 + Math.random()));
    await wait(Math.min(later, LONGEST_WAIT_MS), this.#stop.signal);
  }

  /** Returns the version that the list is of. */
  async #list(): Promise<string> {
    const { client, path, query = {}, sink, pageSize = PAGE } = this.#options;
    sink.begin();
    let token: string | undefined;
    for (;;) {
      const limit = this.#paged ? { limit: pageSize, continue: token } : {};
      const options = { query: { ...query, ...limit }, signal: this.#stop.signal, timeoutMs: PAGE_MS };
      let answer: unknown;
      try {
        answer = await client.get(path, options);
      } catch (error) {
        if (token !== undefined && isGone(error)) this.#paged = false;
        throw error;
      }
      const { metadata, items } = isJsonObject(answer) ? answer : {};
      if (!isJsonObject(metadata) || typeof metadata.resourceVersion !== 'string') {
        throw new ApiRequestError(0, '', `${path}: the answer is no list`);
      }
      await this.#page(Array.isArray(items) ? items.filter(isJsonObject) : []);
      token = typeof metadata.continue === 'string' && metadata.continue !== '' ? metadata.continue : undefined;
      if (token === undefined) {
        sink.replace();
        this.#paged = true;
        return metadata.resourceVersion;
      }
      // The next page may be here already.
      await nextTurn();
    }
  }

  async #page(items: readonly JsonObject[]): Promise<void> {
    let began = performance.now();
    for (let i = 0; i < items.length; i += SLICE_OBJECTS) {
      if (performance.now() - began > SLICE_MS) {
        await nextTurn();
        began = performance.now();
      }
      this.#options.sink.page(items.slice(i, i + SLICE_OBJECTS));
    }
  }

  async #watch(): Promise<void> {
    const { client, path, query = {}, sink, silenceMs = SILENCE_MS } = this.#options;
    const began = performance.now();
    const seconds = Math.round(WATCH_SECONDS * (1 + Math.random()));
    const stop = new AbortController();
    let silent = setTimeout(() => stop.abort(), ANSWER_MS);
    const signal = AbortSignal.any([this.#stop.signal, stop.signal]);
    let answer: IncomingMessage | undefined;
    try {
      answer = await client.stream(path, {
        query: {
          ...query,
          watch: true,
          allowWatchBookmarks: true,
          resourceVersion: this.#version,
          timeoutSeconds: seconds,
        },
        signal,
      });
      clearTimeout(silent);
      silent = setTimeout(() => stop.abort(), silenceMs);
      sink.fault(undefined);
      let heard = false;
      let sliceBegan = performance.now();
      for await (const line of splitLines(answer)) {
        silent.refresh();
        this.#hear(line);
        if (!heard) this.#waitMs = FIRST_WAIT_MS;
        heard = true;
        if (performance.now() - sliceBegan < SLICE_MS) continue;
        await nextTurn();
        sliceBegan = performance.now();
      }
    } catch (error) {
      // Silent, or over in the middle of a line: it goes on where it was, unless that happens again and again.
      const wentOn = answer !== undefined && !isStatus(error) && performance.now() - began > SHORT_MS;
      if (!wentOn) throw isRequestError(error) ? error : brokenOff(path, error);
    } finally {
      clearTimeout(silent);
      answer?.destroy();
    }
    if (performance.now() - began < SHORT_MS) throw new ApiRequestError(0, '', `${path}: the watch ended at once`);
    this.#waitMs = FIRST_WAIT_MS;
  }

  #hear(line: string): void {
    let event: unknown;
    try {
      event = JSON.parse(line);
    } catch (cause) {
      throw new ApiRequestError(0, '', `${this.#options.path}: the watch sent what is no JSON`, {}, cause);
    }
    const { type, object } = isJsonObject(event) ? event : {};
    if (!isJsonObject(object)) throw new ApiRequestError(0, '', `${this.#options.path}: the watch sent no event`);
    if (type === 'ERROR') {
      const message = String(object.message ?? 'the watch failed');
      throw new ApiRequestError(Number(object.code) || 500, String(object.reason ?? ''), message);
    }
    const { resourceVersion } = isJsonObject(object.metadata) ? object.metadata : {};
    if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') this.#options.sink.change(type, object);
    if (typeof resourceVersion !== 'string') return;
    // Versions only grow: one that does not is of another history (a store that was made anew).
    if (Number(resourceVersion) < Number(this.#version)) throw new ApiRequestError(410, 'Expired', 'another history');
    // After the change: what threw on its way in is asked for again.
    this.#version = resourceVersion;
  }
}

function isRequestError(error: unknown): error is ApiRequestError {
  return error instanceof ApiRequestError;
}

function brokenOff(path: string, cause: unknown): ApiRequestError {
  return new ApiRequestError(0, '', `${path}: the watch broke off: ${sentence(cause)}`, {}, cause);
}

function isStatus(error: unknown): boolean {
  return isRequestError(error) && error.code !== 0;
}

function isGone(error: unknown): boolean {
  return isRequestError(error) && (error.code === 410 || error.reason === 'Expired');
}

function isRefused(error: unknown): boolean {
  return error instanceof Error && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ECONNREFUSED';
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}
