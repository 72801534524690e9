/** Neighbour discovery over the overlay, as kernel VXLAN devices do it. */
import './use-ipv6.ts';
import t from 'tap';
import { parseAddress, type Words } from '../../src/wire/address.ts';
import * as icmpv6 from '../../src/wire/icmpv6.ts';
import * as ipv6 from '../../src/wire/ipv6.ts';
import * as ndp from '../../src/wire/ndp.ts';
import { cluster, OVERLAY_PORT, settle, TestHost, underlay, words } from './host.ts';
import { echoPacket } from './packets.ts';

const VTEP_1 = 'fd00:10:244:1::';
const VTEP_2 = 'fd00:10:244:2::';
/** As host.ts gives them: 0a:58:172:31:0:(10 + number). */
const MAC = [0x0a58, 0xac1f000b, 0xac1f000c] as const;

interface Message {
  type: number;
  from: string;
  to: string;
  target: string;
  hopLimit?: number;
  mac?: boolean;
  flags?: number;
}

/** A frame from host 2 as it stands behind the outer UDP header. */
function frame(m: Message): Uint8Array {
  const length = m.mac === false ? 24 : ndp.MESSAGE_BYTES;
  const b = new Uint8Array(22 + ipv6.HEADER_BYTES + length);
  b.set([8, 0, 0, 0, 0, 0, 1, 0, 0x33, 0x33, 0xff, 0, 0, 0, 0x0a, 0x58, 172, 31, 0, 12, 0x86, 0xdd]);
  const of = (text: string): Words => parseAddress(text)!;
  ipv6.writeHeader(b, 22, length, 58, m.hopLimit ?? 255, of(m.from), of(m.to));
  const [t0, t1, t2, t3] = of(m.target);
  const message = new Uint8Array(ndp.MESSAGE_BYTES);
  if (m.type === 135) ndp.writeSolicitation(message, 0, t0, t1, t2, t3, MAC[0], MAC[2]);
  else ndp.writeAdvertisement(message, 0, m.flags ?? 0, t0, t1, t2, t3, MAC[0], MAC[2]);
  b.set(message.subarray(0, length), 62);
  icmpv6.fillChecksum(b, 22, 62, length);
  return b;
}

function ask(change: Partial<Message>, damage: (b: Uint8Array) => void = () => {}) {
  const host = new TestHost({ number: 1, hosts: 2 });
  const b = frame({ type: 135, from: VTEP_2, to: 'ff02::1:ff00:0', target: VTEP_1, ...change });
  damage(b);
  host.io.inject(OVERLAY_PORT, b, { peer: words(underlay(2)) });
  settle([host]);
  return { sent: host.io.sent(OVERLAY_PORT).map((p) => p.bytes), drops: host.drops };
}

const word = (b: Uint8Array, get: (b: Uint8Array, o: number, i: number) => number, o: number) =>
  [0, 1, 2, 3].map((i) => get(b, o, i));

t.test('a solicitation for our VTEP or gateway is answered with our MAC', async (t) => {
  for (const target of [VTEP_1, `${VTEP_1}1`]) {
    for (const mac of [true, false]) {
      const { sent } = ask({ target, mac });
      t.equal(sent.length, 1);
      const b = sent[0]!;
      t.same([...b.subarray(8, 22)], [0x0a, 0x58, 172, 31, 0, 12, 0x0a, 0x58, 172, 31, 0, 11, 0x86, 0xdd]);
      t.equal(ipv6.hopLimit(b, 22), 255);
      t.same(word(b, ipv6.sourceWord, 22), parseAddress(target));
      t.same(word(b, ipv6.destinationWord, 22), parseAddress(VTEP_2));
      t.ok(icmpv6.checksumValid(b, 22, 62, 32) && ndp.check(b, 62, b.length));
      t.equal(b[66], 0xe0, 'a router, asked, and to be believed');
      t.same(word(b, ndp.targetWord, 62), parseAddress(target));
      const at = ndp.macAt(b, 62, b.length, ndp.OPTION.targetMac);
      t.same([ndp.macHigh(b, at), ndp.macLow(b, at)], [MAC[0], MAC[1]]);
    }
  }
});

