/**
 * What the DNS server counts: nothing that a client sends is logged, everything is counted under its reason. Plain
 * numbers that every stage adds to; read by whoever shows them.
 */
export interface DnsCounters {
  /** Messages received, by transport. */
  queries: { udp: number; tcp: number };
  /** Answers sent, by rcode name (`NOERROR`, `NXDOMAIN`, ...), forwarded ones included. */
  answers: Record<string, number>;
  /** Answered by the dataplane's workers, without this server: counted above, too. What they can answer now. */
  ready: { hits: number; entries: number; bytes: number };
  /** Whole zones handed out. */
  transfers: number;
  /** Answers cut to the asker's size, TC set. */
  truncated: number;
  /** Messages answered with FORMERR, by reason. */
  malformed: Record<string, number>;
  /** Messages not answered, by reason. */
  dropped: Record<string, number>;
  forward: {
    /** Questions handed to the upstreams. */
    asked: number;
    answered: number;
    /** No upstream answered, or there is none: SERVFAIL. */
    failed: number;
    /** Too many questions pending: SERVFAIL. */
    refused: number;
    /** Tries at single upstreams that timed out or broke. */
    tryFailures: number;
    /** Datagrams that came back with another id or question than sent. */
    mismatches: number;
    tcpRetries: number;
    /** Replies that could not be read to their end, taken for failures. */
    unreadable: number;
    /** Upstreams that led back to us. */
    loops: number;
  };
  /** Of the host's resolvers and those of stub domains, by `address:port`. */
  upstreams: Record<string, UpstreamCounts>;
  cache: {
    /** Answered at once. */
    hits: number;
    /** Upstreams had to be asked. */
    misses: number;
    /** Answered out of date, because no upstream did. */
    stale: number;
    /** Not asked, because it failed a moment ago. */
    failures: number;
    /** Of the misses: the same question was under way already. */
    joined: number;
    /** Fetched anew before their end. */
    prefetched: number;
    /** Forgotten for want of room. */
    evicted: number;
    entries: number;
    bytes: number;
  };
  /** Names completed for a client along its search path, and those where no completion was found. */
  autopath: { completed: number; failed: number };
  tcp: { accepted: number; open: number; idleClosed: number; overflowed: number; failed: number };
  /** Faults of our own or of the sockets: SERVFAIL where there was somebody to tell. */
  errors: number;
}

export interface UpstreamCounts {
  asked: number;
  answered: number;
  failed: number;
  /** 1 while it does not answer. */
  out: number;
}

export function newDnsCounters(): DnsCounters {
  return {
    queries: { udp: 0, tcp: 0 },
    answers: {},
    ready: { hits: 0, entries: 0, bytes: 0 },
    transfers: 0,
    truncated: 0,
    malformed: {},
    dropped: {},
    forward: {
      asked: 0,
      answered: 0,
      failed: 0,
      refused: 0,
      tryFailures: 0,
      mismatches: 0,
      tcpRetries: 0,
      unreadable: 0,
      loops: 0,
    },
    upstreams: {},
    cache: { hits: 0, misses: 0, stale: 0, failures: 0, joined: 0, prefetched: 0, evicted: 0, entries: 0, bytes: 0 },
    autopath: { completed: 0, failed: 0 },
    tcp: { accepted: 0, open: 0, idleClosed: 0, overflowed: 0, failed: 0 },
    errors: 0,
  };
}

export function countReason(counts: Record<string, number>, reason: string): void {
  counts[reason] = (counts[reason] ?? 0) + 1;
}
