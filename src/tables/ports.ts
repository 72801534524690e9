/**
 * What the dataplane must know about each port, by port id: what kind it is and which sources it may send from.
 *
 *   word 0 kind   1 IPv4 address (0: none)   2 MTU   3 spare   4..7 IPv6 address
 */
export const PORT_WORDS = 8;
export const PORT = { kind: 0, address4: 1, mtu: 2, address6: 4 } as const;

export const PORT_KIND = {
  none: 0,
  /** A pod's TUN: may send only from its own address. */
  pod: 1,
  /** The TUN into the host's own stack: may not send from a local pod's address. */
  host: 2,
  /** The overlay's UDP socket: carries VXLAN from and to known peers. */
  overlay: 3,
} as const;

/** Port ids are below this: the tables index arrays by them. */
export const PORT_LIMIT = 4096;

export interface PortEntry {
  id: number;
  kind: (typeof PORT_KIND)[keyof typeof PORT_KIND];
  /** Host-order uint32. */
  address4?: number;
  mtu: number;
  address6?: readonly [number, number, number, number];
}

export function buildPorts(list: readonly PortEntry[]): Int32Array {
  const limit = list.reduce((n, p) => Math.max(n, p.id + 1), 0);
  const out = new Int32Array(limit * PORT_WORDS);
  for (const p of list) {
    const o = p.id * PORT_WORDS;
    out[o + PORT.kind] = p.kind;
    out[o + PORT.address4] = p.address4 ?? 0;
    out[o + PORT.mtu] = p.mtu;
    if (p.address6) out.set(p.address6, o + PORT.address6);
  }
  return out;
}
