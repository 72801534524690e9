/**
 * All objects of a kind as they stood from one revision until before another: what a list in pages is read from. Pages
 * that many ask for, as all nodes do when they begin, are compressed once for all of them.
 */
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import type { CachedObject } from './cached-object.ts';

/** Of different beginnings and lengths; whoever asks for more gets them as they are. */
const MOST_PAGES = 100;
/** Less is not worth it. */
const LEAST_BYTES = 32 * 1024;

const compress = promisify(gzip);

/** A part of a list: which one is told by its first object, its length and where it goes on. */
interface Page {
  readonly items: readonly CachedObject[];
  readonly resourceVersion: string;
  readonly continue: string;
}

export class Snapshot {
  /** Revision of the kind's last change before it. */
  readonly from: number;
  /** Of the first change after it. */
  until = Number.POSITIVE_INFINITY;
  /** The version that its lists say. */
  readonly revision: number;
  readonly objects: readonly CachedObject[];
  /** By the clock of performance.now. */
  readonly takenAt = performance.now();
  readonly #pages = new Map<string, Promise<Buffer>>();

  constructor(from: number, revision: number, objects: readonly CachedObject[]) {
    this.from = from;
    this.revision = revision;
    this.objects = objects;
  }

  /**
   * A page of all objects, as `blocks` has it; undefined where it is better sent as it is. `apiVersion`: as which its
   * list is shown, since custom kinds may have several.
   */
  compressed(page: Page, apiVersion: string, blocks: () => Iterable<Buffer>): Promise<Buffer> | undefined {
    const { items, resourceVersion, continue: next } = page;
    const key = `${apiVersion} ${items[0]?.key} ${items.length} ${resourceVersion} ${next}`;
    const known = this.#pages.get(key);
    if (known) return known;
    if (this.#pages.size >= MOST_PAGES || items.reduce((bytes, item) => bytes + item.bytes, 0) < LEAST_BYTES) {
      return undefined;
    }
    const bytes = compress(Buffer.concat([...blocks()]), { level: constants.Z_BEST_SPEED });
    this.#pages.set(key, bytes);
    return bytes;
  }
}
