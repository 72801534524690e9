/**
 * Fuzzing of the whole pipeline over ports in memory: seeded packets of every kind, mutated, truncated and nested in
 * each other, into every port. Nothing may throw, point outside the arena, go round for ever, or reach a pod with a
 * source that is not its sender's; what is dropped is dropped for a reason.
 */
import t from 'tap';
import { DROP_REASONS } from '../../src/dataplane/drop-reasons.ts';
import { setU16, u32 } from '../../src/wire/bytes.ts';
import * as icmpv6 from '../../src/wire/icmpv6.ts';
import * as ndp from '../../src/wire/ndp.ts';
import { icmpErrorAbout } from './errors.ts';
import { run } from './family.ts';
import { OVERLAY_PORT, TestHost, type TestService, underlay, words } from './host.ts';
import {
  echoPacket,
  ipPacket,
  ipv6Packet,
  type PacketOptions,
  payloadOf,
  tcpOffload,
  tcpPacket,
  udpPacket,
} from './packets.ts';
import { Random } from './random.ts';

const ROUNDS = 20_000;
const SERVICES: TestService[] = [
  { address: '10.96.0.80', port: 80, endpoints: ['10.244.1.11:80', '10.244.2.10:80', '10.244.1.99:80'] },
  { address: '10.96.0.81', port: 80, endpoints: ['10.244.1.10:80'] },
  { address: '10.96.0.53', port: 53, protocol: 17, endpoints: ['10.244.1.11:53', '10.244.2.10:53'] },
  { address: '10.96.0.99', port: 80, endpoints: [] },
  ...(['lc', 'mh', 'wrr', 'sed', 'nq', 'random', 'plain'] as const).map((scheduler, n): TestService => {
    const endpoints = ['10.244.1.11:80*3', '10.244.2.10:80*0', '10.244.1.99:80', '8.8.8.8:80'];
    const outside = n % 2 === 0 ? { outside: endpoints.slice(n / 2) } : {};
    const policy = { masquerade: n % 3 === 0, affinitySeconds: n % 4, whenEmpty: 'drop' as const, ...outside };
    return { address: `10.96.0.${82 + n}`, port: 80, protocol: n % 5 === 4 ? 17 : 6, endpoints, scheduler, ...policy };
  }),
  { address: '8.8.8.8', port: 80, endpoints: ['10.244.1.1:80'], scheduler: 'plain', shared: true },
];
const TARGETS = [
  '10.244.1.10',
  '10.244.1.11',
  '10.244.1.1',
  '10.244.1.99',
  '10.244.2.10',
  '10.244.2.1',
  '10.244.9.9',
  '10.96.0.80',
  '10.96.0.81',
  '10.96.0.53',
  '10.96.0.82',
  '10.96.0.83',
  '10.96.0.86',
  '10.96.0.99',
  '10.96.0.1',
  '8.8.8.8',
  '224.0.0.1',
  '127.0.0.1',
  '0.0.0.0',
];

/** A well-formed packet of some kind. */
function packet(r: Random): Uint8Array {
  const o = {
    from: r.chance(0.8) ? '10.244.1.10' : r.pick(TARGETS),
    to: r.pick(TARGETS),
    ttl: r.pick([0, 1, 2, 64, 255]),
    dontFragment: r.chance(0.5),
    payload: payloadOf(r.pick([0, 1, 8, 64, 1400, 1500, 4000])),
    fromPort: r.below(8),
    toPort: r.pick([80, 53, 1]),
  };
  const kind = r.below(run.family === 6 ? 9 : 7);
  if (kind < 2) return tcpPacket({ ...o, flags: r.below(256), seq: r.next(), ack: r.next() });
  if (kind === 2) return udpPacket(o);
  if (kind === 3) return echoPacket({ ...o, reply: r.chance(0.3) });
  if (kind === 4) return icmpErrorAbout(packet(r), r.pick(TARGETS), r.pick([3, 4, 5, 11, 12]), r.below(16));
  if (kind === 7) return extended(r, packet(r));
  if (kind === 8) return neighbourPacket(r, o);
  return ipPacket(o, r.below(256), payloadOf(r.below(100)));
}

/** The same packet with extension headers at random, most of them well-formed. */
function extended(r: Random, inner: Uint8Array): Uint8Array {
  let [next, payload] = [inner[6]!, inner.subarray(40)];
  for (let n = r.below(4); n >= 0; n--) {
    const units = r.chance(0.8) ? 1 : 1 + r.below(4);
    const number = r.pick([0, 43, 44, 60, 60, 51, r.below(256)]);
    const longer = new Uint8Array(units * 8 + payload.length);
    longer[0] = next;
    longer[1] = r.chance(0.9) ? units - 1 : r.below(256);
    longer[2] = r.below(8);
    longer[3] = r.chance(0.7) ? 0 : r.below(256);
    longer.set(payload, units * 8);
    [next, payload] = [number, longer];
  }
  const b = new Uint8Array(40 + payload.length);
  b.set(inner.subarray(0, 40));
  b.set(payload, 40);
  b[6] = next;
  setU16(b, 4, payload.length);
  return b;
}

