/**
 * Answers to names that are not the cluster's: from the cache while they are fresh, else from the upstreams, asked once
 * however many wait. Between the responder and the forwarder.
 *
 *   fresh          answered at once; near its end and often asked, fetched anew meanwhile
 *   out of date    the upstreams have STALE_AFTER_MS to say something newer, then the old answer serves (RFC 8767)
 *   not there      the upstreams' answer, or none
 *   failed         not asked again for a moment (RFC 9520)
 */
import { decode } from 'dns-packet';
import { parseAddress } from '../wire/address.ts';
import { AnswerCache, addressed, type CachedAnswer, cacheKey, isFresh, renderCached } from './answer-cache.ts';
import { FLAG, RCODE, TYPE } from './codes.ts';
import type { DnsCounters } from './counters.ts';
import { encodeQuestion } from './encode.ts';
import { FailureCache, isFailure } from './failure-cache.ts';
import type { Forwarder } from './forwarder.ts';
import { canonicalName, isWritableName } from './name.ts';
import type { Query } from './query.ts';
import type { DnsRecord } from './record.ts';
import { scanReply } from './reply-scan.ts';

export type AnswerSource = 'zone' | 'cache' | 'stale' | 'upstream';

export interface Resolved {
  message: Buffer;
  source: AnswerSource;
}

export interface NamedRecords {
  rcode: number;
  records: DnsRecord[];
  source: AnswerSource;
}

/** RFC 8767 section 5: "1.8 seconds", before the client gives up. */
const STALE_AFTER_MS = 1800;
/** How long the upstreams are left alone after they failed to refresh an answer. */
const STALE_RETRY_MS = 5000;
/** Asked so often since it came, an answer is worth fetching before its end. */
const POPULAR_HITS = 3;
const PREFETCH_SHARE = 0.1;
const RECORD_LIMIT = 64;

export interface ResolverOptions {
  forwarder: Forwarder;
  counters: DnsCounters;
  /** 0: no cache. */
  cacheBytes: number;
  staleAfterMs?: number;
  /** How long a failure is remembered at first; 0: not at all. */
  failureMs?: number;
  /** Milliseconds that only go forward. */
  now?: () => number;
}

export class Resolver {
  readonly #forwarder: Forwarder;
  readonly #counts: DnsCounters['cache'];
  readonly #cache: AnswerCache;
  readonly #staleAfterMs: number;
  readonly #now: () => number;
  readonly #failures: FailureCache;
  readonly #underWay = new Map<string, Promise<Buffer | undefined>>();

  constructor(options: ResolverOptions) {
    this.#forwarder = options.forwarder;
    this.#counts = options.counters.cache;
    this.#cache = new AnswerCache(options.cacheBytes, this.#counts);
    this.#staleAfterMs = options.staleAfterMs ?? STALE_AFTER_MS;
    this.#now = options.now ?? (() => performance.now());
    this.#failures = new FailureCache(options.failureMs);
  }

  /** Under the query's id; nothing when nobody answered. A truncated reply means that it could not be had whole. */
  async resolve(query: Query): Promise<Resolved | undefined> {
    const key = cacheKey(query);
    const now = this.#now();
    const entry = this.#cache.get(key, now);
    if (!entry) {
      const failed = this.#failures.get(key, now);
      if (failed) {
        this.#counts.failures++;
        return failed.reply && { message: addressed(failed.reply, query), source: 'cache' };
      }
      this.#counts.misses++;
      const reply = await this.#ask(key, query);
      return reply && { message: addressed(reply, query), source: 'upstream' };
    }
    entry.hits++;
    if (isFresh(entry, now)) {
      this.#counts.hits++;
      const left = entry.storedMs + entry.lifeMs - now;
      if (entry.hits >= POPULAR_HITS && left < entry.lifeMs * PREFETCH_SHARE && !this.#underWay.has(key)) {
        this.#counts.prefetched++;
        void this.#ask(key, query);
      }
      return { message: renderCached(entry, query, now), source: 'cache' };
    }
    const newer = now < entry.retryMs ? undefined : await this.#refresh(key, query, entry);
    if (newer) {
      this.#counts.misses++;
      return { message: addressed(newer, query), source: 'upstream' };
    }
    this.#counts.stale++;
    return { message: renderCached(entry, query, this.#now()), source: 'stale' };
  }

  /** Others are asked from now on: what could not be answered may be asked again. */
  upstreamsChanged(): void {
    this.#failures.clear();
  }

  /** The addresses of a name outside, and the aliases on the way to them; nothing when nobody said. */
  async addresses(name: string, type: number): Promise<NamedRecords | undefined> {
    const question = Buffer.from(encodeQuestion(name, type));
    // As most resolvers ask, without EDNS, so that the answer in the cache is theirs too.
    const query: Query = {
      id: 0,
      flags: FLAG.recursionDesired,
      name: { text: name, key: name, end: question.length },
      type,
      class: 1,
      question,
    };
    const resolved = await this.resolve(query);
    const read = resolved && readAddresses(resolved.message);
    return read && { ...read, source: resolved.source };
  }

  /** One question to the upstreams for all who ask it meanwhile; it goes on and fills the cache without them, too. */
  #ask(key: string, query: Query): Promise<Buffer | undefined> {
    const same = this.#underWay.get(key);
    if (same) {
      this.#counts.joined++;
      return same;
    }
    const full = this.#forwarder.isFull;
    const asked = this.#forwarder
      .forward(query)
      .then((reply) => {
        const scan = reply && scanReply(reply);
        if (reply && scan) this.#cache.put(key, reply, scan, this.#now());
        if (!isFailure(reply)) this.#failures.forget(key);
        // That there was no room to ask says nothing of the question.
        else if (!full) this.#failures.put(key, reply, this.#now());
        return reply;
      })
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, asked);
    return asked;
  }

  async #refresh(key: string, query: Query, old: CachedAnswer): Promise<Buffer | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<undefined>((resolve) => {
      timer = setTimeout(resolve, this.#staleAfterMs, undefined);
    });
    const newer = await Promise.race([this.#ask(key, query), patience]);
    clearTimeout(timer);
    const rcode = newer && newer.readUInt16BE(2) & 15;
    // "I cannot" is no reason to forget what was known.
    if (newer && (rcode === RCODE.noError || rcode === RCODE.nxDomain)) return newer;
    old.retryMs = this.#now() + STALE_RETRY_MS;
    return undefined;
  }
}

/** The address and alias records of a reply; a reply that cannot be read has none, and counts as a failure. */
export function readAddresses(reply: Buffer): { rcode: number; records: DnsRecord[] } | undefined {
  let answers: ReturnType<typeof decode>['answers'];
  try {
    answers = decode(reply).answers ?? [];
  } catch {
    return undefined;
  }
  const records: DnsRecord[] = [];
  for (const answer of answers.slice(0, RECORD_LIMIT)) {
    if (answer.type !== 'A' && answer.type !== 'AAAA' && answer.type !== 'CNAME') continue;
    const owner = canonicalName(answer.name);
    const ttlSeconds = Math.min(answer.ttl ?? 0, 0x7fffffff);
    if (!isWritableName(owner)) continue;
    if (answer.type === 'CNAME') {
      const target = canonicalName(answer.data);
      if (isWritableName(target)) records.push({ type: TYPE.cname, owner, ttlSeconds, target });
      continue;
    }
    const address = parseAddress(answer.data);
    if (address) records.push({ type: answer.type === 'A' ? TYPE.a : TYPE.aaaa, owner, ttlSeconds, address });
  }
  return { rcode: reply.readUInt16BE(2) & 15, records };
}
