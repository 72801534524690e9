/**
 * Whether a file is a whole LMDB, looked at before LMDB maps it: one that was cut short or overwritten ends the process
 * by a signal (SIGBUS, an assertion) where a sentence is wanted. Walks every page that the newest commit reaches.
 *
 *   page     0 number (8)   8 commit (8)   18 flags (2)   20 lower bound of free space (2)   22 upper (2)   24 nodes
 *   meta    24 magic (4)   28 version (4)   48 tree of free pages   96 main tree   152 commit (8)   160 boot (8)
 *   tree     0 page size (4, in the first)   32 entries (8)   40 root page (8)
 *   node     0 data's length, or a child's number (4, 6)   4 flags (2)   6 key's length (2)   8 key, data
 *
 * Little-endian, as liblmdb/mdb.c of the lmdb package has it.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { StoreError } from './store.ts';

const PAGE_HEADER = 24;
const TREE_BYTES = 48;
const META_BYTES = 168;
const MAGIC = 0xbeefc0de;
const VERSION = 2;
const BRANCH = 0x01;
const LEAF = 0x02;
const OVERFLOW = 0x04;
const BIG_DATA = 0x01;
const SUB_TREE = 0x02;
/** What a tree without entries has for its root. */
const NO_PAGE = 2n ** 64n - 1n;
/** Deeper than any tree of a 64-bit file. */
const DEEPEST = 32;

/** Throws StoreError unavailable with what is wrong. A file that is missing or empty is one to come. */
export function checkLmdbFile(path: string): void {
  const fd = openIfThere(path);
  if (fd === undefined) return;
  try {
    const { size } = fstatSync(fd);
    if (size > 0) new Walk(path, fd, size).check();
  } finally {
    closeSync(fd);
  }
}

class Walk {
  readonly #path: string;
  readonly #fd: number;
  readonly #bytes: number;
  #pageBytes = 4096;

  constructor(path: string, fd: number, bytes: number) {
    this.#path = path;
    this.#fd = fd;
    this.#bytes = bytes;
  }

  check(): void {
    const first = this.#meta(0);
    this.#pageBytes = first.readUInt32LE(48);
    const sane = this.#pageBytes >= 512 && this.#pageBytes <= 65536 && (this.#pageBytes & (this.#pageBytes - 1)) === 0;
    if (!sane) throw this.#damaged('its page size is none');
    const second = this.#meta(1);
    const [older, newest] =
      first.readBigUInt64LE(152) >= second.readBigUInt64LE(152) ? [second, first] : [first, second];
    try {
      this.#commit(newest);
    } catch (error) {
      // After a loss of power LMDB itself goes back to the commit that was on the disk before.
      if (newest.readBigInt64LE(160) === bootId()) throw error;
      this.#commit(older);
    }
  }

  #commit(meta: Buffer): void {
    for (const tree of [48, 96]) this.#tree(meta.subarray(tree, tree + TREE_BYTES), 0);
  }

  #meta(page: 0 | 1): Buffer {
    const meta = this.#read(page * this.#pageBytes, META_BYTES);
    if (meta.readUInt32LE(24) !== MAGIC) throw this.#damaged('it is no LMDB file');
    // The lower half: some versions keep flags in the upper one.
    if ((meta.readUInt32LE(28) & 0xffff) !== VERSION) throw this.#damaged('it is of another version of LMDB');
    return meta;
  }

  #tree(tree: Buffer, depth: number): void {
    const root = tree.readBigUInt64LE(40);
    if (root !== NO_PAGE) this.#page(root, depth);
  }

  #page(number: bigint, depth: number): void {
    const page = this.#whole(number, 1n);
    const flags = page.readUInt16LE(18);
    const lower = page.readUInt16LE(20);
    const room = this.#pageBytes - PAGE_HEADER;
    const sane = (flags & (BRANCH | LEAF)) !== 0 && lower <= page.readUInt16LE(22) && page.readUInt16LE(22) <= room;
    if (!sane || depth > DEEPEST) throw this.#damaged(`page ${number} is broken`);
    for (let i = 0; i < lower >> 1; i++) {
      const at = PAGE_HEADER + page.readUInt16LE(PAGE_HEADER + 2 * i);
      if (at + 8 > this.#pageBytes) throw this.#damaged(`page ${number} is broken`);
      if (flags & BRANCH) {
        const child = BigInt(page.readUInt32LE(at)) | (BigInt(page.readUInt16LE(at + 4)) << 32n);
        this.#page(child, depth + 1);
      } else this.#leaf(page, at, number, depth);
    }
  }

  #leaf(page: Buffer, at: number, number: bigint, depth: number): void {
    const flags = page.readUInt16LE(at + 4);
    const data = at + 8 + page.readUInt16LE(at + 6);
    const length = flags & BIG_DATA ? PAGE_HEADER : page.readUInt32LE(at);
    if (data + length > this.#pageBytes) throw this.#damaged(`page ${number} is broken`);
    if (flags & BIG_DATA) this.#overflow(page.readBigUInt64LE(data), page.readBigUInt64LE(data + 16));
    else if (flags & SUB_TREE && length >= TREE_BYTES) this.#tree(page.subarray(data, data + TREE_BYTES), depth + 1);
  }

  #overflow(number: bigint, pages: bigint): void {
    const head = this.#whole(number, pages);
    if (!(head.readUInt16LE(18) & OVERFLOW)) throw this.#damaged(`page ${number} is broken`);
  }

  /** The first of so many pages, which all are there. */
  #whole(number: bigint, pages: bigint): Buffer {
    const end = (number + pages) * BigInt(this.#pageBytes);
    if (number < 2n || end > BigInt(this.#bytes)) throw this.#damaged('it was cut short');
    const page = this.#read(Number(number) * this.#pageBytes, this.#pageBytes);
    if (page.readBigUInt64LE(0) !== number) throw this.#damaged(`page ${number} is broken`);
    return page;
  }

  #read(at: number, length: number): Buffer {
    const buffer = Buffer.alloc(length);
    if (readSync(this.#fd, buffer, 0, length, at) !== length) throw this.#damaged('it was cut short');
    return buffer;
  }

  #damaged(how: string): StoreError {
    return new StoreError('unavailable', `the store's file ${this.#path} is damaged: ${how}; put a copy in its place`);
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Of this run of the machine, as LMDB notes it: what stands in front of the first `-`. */
function bootId(): bigint {
  try {
    return BigInt(`0x${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').split('-')[0]}`);
  } catch {
    return 0n;
  }
}
