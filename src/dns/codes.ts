/**
 * Numbers of the DNS protocol, as the IANA registry "Domain Name System (DNS) Parameters" lists them (RFC 1035
 * section 3.2, RFC 2782 SRV, RFC 3596 AAAA, RFC 6891 OPT). Only those that this server reads or writes.
 */
export const TYPE = {
  a: 1,
  ns: 2,
  cname: 5,
  soa: 6,
  ptr: 12,
  hinfo: 13,
  txt: 16,
  aaaa: 28,
  srv: 33,
  opt: 41,
  axfr: 252,
} as const;

/** TKEY, TSIG, IXFR, AXFR, MAILB, MAILA, ANY: about servers and whole zones; AXFR alone is answered, if allowed. */
export const FIRST_META_TYPE = 249;
export const LAST_META_TYPE = 255;

export const CLASS_IN = 1;

export const OPCODE_QUERY = 0;

export const RCODE = {
  noError: 0,
  formErr: 1,
  servFail: 2,
  nxDomain: 3,
  notImp: 4,
  refused: 5,
  notAuth: 9,
  /** 16 and above: the high eight bits travel in the OPT record (RFC 6891 section 6.1.3). */
  badVers: 16,
} as const;

const RCODE_NAMES: Readonly<Record<number, string>> = {
  0: 'NOERROR',
  1: 'FORMERR',
  2: 'SERVFAIL',
  3: 'NXDOMAIN',
  4: 'NOTIMP',
  5: 'REFUSED',
  9: 'NOTAUTH',
  16: 'BADVERS',
};

/** As `dig` prints it. */
export function rcodeName(rcode: number): string {
  return RCODE_NAMES[rcode] ?? `RCODE${rcode}`;
}

/** `A`; `TYPE65` for one that has no name here (RFC 3597 section 5). */
export function typeName(type: number): string {
  const known = Object.entries(TYPE).find(([, number]) => number === type);
  return known ? known[0].toUpperCase() : `TYPE${type}`;
}

/** Bits of the second 16-bit word of the header (RFC 1035 section 4.1.1, RFC 2535 section 6.1 for AD and CD). */
export const FLAG = {
  response: 0x8000,
  authoritative: 0x0400,
  truncated: 0x0200,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  authenticData: 0x0020,
  checkingDisabled: 0x0010,
} as const;

export const HEADER_BYTES = 12;

/** What RFC 1035 section 4.2.1 allows without EDNS. */
export const PLAIN_UDP_BYTES = 512;

/** The most we send or accept in one datagram: what passes any path without fragments (DNS flag day 2020). */
export const UDP_BYTES = 1232;

/** TCP carries a 16-bit length in front of each message (RFC 1035 section 4.2.2). */
export const TCP_BYTES = 0xffff;
