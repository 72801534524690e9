/**
 * Hands questions that are not the cluster's to those who can answer them: the upstreams of the longest stub domain
 * that holds the name, else the host's resolvers. The number of questions under way is bounded. Upstreams may change
 * while it runs; what is under way is answered by those that were asked.
 */
import type { DnsCounters } from './counters.ts';
import { canonicalName, isWithin } from './name.ts';
import type { Query } from './query.ts';
import type { Upstream } from './upstream.ts';
import { UpstreamGroup } from './upstream-group.ts';

/** Names under a domain, answered by upstreams of their own. */
export interface StubDomain {
  /** `corp.example`. */
  domain: string;
  upstreams: readonly string[];
}

export interface ForwarderOptions {
  /** See parseUpstream; what it cannot read, and `own`, are left out. */
  upstreams: readonly string[];
  stubs?: readonly StubDomain[];
  /** The server's own place, which would answer itself for ever. */
  own: Upstream;
  counters: DnsCounters;
  timeoutMs?: number;
  deadlineMs?: number;
  hedgeMs?: number;
  probeMs?: number;
  pendingLimit?: number;
  /** Ask each upstream once for a name that only we know, to see whether it comes back; on unless false. */
  detectLoops?: boolean;
  onLoop?: (upstream: string) => void;
}

const TIMEOUT_MS = 2000;
/** glibc asks again after 5 s. */
const DEADLINE_MS = 5000;
/** Most resolvers answer within 100 ms; a second question a quarter of a second later costs little. */
const HEDGE_MS = 250;
/** As CoreDNS has it. */
const PROBE_MS = 500;
/** Each pending question holds a socket or two, and a process often has 1024 descriptors. */
const PENDING_LIMIT = 256;

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #counters: DnsCounters;
  readonly #pendingLimit: number;
  readonly #stubs: readonly { key: string; group: UpstreamGroup }[];
  #host: UpstreamGroup;
  readonly #retired = new Set<UpstreamGroup>();
  #pending = 0;
  #closed = false;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#counters = options.counters;
    this.#pendingLimit = options.pendingLimit ?? PENDING_LIMIT;
    this.#host = this.#group(options.upstreams, '');
    this.#stubs = (options.stubs ?? [])
      .map(({ domain, upstreams }) => ({ key: canonicalName(domain), group: this.#group(upstreams, domain) }))
      .sort((a, b) => b.key.length - a.key.length);
  }

  /** The host's resolvers in use, as `address:port`. */
  get upstreams(): readonly string[] {
    return this.#host.upstreams;
  }

  setUpstreams(upstreams: readonly string[]): void {
    const old = this.#host;
    this.#retired.add(old);
    old.retire(() => this.#retired.delete(old));
    this.#host = this.#group(upstreams, '');
  }

  /** No more questions can be under way. */
  get isFull(): boolean {
    return this.#closed || this.#pending >= this.#pendingLimit;
  }

  /** Whether somebody is likely to answer for this name. */
  isWell(key: string): boolean {
    return this.#groupOf(key).isWell;
  }

  /** True when the question is our own, come back through an upstream. */
  catchLoop(key: string): boolean {
    const groups = [this.#host, ...this.#stubs.map(({ group }) => group)];
    return groups.some((group) => group.catchLoop(key));
  }

  /**
   * A reply to the query under another id, or nothing when no upstream gave one. A reply that was truncated for UDP is
   * fetched again over TCP; it is truncated still where that failed.
   */
  async forward(query: Query): Promise<Buffer | undefined> {
    const counts = this.#counters.forward;
    if (this.isFull) {
      counts.refused++;
      return undefined;
    }
    counts.asked++;
    this.#pending++;
    try {
      const reply = await this.#groupOf(query.name.key).ask(query);
      if (reply) counts.answered++;
      else counts.failed++;
      return reply;
    } finally {
      this.#pending--;
    }
  }

  /** Ends what is under way; its askers get no answer. */
  close(): void {
    this.#closed = true;
    for (const group of [this.#host, ...this.#retired, ...this.#stubs.map((stub) => stub.group)]) group.close();
  }

  #groupOf(key: string): UpstreamGroup {
    return this.#stubs.find((stub) => isWithin(key, stub.key))?.group ?? this.#host;
  }

  #group(upstreams: readonly string[], label: string): UpstreamGroup {
    const { own, counters, timeoutMs, deadlineMs, hedgeMs, probeMs, detectLoops, onLoop } = this.#options;
    return new UpstreamGroup(upstreams, own, {
      label,
      counters,
      timeoutMs: timeoutMs ?? TIMEOUT_MS,
      deadlineMs: deadlineMs ?? DEADLINE_MS,
      hedgeMs: hedgeMs ?? HEDGE_MS,
      probeMs: probeMs ?? PROBE_MS,
      detectLoops: detectLoops ?? true,
      onLoop: (upstream) => {
        counters.forward.loops++;
        onLoop?.(upstream);
      },
    });
  }
}
