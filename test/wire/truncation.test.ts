/**
 * If a header's check passed, no accessor reads past the end: every capture is cut at every length, into a buffer
 * that ends there, and bytes are corrupted at random; a getter that read past it would yield NaN or undefined.
 */
import fc from 'fast-check';
import t from 'tap';
import * as arp from '../../src/wire/arp.ts';
import * as ethernet from '../../src/wire/ethernet.ts';
import * as icmp from '../../src/wire/icmp.ts';
import * as icmpv6 from '../../src/wire/icmpv6.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as extension from '../../src/wire/ipv6-extension.ts';
import * as ndp from '../../src/wire/ndp.ts';
import * as tcp from '../../src/wire/tcp.ts';
import * as udp from '../../src/wire/udp.ts';
import * as vxlan from '../../src/wire/vxlan.ts';
import * as c from './captures.ts';
import * as c6 from './captures-ipv6.ts';

type Reader = (b: Uint8Array, o: number) => unknown;

interface Header {
  name: string;
  check: (b: Uint8Array, o: number, end: number) => boolean;
  /** Fewest bytes that the check may accept. */
  least: number;
  getters: Reader[];
  /** Byte after the last that the header, by its own lengths, claims. */
  extent: (b: Uint8Array, o: number) => number;
  at: [Uint8Array, number][];
}

const sized = (bytes: number) => () => bytes;
const words = [0, 1, 2, 3];

function wordReader(get: (b: Uint8Array, o: number, i: number) => number, i: number): Reader {
  return (b, o) => get(b, o, i);
}

