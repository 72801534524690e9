/**
 * The layout of a flow's records, the states of a connection, and how long each may be idle. Two records a connection,
 * one a direction, side by side: a record's twin is `record ^ 1`, and the forward one is even. What a packet is
 * rewritten to is the mirror image of the twin's key: translation needs no fields of its own.
 *
 *   record   word 0..3 source   4..7 destination   8 ports (source << 16 | destination)   9 protocol (0: unused)
 *                 10 adjacency   11 generation it was decided in   12 hash of the key
 *   forward       13 STATE bits  14 last seen (ticks of 100 ms)    15 serial of the attempt
 *   reply         13 held packet + 1, or when a drain ends (ticks)     14 id of its endpoint, or -1
 *                 15 attempts made, and the incarnation of that id (endpoint-states.ts)
 */
export const FLOW = {
  ports: 8,
  protocol: 9,
  adjacency: 10,
  generation: 11,
  hash: 12,
  state: 13,
  lastSeen: 14,
  serial: 15,
  held: 13,
  drainEnds: 13,
  endpoint: 14,
  attempts: 15,
} as const;
export const FLOW_WORDS = 16;
export const NO_FLOW = -1;

export const STATE = {
  /** The other side has answered. */
  answered: 1,
  finForward: 2,
  finReply: 4,
  reset: 8,
  /** Addresses or ports are rewritten. */
  translated: 16,
  /** An endpoint is being tried: its first packet is held until it answers. */
  trying: 32,
  /** No endpoint answered: the client is refused when its packet comes round again. */
  failed: 64,
  /** A connection to a service's address. */
  balanced: 128,
  /** It was moved to another endpoint, and its held packet is about to go there: others change nothing until then. */
  moving: 256,
  /** Its endpoint counts it among the connections that it has now. */
  counted: 512,
  /** Of a service, from a source outside the cluster. */
  outside: 1024,
  /** Its endpoint is no longer the service's: it goes on for a time. */
  draining: 2048,
  /** The endpoint that is tried still remembers an earlier connection with these ports, and has said so. */
  remembered: 4096,
} as const;

/** The clock of flows. */
export const TICK_MS = 100;
/** Idle time after which a connection is forgotten, in ticks. */
export const TIMEOUT_TICKS = {
  tcpNew: 600,
  tcpEstablished: 864_000,
  tcpHalfClosed: 1200,
  tcpClosed: 100,
  udpNew: 300,
  udpAnswered: 1200,
  other: 300,
};

/** True when a connection in this state has ended: both sides have said so, or one has reset it. */
export function isClosed(state: number): boolean {
  const fins = STATE.finForward | STATE.finReply;
  return (state & STATE.reset) !== 0 || (state & fins) === fins;
}

/** Ticks that a connection may be idle in its state; `o` is the first word of its forward record. */
export function idleTicks(words: Int32Array, o: number): number {
  const state = words[o + FLOW.state];
  const protocol = words[o + FLOW.protocol];
  if (protocol === 6) {
    if (isClosed(state)) return TIMEOUT_TICKS.tcpClosed;
    if ((state & (STATE.finForward | STATE.finReply)) !== 0) return TIMEOUT_TICKS.tcpHalfClosed;
    return (state & STATE.answered) !== 0 ? TIMEOUT_TICKS.tcpEstablished : TIMEOUT_TICKS.tcpNew;
  }
  if (protocol === 17) return (state & STATE.answered) !== 0 ? TIMEOUT_TICKS.udpAnswered : TIMEOUT_TICKS.udpNew;
  return TIMEOUT_TICKS.other;
}