function neighbourPacket(r: Random, o: PacketOptions): Uint8Array {
  const message = new Uint8Array(ndp.MESSAGE_BYTES);
  const [t0, t1, t2, t3] = words(r.pick(TARGETS));
  ndp.writeSolicitation(message, 0, t0, t1, t2, t3, 0x0a58, r.next());
  message[0] = r.pick([133, 135, 135, 136, 137, 143]);
  const b = ipv6Packet({ ...o, ttl: 255 }, 58, message);
  icmpv6.fillChecksum(b, 0, 40, message.length);
  return b;
}

function mutate(r: Random, bytes: Uint8Array): Uint8Array {
  const b = bytes.slice(0, r.chance(0.2) ? r.below(bytes.length + 1) : bytes.length);
  for (let n = r.below(5); n > 0 && b.length > 0; n--)
    b[r.below(Math.min(b.length, 80))] = r.pick([0, 0xff, r.below(256)]);
  return b;
}

function inOverlay(r: Random, inner: Uint8Array): Uint8Array {
  const header = [
    8,
    0,
    0,
    0,
    0,
    0,
    1,
    0,
    0x0a,
    0x58,
    172,
    31,
    0,
    11,
    0x0a,
    0x58,
    172,
    31,
    0,
    12,
    8,
    r.chance(0.1) ? 6 : 0,
  ];
  if (inner.length > 0 && inner[0]! >> 4 === 6 && r.chance(0.95)) header.splice(-2, 2, 0x86, 0xdd);
  const b = new Uint8Array(header.length + inner.length);
  b.set(header);
  b.set(inner, header.length);
  return b;
}

t.test('nothing that comes in can break the pipeline', async (t) => {
  const r = new Random(20_261_120);
  const host = new TestHost({ number: 1, hosts: 2, pods: 2, services: SERVICES, maxFlows: 4096 });
  // The last word of a pod's address is its own in either family; in what goes to a peer it stands here.
  const own = new Map([
    [16, words('10.244.1.10')[3] >>> 0],
    [17, words('10.244.1.11')[3] >>> 0],
  ]);
  const sourceAt = 22 + (run.family === 6 ? 20 : 12);
  let bad = 0;
  let sent = 0;
  for (let n = 0; n < ROUNDS; n++) {
    let p = packet(r);
    const overlay = r.chance(0.4);
    if (overlay) for (let depth = r.chance(0.1) ? 3 : 1; depth > 0; depth--) p = inOverlay(r, p);
    if (r.chance(0.7)) p = mutate(r, p);
    const port = overlay ? OVERLAY_PORT : r.pick([0, 16, 17, 40]);
    const meta = overlay ? { peer: words(r.chance(0.9) ? underlay(2) : '9.9.9.9') } : {};
    const gso = r.chance(0.1) ? { ...tcpOffload(1 + r.below(1400)), gsoType: r.pick([1, 4, 5]) } : {};
    host.io.inject(port, p, { ...meta, ...gso });
    if (r.chance(0.3)) continue;
    if (r.chance(0.05)) host.io.advance(r.below(3000));
    host.step();
    for (let i = 0; i < host.vector.count; i++) {
      const out = host.vector.outPort[i]!;
      if (out < 0) continue;
      sent++;
      const offset = host.vector.offset[i]!;
      const length = host.vector.length[i]!;
      if (offset < 0 || length < 20 || offset + length > host.vector.arena.length) bad++;
      const from = host.vector.inPort[i]!;
      const pod = own.get(from);
      // To a peer, the inner packet of a pod has the pod's own address.
      if (pod !== undefined && out === OVERLAY_PORT && u32(host.vector.arena, offset + sourceAt) !== pod) bad++;
    }
    if (r.chance(0.02)) host.publish({ pods: 1 + r.below(2), services: SERVICES.filter(() => r.chance(0.95)) });
    host.io.sent();
  }
  t.equal(bad, 0);
  const drops = host.drops;
  t.ok(sent > ROUNDS / 20, `${sent} packets were sent on or answered`);
  const seen = DROP_REASONS.filter((reason) => (drops[reason.id] ?? 0) > 0).length;
  t.ok(seen >= 18, `${seen} reasons were met: ${JSON.stringify(drops)}`);
  t.ok(host.pipeline.context.flows.size <= 4096);
});
