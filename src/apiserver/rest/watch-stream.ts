/**
 * One client's watch: events as lines of JSON, bookmarks in between, an end in time. Lines are shared with all others
 * who watch the same; what comes together goes out together, as fast as the client reads, and one that stays too far
 * behind is let go.
 */
import { ApiError } from '../api-error.ts';
import type { TableForm } from '../kinds/api-table.ts';
import { apiVersionOf, asVersion } from '../kinds/resource.ts';
import type { CachedObject } from '../watch/cached-object.ts';
import type { Subscription, WatchCache } from '../watch/watch-cache.ts';
import { lineOf, ObjectEvent, tableLine } from '../watch/watch-event.ts';
import type { LineSink, LineStream } from './request.ts';

/** A watch that names no end has one, so that clients spread anew over servers from time to time. */
const LONGEST_SECONDS = 3600;
const BOOKMARK_MS = 10_000;
const BLOCK_BYTES = 64 * 1024;
/** Lines that wait for a client, who is let go when there are more. */
const MOST_WAITING_BYTES = 16 * 1024 * 1024;
/** On the bookmark that stands behind what there was at first (k8s.io/api meta/v1 InitialEventsAnnotationKey). */
const INITIAL_END = { 'k8s.io/initial-events-end': 'true' };

export interface WatchStreamOptions {
  cache: WatchCache;
  wanted: Omit<Subscription, 'onEvent' | 'onEnd'>;
  /** What there is at `wanted.after`, told first. */
  initial: readonly CachedObject[];
  table: TableForm | undefined;
  bookmarks: boolean;
  /** A bookmark says where `initial` ends. */
  marksInitial: boolean;
  /** 0: as long as a watch may last. */
  seconds: number;
}

export class WatchStream implements LineStream {
  readonly #options: WatchStreamOptions;
  readonly #timers: NodeJS.Timeout[] = [];
  #sink: LineSink | undefined;
  #subscription: { close(): void } | undefined;
  #saidColumns: boolean;
  /** How many of what there was at first have been told. */
  #told = 0;
  #marked: boolean;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #turn: NodeJS.Immediate | undefined;
  /** The client takes no more for now. */
  #full = false;
  #ending = false;

  constructor(options: WatchStreamOptions) {
    this.#options = options;
    this.#saidColumns = options.initial.length > 0;
    this.#marked = !options.marksInitial;
  }

  /** Throws ApiError Expired where the past that is asked for is gone. */
  start(sink: LineSink): void {
    const { cache, wanted, bookmarks, seconds } = this.#options;
    this.#subscription = cache.subscribe({
      ...wanted,
      onEvent: (event) => this.#say(this.#lineOf(event)),
      onEnd: (error) => this.#fail(error),
    });
    if (this.#ending) {
      this.close();
      throw new ApiError('Expired', `too much has changed since resource version ${wanted.after}`);
    }
    this.#sink = sink;
    const lasts = Math.min(seconds || LONGEST_SECONDS, LONGEST_SECONDS);
    this.#timers.push(setTimeout(() => this.#finish(), lasts * 1000));
    const mark = () => this.#say(lineOf('BOOKMARK', this.#bookmark(cache.revision)));
    if (bookmarks) this.#timers.push(setInterval(mark, BOOKMARK_MS));
    this.#wake();
  }

  drained(): void {
    this.#full = false;
    this.#wake();
  }

  close(): void {
    this.#subscription?.close();
    for (const timer of this.#timers) clearTimeout(timer);
    clearImmediate(this.#turn);
    this.#waiting = [];
    this.#sink = undefined;
  }

  #fail(error: ApiError): void {
    this.#say(lineOf('ERROR', error.status()));
    this.#finish();
  }

  /** What waits is said still, as far as the client takes it at once: the rest comes with its next watch. */
  #finish(): void {
    this.#subscription?.close();
    this.#ending = true;
    if (this.#full) this.#drop();
    else this.#wake();
  }

  #drop(): void {
    this.#ending = true;
    const sink = this.#sink;
    this.close();
    sink?.end();
  }

  #say(line: Buffer): void {
    if (this.#ending) return;
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    if (this.#waitingBytes <= MOST_WAITING_BYTES) this.#wake();
    else this.#drop();
  }

  /** What is said in one turn of the event loop goes out at its end. */
  #wake(): void {
    if (this.#full || this.#turn !== undefined) return;
    this.#turn = setImmediate(() => {
      this.#turn = undefined;
      this.#flush();
    });
  }

  #flush(): void {
    const sink = this.#sink;
    if (!sink) return;
    for (let block = this.#block(); block; block = this.#block()) {
      this.#full = !sink.write(block);
      if (this.#full) break;
    }
    if (this.#ending) this.#drop();
  }

  #block(): Buffer | undefined {
    const { initial } = this.#options;
    const lines: Buffer[] = [];
    let bytes = 0;
    while (this.#told < initial.length && bytes < BLOCK_BYTES) {
      const event = new ObjectEvent('ADDED', initial[this.#told] as CachedObject);
      const line = this.#lineOf(event, this.#told++ === 0);
      lines.push(line);
      bytes += line.length;
    }
    if (lines.length > 0) return Buffer.concat(lines);
    if (!this.#marked) {
      this.#marked = true;
      return lineOf('BOOKMARK', this.#bookmark(this.#options.wanted.after, INITIAL_END));
    }
    while (lines.length < this.#waiting.length && bytes < BLOCK_BYTES) {
      const line = this.#waiting[lines.length] as Buffer;
      lines.push(line);
      bytes += line.length;
    }
    this.#waiting = this.#waiting.slice(lines.length);
    this.#waitingBytes -= bytes;
    return lines.length <= 1 ? lines[0] : Buffer.concat(lines);
  }

  /** `first`: the columns of a table are said with it. */
  #lineOf(event: ObjectEvent, first = !this.#saidColumns): Buffer {
    const { table, wanted } = this.#options;
    if (!table) return this.#shown(event);
    this.#saidColumns = true;
    return first ? tableLine(event, wanted.resource, table, true) : event.tableLine(wanted.resource, table);
  }

  #shown(event: ObjectEvent): Buffer {
    const object = asVersion(this.#options.wanted.resource, event.object);
    return object === event.object ? event.line : lineOf(event.type, object);
  }

  #bookmark(revision: number, annotations?: Readonly<Record<string, string>>): unknown {
    const { resource } = this.#options.wanted;
    const metadata = {
      resourceVersion: `${revision}`,
      creationTimestamp: null,
      ...(annotations ? { annotations } : {}),
    };
    return { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata };
  }
}