t.test('whoever wants our address for himself is told, and so is everybody', async (t) => {
  const { sent } = ask({ from: '::', mac: false });
  t.same([...sent[0]!.subarray(8, 14)], [0x33, 0x33, 0, 0, 0, 1]);
  t.same(word(sent[0]!, ipv6.destinationWord, 22), parseAddress('ff02::1'));
  t.equal(sent[0]![66], 0xa0, 'not asked');
});

t.test('what is malformed, has crossed a router or is for others is not answered', async (t) => {
  const set = (at: number, value: number) => (b: Uint8Array) => {
    b[at] = value;
    icmpv6.fillChecksum(b, 22, 62, b.length - 62);
  };
  const cases: [string, Partial<Message>, (b: Uint8Array) => void, string][] = [
    ['for another', { target: 'fd00:10:244:1::10a' }, () => {}, 'neighbour-discovery'],
    ['a multicast target', { target: 'ff02::1' }, () => {}, 'neighbour-discovery'],
    ['a bad checksum', {}, (b) => (b[64]! ^= 1), 'neighbour-discovery'],
    ['a code', {}, set(63, 1), 'neighbour-discovery'],
    ['an option of length 0', {}, set(87, 0), 'neighbour-discovery'],
    ['an option that runs past the end', {}, set(87, 2), 'neighbour-discovery'],
    ['through a router', { hopLimit: 254 }, () => {}, 'link-local'],
    [
      'through a router, to our MAC',
      { hopLimit: 254, to: VTEP_1 },
      (b) => b.set([0x0a, 0x58, 172, 31, 0, 11], 8),
      'link-local',
    ],
  ];
  for (const [name, change, damage, reason] of cases) {
    const { sent, drops } = ask(change, damage);
    t.same(sent, [], name);
    t.same(drops, { [reason]: 1 }, name);
  }
});

t.test('frames of a group or of another MAC carry nothing to pods', async (t) => {
  const host = new TestHost({ number: 1, hosts: 2 });
  const packet = echoPacket({ from: '10.244.2.10', to: '10.244.1.10' });
  const b = new Uint8Array(22 + packet.length);
  b.set(frame({ type: 135, from: VTEP_2, to: VTEP_1, target: VTEP_1 }).subarray(0, 22));
  b.set(packet, 22);
  host.io.inject(OVERLAY_PORT, b, { peer: words(underlay(2)) });
  b[20] = 8;
  b[21] = 0;
  host.io.inject(OVERLAY_PORT, b.with(8, 0x0a).with(9, 0x58).with(10, 172).with(11, 31).with(12, 0).with(13, 11), {
    peer: words(underlay(2)),
  });
  settle([host]);
  t.same(host.drops, { 'ethernet-destination': 1, 'ip-version': 1 }, 'nor do those whose type is another family');
});

t.test('a peer is learned from its solicitation and from its answer', async (t) => {
  for (const type of [135, 136]) {
    const host = new TestHost({ number: 1, hosts: 2, learn: [2] });
    const ping = echoPacket({ from: '10.244.1.10', to: '10.244.2.10' });
    host.send(0, ping);
    settle([host]);
    t.equal(host.drops['neighbour-unresolved'], 1);
    host.io.sent();
    const b = frame({
      type,
      from: VTEP_2,
      to: type === 135 ? 'ff02::1:ff00:0' : VTEP_1,
      target: type === 135 ? VTEP_1 : VTEP_2,
    });
    host.io.inject(OVERLAY_PORT, b, { peer: words(underlay(2)) });
    host.send(0, ping);
    settle([host]);
    const pinged = host.io.sent(OVERLAY_PORT).filter((p) => p.bytes[62] === 128);
    t.equal(pinged.length, 1);
    t.same([...pinged[0]!.bytes.subarray(8, 14)], [0x0a, 0x58, 172, 31, 0, 12]);
  }
});

t.test('two hosts that know no MAC of each other find out by themselves', async (t) => {
  const hosts = cluster(2, { learn: [1, 2] });
  const [a, b] = hosts as [TestHost, TestHost];
  settle(hosts);
  a.send(0, echoPacket({ from: '10.244.1.10', to: '10.244.2.10' }));
  settle(hosts);
  t.match(b.at(0), [{ type: 8, valid: true }]);
});
