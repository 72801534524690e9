/**
 * Answers of upstreams, kept as the bytes that came for as long as they may be believed, and longer for times when
 * nobody answers (RFC 8767). Bounded by bytes; what was not asked for longest goes first. Beneath the resolver, which
 * decides when to ask again.
 */

import { FLAG, HEADER_BYTES } from './codes.ts';
import type { DnsCounters } from './counters.ts';
import type { Query } from './query.ts';
import { type ReplyScan, ttlAt } from './reply-scan.ts';

export interface CachedAnswer {
  /** As the upstream sent it. */
  readonly message: Buffer;
  readonly ttlOffsets: readonly number[];
  readonly storedMs: number;
  readonly lifeMs: number;
  /** Times it was asked for since it came. */
  hits: number;
  /** Where asking again failed: not before then. */
  retryMs: number;
}

/** RFC 2308 section 5 and RFC 8767 section 4 leave these to the server; CoreDNS has the same. */
const LONGEST_LIFE_SECONDS = 3600;
const LONGEST_DENIAL_SECONDS = 1800;
/** How long after its end an answer may still serve as a stale one. */
const STALE_MS = 24 * 3600 * 1000;
/** RFC 8767 section 5: "recommended to be 30 seconds". */
const STALE_TTL_SECONDS = 30;
/** Beside message and key: entry, offsets and their place in the map. */
const ENTRY_BYTES = 250;

export class AnswerCache {
  /** In the order of use, least recent first. */
  readonly #entries = new Map<string, CachedAnswer>();
  readonly #limitBytes: number;
  readonly #counts: DnsCounters['cache'];

  constructor(limitBytes: number, counts: DnsCounters['cache']) {
    this.#limitBytes = limitBytes;
    this.#counts = counts;
  }

  /** Fresh or not; nothing when it is too old even for a stale answer. */
  get(key: string, nowMs: number): CachedAnswer | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    if (nowMs - entry.storedMs > entry.lifeMs + STALE_MS) {
      this.#forget(key, entry);
      return undefined;
    }
    this.#entries.set(key, entry);
    return entry;
  }

  put(key: string, message: Buffer, scan: ReplyScan, nowMs: number): void {
    const life = Math.min(scan.lifeSeconds, scan.negative ? LONGEST_DENIAL_SECONDS : LONGEST_LIFE_SECONDS);
    if (life === 0) return;
    const old = this.#entries.get(key);
    if (old) {
      this.#entries.delete(key);
      this.#forget(key, old);
    }
    const entry = {
      // A copy: the message may be a small part of a larger buffer, which would stay with it.
      message: Buffer.from(message),
      ttlOffsets: scan.ttlOffsets,
      storedMs: nowMs,
      lifeMs: life * 1000,
      hits: 0,
      retryMs: 0,
    };
    const bytes = bytesOf(key, entry);
    if (bytes > this.#limitBytes) return;
    this.#entries.set(key, entry);
    this.#counts.entries = this.#entries.size;
    this.#counts.bytes += bytes;
    for (const [oldest, victim] of this.#entries) {
      if (this.#counts.bytes <= this.#limitBytes) break;
      this.#entries.delete(oldest);
      this.#forget(oldest, victim);
      this.#counts.evicted++;
    }
  }

  /** The entry is out of the map already. */
  #forget(key: string, entry: CachedAnswer): void {
    this.#counts.bytes -= bytesOf(key, entry);
    this.#counts.entries = this.#entries.size;
  }
}

function bytesOf(key: string, entry: CachedAnswer): number {
  return entry.message.length + 2 * key.length + 8 * entry.ttlOffsets.length + ENTRY_BYTES;
}

/** What tells two questions apart: name, type, class, and what changes the records or the room that the asker has. */
export function cacheKey(query: Query): string {
  const bits = query.flags & (FLAG.checkingDisabled | FLAG.authenticData);
  const edns = query.edns ? (query.edns.dnssecOk ? 2 : 1) : 0;
  return `${query.name.key} ${query.type} ${query.class} ${bits | edns}`;
}

export function isFresh(entry: CachedAnswer, nowMs: number): boolean {
  return nowMs - entry.storedMs < entry.lifeMs;
}

/** For one asker: under its id, with its spelling of the name, every TTL less by the time the answer has lain here. */
export function renderCached(entry: CachedAnswer, query: Query, nowMs: number): Buffer {
  const message = addressed(entry.message, query);
  const flags = message.readUInt16BE(2) & ~(FLAG.authoritative | FLAG.recursionDesired);
  message.writeUInt16BE(flags | (query.flags & FLAG.recursionDesired), 2);
  const fresh = isFresh(entry, nowMs);
  const age = Math.floor((nowMs - entry.storedMs) / 1000);
  for (const offset of entry.ttlOffsets) {
    const ttl = Math.min(ttlAt(message, offset), entry.lifeMs / 1000);
    message.writeUInt32BE(fresh ? Math.max(0, ttl - age) : STALE_TTL_SECONDS, offset);
  }
  return message;
}

/** A copy of a reply under the asker's id, with the asker's spelling of the question. */
export function addressed(reply: Buffer, query: Query): Buffer {
  const message = Buffer.from(reply);
  message.writeUInt16BE(query.id, 0);
  // An error may come without the question.
  if (message.readUInt16BE(4) === 1) message.set(query.question, HEADER_BYTES);
  return message;
}
