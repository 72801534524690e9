/** What only IPv6 has: extension headers, addresses of its own, what kernels tell their neighbours, packet too big. */
import './use-ipv6.ts';
import t from 'tap';
import type { DropReasonId } from '../../src/dataplane/drop-reasons.ts';
import { u32 } from '../../src/wire/bytes.ts';
import * as icmpv6 from '../../src/wire/icmpv6.ts';
import { icmpErrorAbout } from './errors.ts';
import { cluster, settle, TestHost } from './host.ts';
import { echoPacket, ipv6Packet, payloadOf, read, tcpOffload, tcpPacket, udpPacket } from './packets.ts';

const CLIENT = '10.244.1.10';
const SERVER = '10.244.1.11';
const UDP = 17;
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const OPTIONS = 60;

/** The packet with extension headers, each [number, bytes behind the first], between its IPv6 header and the rest. */
function extended(packet: Uint8Array, ...headers: [number, number[]][]): Uint8Array {
  const parts = headers.map(([, rest], k) => [headers[k + 1]?.[0] ?? packet[6]!, ...rest]);
  const all = [...packet.subarray(0, 40), ...parts.flat(), ...packet.subarray(40)];
  const b = Uint8Array.from(all);
  b[6] = headers[0]![0];
  const payload = b.length - 40;
  b[4] = payload >> 8;
  b[5] = payload & 0xff;
  return b;
}

/** 8 bytes of padding, less the first. */
const PAD = [0, 1, 4, 0, 0, 0, 0];

function datagram(to = SERVER, from = CLIENT): Uint8Array {
  return udpPacket({ from, to, fromPort: 5, toPort: 6, payload: payloadOf(32) });
}

function dropped(packet: Uint8Array): Record<string, number> {
  const host = new TestHost({ number: 1 });
  host.send(0, packet);
  settle([host]);
  return host.at(1).length > 0 ? { arrived: 1 } : host.drops;
}

