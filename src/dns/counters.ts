/**
 * What the DNS server counts: nothing that a client sends is logged, everything is counted under its reason. Plain
 * numbers that every stage adds to; read by whoever shows them.
 */
export interface DnsCounters {
  /** Messages received, by transport. */
  queries: { udp: number; tcp: number };
  /** Answers sent, by rcode name (`NOERROR`, `NXDOMAIN`, ...), forwarded ones included. */
  answers: Record<string, number>;
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
  };
  tcp: { accepted: number; open: number; idleClosed: number; overflowed: number; failed: number };
  /** Faults of our own or of the sockets: SERVFAIL where there was somebody to tell. */
  errors: number;
}

export function newDnsCounters(): DnsCounters {
  return {
    queries: { udp: 0, tcp: 0 },
    answers: {},
    transfers: 0,
    truncated: 0,
    malformed: {},
    dropped: {},
    forward: { asked: 0, answered: 0, failed: 0, refused: 0, tryFailures: 0, mismatches: 0, tcpRetries: 0 },
    tcp: { accepted: 0, open: 0, idleClosed: 0, overflowed: 0, failed: 0 },
    errors: 0,
  };
}

export function countReason(counts: Record<string, number>, reason: string): void {
  counts[reason] = (counts[reason] ?? 0) + 1;
}