/** Hop-by-hop options, a source route at its end, 16 bytes of destination options, and a fragment header. */
function chain(): Uint8Array {
  const headers = [
    [43, 0, 1, 4, 0, 0, 0, 0],
    [60, 0, 4, 0, 0, 0, 0, 0],
    [44, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [17, 0, 0, 1, 0, 0, 0, 9],
  ].flat();
  const b = new Uint8Array(ipv6.HEADER_BYTES + headers.length);
  ipv6.writeHeader(b, 0, headers.length, 0, 64, [0xfd000000, 0, 0, 1], [0xfd000000, 0, 0, 2]);
  b.set(headers, ipv6.HEADER_BYTES);
  return b;
}

const headers: Header[] = [
  {
    name: 'ethernet',
    check: ethernet.check,
    least: ethernet.HEADER_BYTES,
    getters: [ethernet.destinationHigh, ethernet.destinationLow, ethernet.sourceHigh, ethernet.sourceLow],
    extent: sized(ethernet.HEADER_BYTES),
    at: Object.values(c.captures).map((b) => [b, c.INNER_ETHERNET]),
  },
  {
    name: 'arp',
    check: arp.check,
    least: arp.PACKET_BYTES,
    getters: [arp.operation, arp.senderHigh, arp.senderLow, arp.senderAddress, arp.targetLow, arp.targetAddress],
    extent: sized(arp.PACKET_BYTES),
    at: [
      [c.arpRequest, c.INNER_L3],
      [c.arpReply, c.INNER_L3],
    ],
  },
  {
    name: 'ipv4',
    check: ipv4.check,
    least: ipv4.HEADER_BYTES,
    getters: [
      ipv4.tos,
      ipv4.identification,
      ipv4.fragmentOffsetBytes,
      ipv4.ttl,
      ipv4.protocol,
      ipv4.headerChecksum,
      ipv4.source,
      ipv4.destination,
    ],
    extent: (b, o) => Math.max(ipv4.headerBytes(b, o), ipv4.totalBytes(b, o)),
    at: [c.echoRequest, c.udp, c.tcpSyn].flatMap((b): [Uint8Array, number][] => [
      [b, c.OUTER_IP],
      [b, c.INNER_L3],
    ]),
  },
  {
    name: 'ipv6',
    check: ipv6.check,
    least: ipv6.HEADER_BYTES,
    getters: [
      ipv6.trafficClass,
      ipv6.nextHeader,
      ipv6.hopLimit,
      ...words.map((i) => wordReader(ipv6.sourceWord, i)),
      ...words.map((i) => wordReader(ipv6.destinationWord, i)),
    ],
    extent: (b, o) => ipv6.HEADER_BYTES + ipv6.payloadBytes(b, o),
    at: [[c.echoRequest6, c.INNER_L3]],
  },
  {
    name: 'udp',
    check: udp.check,
    least: udp.HEADER_BYTES,
    getters: [udp.sourcePort, udp.destinationPort, udp.checksum],
    extent: udp.lengthBytes,
    at: [
      [c.udp, c.INNER_L4],
      [c.tcpSyn, c.OUTER_UDP],
    ],
  },
  {
    name: 'tcp',
    check: tcp.check,
    least: tcp.HEADER_BYTES,
    getters: [tcp.sourcePort, tcp.destinationPort, tcp.seq, tcp.ack, tcp.flags, tcp.window, tcp.checksum],
    extent: tcp.dataOffsetBytes,
    at: [
      [c.tcpSyn, c.INNER_L4],
      [c.tcpReset, c.INNER_L4],
    ],
  },
  {
    name: 'icmp',
    check: icmp.check,
    least: icmp.HEADER_BYTES,
    getters: [icmp.type, icmp.code, icmp.checksum, icmp.identifier, icmp.sequence, icmp.nextHopMtu],
    extent: (b, o) => icmp.quotedOffset(b, o) - o,
    at: [
      [c.echoRequest, c.INNER_L4],
      [c.portUnreachable, c.INNER_L4],
    ],
  },
  {
    name: 'icmpv6',
    check: icmpv6.check,
    least: icmpv6.HEADER_BYTES,
    getters: [icmpv6.type, icmpv6.code, icmpv6.checksum, icmpv6.identifier, icmpv6.sequence, icmpv6.mtu],
    extent: (b, o) => icmpv6.quotedOffset(b, o) - o,
    at: [[c.echoRequest6, c.INNER_L4_V6]],
  },
  {
    name: 'ipv6 extension headers',
    check: (b, o, end) => ipv6.check(b, o, end) && extension.walk(b, o, end) >= 0,
    least: ipv6.HEADER_BYTES,
    getters: [(b, o) => extension.walk(b, o, b.length)],
    extent: (b, o) => extension.walk(b, o, b.length) >> 8,
    at: [
      [chain(), 0],
      [c6.lastFragment, c6.INNER_L3],
      [c.echoRequest6, c.INNER_L3],
    ],
  },
  {
    name: 'ipv6 fragment',
    check: extension.checkFragment,
    least: extension.FRAGMENT_BYTES,
    getters: [
      extension.fragmentNextHeader,
      extension.fragmentOffsetBytes,
      extension.moreFragments,
      extension.identification,
    ],
    extent: sized(extension.FRAGMENT_BYTES),
    at: [[c6.lastFragment, c6.INNER_L4]],
  },
  {
    name: 'neighbour discovery',
    check: ndp.check,
    least: 24,
    getters: words.map((i) => wordReader(ndp.targetWord, i)),
    extent: sized(24),
    at: [
      [c6.solicitation, c6.INNER_L4],
      [c6.advertisement, c6.INNER_L4],
    ],
  },
  {
    name: 'vxlan',
    check: vxlan.check,
    least: vxlan.HEADER_BYTES,
    getters: [vxlan.vni, (b, o) => vxlan.flagsValid(b, o)],
    extent: sized(vxlan.HEADER_BYTES),
    at: [[c.tcpSyn, c.VXLAN]],
  },
];

/** Why an accepted header is not safe to read in a buffer that ends at `end`, or undefined. */
function fault(h: Header, b: Uint8Array, o: number, end: number): string | undefined {
  if (end - o < h.least) return 'accepted, though too short';
  if (o + h.extent(b, o) > end) return 'claims bytes past the end';
  // Bytes past the end change no getter's answer: it reads none of them.
  const padded = new Uint8Array(end + 64).fill(0xff);
  padded.set(b);
  for (const get of h.getters) {
    const value = get(b, o);
    if (!Number.isFinite(Number(value)) || value !== get(padded, o)) return `${get.name} reads past the end`;
  }
  return undefined;
}

for (const h of headers) {
  t.test(`${h.name}: cut at every length`, async (t) => {
    for (const [whole, o] of h.at) {
      t.ok(h.check(whole, o, whole.length), 'whole');
      for (let end = o; end < whole.length; end++) {
        const b = whole.slice(0, end);
        if (h.check(b, o, end)) t.equal(fault(h, b, o, end), undefined, `cut at ${end - o}`);
        t.equal(h.check(whole, o, end), h.check(b, o, end), `the end given counts, not the buffer's: ${end - o}`);
      }
    }
  });

  t.test(`${h.name}: cut and corrupted at random`, async (t) => {
    const change = fc.tuple(fc.nat(40), fc.integer({ min: 0, max: 255 }));
    const property = fc.property(
      fc.constantFrom(...h.at),
      fc.nat(80),
      fc.array(change, { maxLength: 4 }),
      ([whole, o], length, changes) => {
        const end = Math.min(whole.length, o + length);
        const b = whole.slice(0, end);
        for (const [at, value] of changes) if (o + at < end) b[o + at] = value;
        return !h.check(b, o, end) || fault(h, b, o, end) === undefined;
      },
    );
    fc.assert(property, { seed: 1071, numRuns: 3000 });
    t.pass('no accepted header is unsafe');
  });
}

t.test("a neighbour message's options: none is read past the end, and each search ends", async (t) => {
  const change = fc.tuple(fc.nat(31), fc.integer({ min: 0, max: 255 }));
  const property = fc.property(fc.nat(64), fc.array(change, { maxLength: 6 }), (length, changes) => {
    const b = new Uint8Array(length);
    b.set(c6.solicitation.subarray(c6.INNER_L4).subarray(0, length));
    for (const [at, value] of changes) if (at < length) b[at] = value;
    if (!ndp.check(b, 0, length)) return true;
    const at = ndp.macAt(b, 0, length, ndp.OPTION.sourceMac);
    return at < 0 || (at + 6 <= length && Number.isFinite(ndp.macHigh(b, at) + ndp.macLow(b, at)));
  });
  fc.assert(property, { seed: 4861, numRuns: 20_000 });
  t.pass('whatever the bytes');
});
