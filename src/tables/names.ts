/**
 * Answers to DNS questions, compiled: from a question (name in lower case, type, class) to the records that answer it,
 * as they stand in a message behind that question. Compression pointers are offsets into the message, and the question
 * always begins at the same one, so that records can be copied as they are.
 *
 *   slot    word 0 hash   1 offset of the entry in bytes + 1 (0: empty)
 *                2 question bytes in the upper half, record bytes in the lower
 *                3 answers, authorities and additionals, 10 bits each
 *   bytes   entry: question, then records
 *
 * Open addressing with linear probing, at most half full. In shared memory, so that all workers read the same one.
 * Immutable: a change makes a new one.
 */
import { LOWER, TYPE_AND_CLASS_BYTES } from '../wire/dns.ts';

const SLOT_WORDS = 4;
const LEAST_SLOTS = 8;
const FNV_OFFSET = 0x811c9dc5 | 0;
const FNV_PRIME = 0x01000193;

export const NAME_SLOT = { hash: 0, offset: 1, lengths: 2, counts: 3 } as const;

export interface NameTable {
  /** Where questions are asked: addresses of the DNS server, 4 big-endian words each, IPv4 mapped. */
  servers: Int32Array;
  slots: Int32Array;
  /** Number of slots - 1; slots are a power of two. */
  mask: number;
  bytes: Uint8Array;
  /** Most bytes of DNS message that are sent in one datagram. */
  udpBytes: number;
}

export interface NameAnswer {
  /** The question's wire form in lower case: name, type, class. */
  question: Uint8Array;
  /** The records behind it: answers, then authorities, then additionals. */
  records: Uint8Array;
  answers: number;
  authorities: number;
  additionals: number;
  /** hashQuestion of the question. */
  hash: number;
}

/** Questions are told apart: no two answers have the same. */
export function buildNames(
  servers: readonly (readonly [number, number, number, number])[],
  answers: readonly NameAnswer[],
  udpBytes: number,
): NameTable {
  let size = LEAST_SLOTS;
  while (size < answers.length * 2) size *= 2;
  let total = 0;
  for (const answer of answers) total += answer.question.length + answer.records.length;
  const slots = new Int32Array(new SharedArrayBuffer(size * SLOT_WORDS * 4));
  const bytes = new Uint8Array(new SharedArrayBuffer(total));
  const mask = size - 1;
  let at = 0;
  for (const { question, records, answers: count, authorities, additionals, hash } of answers) {
    let slot = (hash & mask) * SLOT_WORDS;
    while (slots[slot + NAME_SLOT.offset] !== 0) slot = (slot + SLOT_WORDS) & (mask * SLOT_WORDS);
    slots[slot + NAME_SLOT.hash] = hash;
    slots[slot + NAME_SLOT.offset] = at + 1;
    slots[slot + NAME_SLOT.lengths] = (question.length << 16) | records.length;
    slots[slot + NAME_SLOT.counts] = (count << 20) | (authorities << 10) | additionals;
    bytes.set(question, at);
    bytes.set(records, at + question.length);
    at += question.length + records.length;
  }
  const words = new Int32Array(new SharedArrayBuffer(servers.length * 16));
  servers.forEach((server, i) => words.set(server, i * 4));
  return { servers: words, slots, mask, bytes, udpBytes };
}

/** FNV-1a over a question of `length` bytes, letters (and, which does no harm, octets of the type) in lower case. */
export function hashQuestion(b: Uint8Array, o: number, length: number): number {
  let hash = FNV_OFFSET;
  for (let i = o; i < o + length; i++) hash = Math.imul(hash ^ LOWER[b[i]], FNV_PRIME);
  return hash ^ (hash >>> 15);
}

/** The slot of the question of `length` bytes at `o`, in any case of letters, as its first word; or -1. */
export function findName(table: NameTable, b: Uint8Array, o: number, length: number): number {
  const { slots, mask } = table;
  const hash = hashQuestion(b, o, length);
  let slot = (hash & mask) * SLOT_WORDS;
  for (;;) {
    const offset = slots[slot + NAME_SLOT.offset];
    if (offset === 0) return -1;
    if (slots[slot + NAME_SLOT.hash] === hash && slots[slot + NAME_SLOT.lengths] >>> 16 === length) {
      if (sameQuestion(table.bytes, offset - 1, b, o, length)) return slot;
    }
    slot = (slot + SLOT_WORDS) & (mask * SLOT_WORDS);
  }
}

function sameQuestion(known: Uint8Array, at: number, b: Uint8Array, o: number, length: number): boolean {
  const name = length - TYPE_AND_CLASS_BYTES;
  for (let i = 0; i < name; i++) if (known[at + i] !== LOWER[b[o + i]]) return false;
  for (let i = name; i < length; i++) if (known[at + i] !== b[o + i]) return false;
  return true;
}

/** Whether the address is one of the DNS server's. */
export function isServer(table: NameTable, w0: number, w1: number, w2: number, w3: number): boolean {
  const s = table.servers;
  for (let i = 0; i < s.length; i += 4) {
    if (s[i + 3] === (w3 | 0) && s[i + 2] === (w2 | 0) && s[i + 1] === (w1 | 0) && s[i] === (w0 | 0)) return true;
  }
  return false;
}
