/**
 * Hands questions that are not the cluster's to the host's resolvers: in their order, the next one after silence or
 * refusal, those that failed lately last; the number of questions under way is bounded. What comes back goes to the
 * asker as it is, under the asker's id.
 */
import { randomInt } from 'node:crypto';
import { decode } from 'dns-packet';
import { parseAddress } from '../wire/address.ts';
import { FLAG, PLAIN_UDP_BYTES, RCODE, TYPE } from './codes.ts';
import type { DnsCounters } from './counters.ts';
import { encodeForward, encodeQuestion } from './encode.ts';
import { canonicalName, isWritableName } from './name.ts';
import type { Query } from './query.ts';
import type { DnsRecord } from './record.ts';
import { askByTcp, askByUdp, type Exchange, parseUpstream, type Upstream } from './upstream.ts';

export interface ForwarderOptions {
  /** See parseUpstream; what it cannot read, and `own`, are left out. */
  upstreams: readonly string[];
  /** The server's own place, which would answer itself for ever. */
  own: Upstream;
  counters: DnsCounters;
  /** For one upstream. */
  timeoutMs?: number;
  /** For one question, all upstreams together. */
  deadlineMs?: number;
  pendingLimit?: number;
}

const TIMEOUT_MS = 2000;
/** glibc asks again after 5 s. */
const DEADLINE_MS = 5000;
/** Each pending question holds a socket, and a process often has 1024 descriptors. */
const PENDING_LIMIT = 256;
const FAILURES_UNTIL_LAST = 2;
const LAST_FOR_MS = 10_000;
const RECORD_LIMIT = 64;

interface UpstreamState extends Upstream {
  failures: number;
  lastUntilMs: number;
}

export class Forwarder {
  readonly #upstreams: UpstreamState[];
  readonly #counters: DnsCounters;
  readonly #timeoutMs: number;
  readonly #deadlineMs: number;
  readonly #pendingLimit: number;
  readonly #exchanges = new Set<Exchange>();
  #pending = 0;
  #closed = false;

  constructor(options: ForwarderOptions) {
    this.#upstreams = options.upstreams.flatMap((text) => {
      const upstream = parseUpstream(text);
      if (!upstream) return [];
      if (upstream.address === options.own.address && upstream.port === options.own.port) return [];
      return [{ ...upstream, failures: 0, lastUntilMs: 0 }];
    });
    this.#counters = options.counters;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#pendingLimit = options.pendingLimit ?? PENDING_LIMIT;
  }

  /** The upstreams in use, as `address:port`. */
  get upstreams(): readonly string[] {
    return this.#upstreams.map(({ address, port }) => `${address}:${port}`);
  }

  /**
   * The reply to a query under the query's id, or nothing when no upstream gave one. A reply that was truncated for
   * UDP is fetched again over TCP; where that fails, the truncated one counts if `acceptTruncated`.
   */
  async forward(query: Query, acceptTruncated: boolean): Promise<Buffer | undefined> {
    const counts = this.#counters.forward;
    if (this.#closed || this.#pending >= this.#pendingLimit) {
      counts.refused++;
      return undefined;
    }
    counts.asked++;
    this.#pending++;
    try {
      const reply = await this.#askInTurn(query, acceptTruncated);
      if (!reply) {
        counts.failed++;
        return undefined;
      }
      counts.answered++;
      reply.writeUInt16BE(query.id, 0);
      return reply;
    } finally {
      this.#pending--;
    }
  }

  /** The addresses of a name outside (the target of an ExternalName), or nothing when no upstream said. */
  async addresses(name: string, type: number): Promise<{ rcode: number; records: DnsRecord[] } | undefined> {
    const question = Buffer.from(encodeQuestion(name, type));
    const end = question.length;
    const query: Query = {
      id: 0,
      flags: FLAG.recursionDesired,
      name: { text: name, key: name, end },
      type,
      class: 1,
      question,
      edns: { version: 0, udpBytes: PLAIN_UDP_BYTES * 2, dnssecOk: false },
    };
    const reply = await this.forward(query, true);
    return reply && readAddresses(reply);
  }

  /** Ends what is under way; its askers get no answer. */
  close(): void {
    this.#closed = true;
    for (const exchange of this.#exchanges) exchange.cancel();
  }

  async #askInTurn(query: Query, acceptTruncated: boolean): Promise<Buffer | undefined> {
    const deadline = performance.now() + this.#deadlineMs;
    let second: Buffer | undefined;
    for (const upstream of this.#inTurn()) {
      const left = Math.min(this.#timeoutMs, deadline - performance.now());
      if (left <= 0 || this.#closed) break;
      const reply = await this.#ask(upstream, query, left, acceptTruncated);
      this.#rate(upstream, reply !== undefined);
      if (!reply) continue;
      const rcode = reply.readUInt16BE(2) & 15;
      if (rcode === RCODE.noError || rcode === RCODE.nxDomain) return reply;
      // "I cannot" is an answer too, but another server may do better.
      second ??= reply;
    }
    return second;
  }

  async #ask(
    upstream: Upstream,
    query: Query,
    timeoutMs: number,
    acceptTruncated: boolean,
  ): Promise<Buffer | undefined> {
    const counts = this.#counters.forward;
    const message = encodeForward(query, randomInt(0x10000));
    const reply = await this.#track(askByUdp(upstream, message, timeoutMs, () => counts.mismatches++));
    if (!reply || !(reply.readUInt16BE(2) & FLAG.truncated)) return reply;
    counts.tcpRetries++;
    const whole = await this.#track(askByTcp(upstream, message, timeoutMs));
    return whole ?? (acceptTruncated ? reply : undefined);
  }

  async #track(exchange: Exchange): Promise<Buffer | undefined> {
    this.#exchanges.add(exchange);
    if (this.#closed) exchange.cancel();
    const reply = await exchange.reply;
    this.#exchanges.delete(exchange);
    return reply;
  }

  #inTurn(): UpstreamState[] {
    const now = performance.now();
    const late = this.#upstreams.filter((upstream) => upstream.lastUntilMs > now);
    return [...this.#upstreams.filter((upstream) => upstream.lastUntilMs <= now), ...late];
  }

  #rate(upstream: UpstreamState, answered: boolean): void {
    if (answered) {
      upstream.failures = 0;
      upstream.lastUntilMs = 0;
      return;
    }
    this.#counters.forward.tryFailures++;
    if (++upstream.failures >= FAILURES_UNTIL_LAST) upstream.lastUntilMs = performance.now() + LAST_FOR_MS;
  }
}

/** The address and alias records of a reply; a reply that cannot be read has none, and counts as a failure. */
function readAddresses(reply: Buffer): { rcode: number; records: DnsRecord[] } | undefined {
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