t.test('extension headers are walked to the ports behind them', async (t) => {
  const host = new TestHost({
    number: 1,
    services: [{ address: '10.96.0.53', port: 6, protocol: UDP, endpoints: ['10.244.1.11:53'] }],
  });
  const chains: [number, number[]][][] = [
    [[HOP_BY_HOP, PAD]],
    [[OPTIONS, PAD]],
    [
      [HOP_BY_HOP, PAD],
      [OPTIONS, [1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
      [ROUTING, [0, 4, 0, 0, 0, 0, 0]],
      [OPTIONS, PAD],
    ],
    [[FRAGMENT, [0, 0, 0, 0, 0, 0, 9]]],
  ];
  for (const [n, chain] of chains.entries()) {
    host.send(0, extended(datagram('10.96.0.53'), ...chain));
    settle([host]);
    const [out] = host.io.sent(17);
    t.ok(out, `chain ${n} passes: ${JSON.stringify(host.drops)}`);
    t.match(read(out!.bytes), { to: SERVER, ttl: 63 });
    if (n < 3) t.match(read(out!.bytes), { toPort: 53, valid: true }, 'translated, checksum included');
  }
});

t.test('headers that no router may follow, or that contradict the length, end here', async (t) => {
  const cases: [string, Uint8Array, DropReasonId][] = [
    [
      'a source route of the kind that is forbidden',
      extended(datagram(), [ROUTING, [0, 0, 0, 0, 0, 0, 0]]),
      'ip-options',
    ],
    ['a source route with a way to go', extended(datagram(), [ROUTING, [0, 2, 1, 0, 0, 0, 0]]), 'ip-options'],
    ['hop-by-hop options behind others', extended(datagram(), [OPTIONS, PAD], [HOP_BY_HOP, PAD]), 'l4-header'],
    ['options longer than the packet', extended(datagram(), [OPTIONS, [200, 1, 4, 0, 0, 0, 0]]), 'l4-header'],
    ['nine headers', extended(datagram(), ...Array<[number, number[]]>(9).fill([OPTIONS, PAD])), 'l4-header'],
    ['a fragment header cut short', ipv6Packet({ from: CLIENT, to: SERVER }, FRAGMENT, new Uint8Array(7)), 'l4-header'],
    [
      'a fragment within a fragment',
      extended(datagram(), [FRAGMENT, [0, 0, 0, 0, 0, 0, 1]], [FRAGMENT, [0, 0, 0, 0, 0, 0, 1]]),
      'l4-header',
    ],
    ['a payload longer than the packet', Uint8Array.from(datagram().with(4, 9)), 'ip-header-length'],
    ['half a header', datagram().subarray(0, 39), 'truncated'],
    ['UDP shorter than its length', Uint8Array.from(datagram().with(44, 1)), 'l4-header'],
    ['a payload of 0 bytes', Uint8Array.from(datagram().with(4, 0).with(5, 0)), 'l4-header'],
  ];
  for (const [name, packet, reason] of cases) t.same(dropped(packet), { [reason]: 1 }, name);
});

t.test('addresses that are nobody, or not behind a router', async (t) => {
  const from = (text: string): [Uint8Array, string] => [datagram(SERVER, text), text];
  const to = (text: string): [Uint8Array, string] => [datagram(text), text];
  const cases: [[Uint8Array, string], DropReasonId][] = [
    [from('::1'), 'ip-source'],
    [from('::ffff:1.2.3.4'), 'ip-source'],
    [from('::10.244.1.10'), 'ip-source'],
    [from('ff05::1'), 'ip-source'],
    [from('2001:db8::1'), 'source-spoofed'],
    [from('fd00:10:244:1::10b'), 'source-spoofed'],
    [from('fd00:10:244:2::10a'), 'source-spoofed'],
    [from('fe80::1'), 'link-local'],
    [from('::'), 'link-local'],
    [to('fe80::1'), 'link-local'],
    [to('ff02::1'), 'link-local'],
    [to('ff01::1'), 'link-local'],
    [to('ff05::1'), 'ip-destination'],
    [to('ff0e::1'), 'ip-destination'],
    [to('::1'), 'ip-destination'],
    [to('::'), 'ip-destination'],
    [to('::ffff:10.244.1.11'), 'ip-destination'],
  ];
  for (const [[packet, text], reason] of cases) t.same(dropped(packet), { [reason]: 1 }, text);
});

t.test('what kernels tell their neighbours by themselves ends without alarm', async (t) => {
  for (const type of [130, 131, 132, 133, 134, 135, 136, 137, 143]) {
    const message = new Uint8Array(24).fill(type, 0, 1);
    t.same(
      dropped(ipv6Packet({ from: CLIENT, to: SERVER, ttl: 255 }, 58, message)),
      { 'link-local': 1 },
      `type ${type}`,
    );
  }
});

t.test('fragments take one way, by their addresses', async (t) => {
  const [a, b] = cluster(2) as [TestHost, TestHost];
  const first = extended(datagram('10.244.2.10'), [FRAGMENT, [0, 0, 1, 0, 0, 0, 9]]);
  const later = extended(datagram('10.244.2.10'), [FRAGMENT, [0, 0x01, 0x00, 0, 0, 0, 9]]);
  a.send(0, first);
  a.send(0, later);
  settle([a, b]);
  t.match(b.at(0), [{ protocol: UDP }, { protocol: UDP }]);
  t.equal(a.pipeline.context.flows.size, 1);
});

t.test('a packet that is too big is never cut: its sender is told, super-packet or not', async (t) => {
  const [a, b] = cluster(2, { peerMtu: 1400 }) as [TestHost, TestHost];
  const o = { from: CLIENT, to: '10.244.2.10', fromPort: 1, toPort: 2, payload: payloadOf(1392) };
  a.send(0, udpPacket(o));
  a.io.inject(16, tcpPacket({ ...o, flags: 16, payload: payloadOf(4000) }), tcpOffload(1390));
  a.send(0, extended(udpPacket(o), [FRAGMENT, [0, 0, 1, 0, 0, 0, 9]]));
  settle([a, b]);
  const told = a.io.sent(16).map((p) => p.bytes);
  t.equal(told.length, 3);
  for (const bytes of told) {
    t.match(read(bytes), { from: '10.244.1.1', to: CLIENT, valid: true });
    t.same([bytes[40], bytes[41], u32(bytes, 44)], [icmpv6.TYPE.packetTooBig, 0, 1400]);
    t.equal(bytes.length, 1280, 'with as much of the packet as fits the smallest MTU');
  }
  t.equal(a.drops['too-big'], 3);
  t.same(b.at(0), []);
});

t.test('errors name the address that was not to be had, and nobody answers an error', async (t) => {
  const [a, b] = cluster(2) as [TestHost, TestHost];
  a.send(0, datagram('10.244.2.99'));
  a.send(0, icmpErrorAbout(datagram(CLIENT, '10.244.2.99'), CLIENT, 3, 3));
  settle([a, b]);
  const told = a.io.sent(16);
  t.equal(told.length, 1);
  t.same([told[0]!.bytes[40], told[0]!.bytes[41]], [icmpv6.TYPE.destinationUnreachable, icmpv6.UNREACHABLE.address]);
  t.match(read(told[0]!.bytes), { from: '10.244.2.1', valid: true });
});

t.test('an error about a quote with extension headers finds its connection', async (t) => {
  const hosts = cluster(2, {
    services: [{ address: '10.96.0.53', port: 6, protocol: UDP, endpoints: ['10.244.2.10:53'] }],
  });
  const [a, b] = hosts as [TestHost, TestHost];
  a.send(0, extended(datagram('10.96.0.53'), [OPTIONS, PAD]));
  settle(hosts);
  const [arrived] = b.io.sent(16);
  const error = icmpErrorAbout(arrived!.bytes, '10.244.2.10', 3, 3);
  // The quote is 48 bytes: 8 more hold the ports.
  const longer = new Uint8Array(error.length + 8);
  longer.set(error);
  longer.set(arrived!.bytes.subarray(48, 56), error.length);
  longer[5]! += 8;
  icmpv6.fillChecksum(longer, 0, 40, longer.length - 40);
  b.send(0, longer);
  settle(hosts);
  const [told] = a.io.sent(16);
  t.match(read(told!.bytes), { from: '10.96.0.53', to: CLIENT, valid: true });
  t.match(read(told!.bytes.subarray(48)), { from: CLIENT, to: '10.96.0.53' });
  b.send(0, error);
  settle(hosts);
  t.same(
    a.at(0).map((seen) => seen.from),
    ['10.244.2.10'],
    'without its ports it goes by as it is',
  );
});

t.test('pings of the gateway are answered whatever their size, if their checksum is right', async (t) => {
  const host = new TestHost({ number: 1 });
  host.send(0, echoPacket({ from: CLIENT, to: '10.244.1.1', payload: payloadOf(1001) }));
  const bad = echoPacket({ from: CLIENT, to: '10.244.1.0' });
  bad[42]! ^= 1;
  host.send(0, bad);
  settle([host]);
  t.match(host.at(0), [{ from: '10.244.1.1', type: 0, length: 1029, valid: true }]);
  t.equal(host.drops['l4-header'], 1);
});
