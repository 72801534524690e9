/**
 * Conversations at random between pods, hosts, services and the world, on hosts of one to four workers whose steering
 * is at random too, stepped in any order; some datagrams are larger than a packet: every question is answered by whom it was put to, and no connection is known
 * to two workers.
 */
import t from 'tap';
import { fragmentsOf, reassembled } from './fragments.ts';
import { HOST_PORT, type TestService } from './host.ts';
import { echoPacket, payloadOf, read, type Seen, tcpPacket, udpPacket } from './packets.ts';
import { Random } from './random.ts';
import { settleAll, WorkerHost } from './worker-host.ts';

const SYN = 2;
const ACK = 16;
const PODS = 6;
const ROUNDS = 3000;
const WORLD = '192.0.2.7';
const services: TestService[] = [
  { address: '10.96.0.80', port: 80, endpoints: ['10.244.1.11:8080', '10.244.2.12:8080', '10.244.1.14:8080'] },
  { address: '10.96.0.53', port: 53, protocol: 17, endpoints: ['10.244.2.11:5353', '10.244.1.12:5353'] },
  { address: '10.96.0.81', port: 80, endpoints: ['10.244.1.13:80'] },
];
/** Each host's relay stands behind one more. */
const servicesOf = (number: number): TestService[] => [
  ...services,
  ...(['lc', 'mh', 'wrr', 'random'] as const).map((scheduler, n): TestService => {
    const endpoints = ['10.244.1.11:8080*2', '10.244.2.12:8080', '10.244.2.14:8080'];
    return { address: `10.96.0.${82 + n}`, port: 80, endpoints, scheduler, masquerade: true, affinitySeconds: n * 4 };
  }),
  { address: '10.96.0.90', port: 80, endpoints: [`10.244.${number}.1:40000`], scheduler: 'plain' },
];
const addresses = servicesOf(1)
  .filter((s) => s.protocol === undefined)
  .map((s) => s.address);

/** Where packets come out and go in: a pod of a host, or a host's own stack (the world lies behind it). */
interface Place {
  host: WorkerHost;
  pod: number;
  address: string;
}

function put(place: Place, packet: Uint8Array): void {
  if (place.pod < 0) place.host.sendFromHost(packet);
  else place.host.send(place.pod, packet);
}

let identification = 0;

/** A datagram of any size, as a kernel sends it. */
function putDatagram(place: Place, packet: Uint8Array): void {
  if (packet.length <= 1400) return put(place, packet);
  identification = (identification + 1) & 0xffff;
  for (const fragment of fragmentsOf(packet, identification)) put(place, fragment);
}

/** What came out at a place, its fragments put together. */
function taken({ host, pod }: Place): Seen[] {
  return reassembled(host.sent(pod < 0 ? HOST_PORT : 16 + pod).map((p) => p.bytes)).map(read);
}

/** What a peer's kernel would answer to a packet. */
function answerTo(seen: Seen): Uint8Array | undefined {
  const back = { from: seen.to, to: seen.from, fromPort: seen.toPort, toPort: seen.fromPort };
  if (seen.protocol === 6) return seen.flags === SYN ? tcpPacket({ ...back, flags: SYN | ACK }) : undefined;
  if (seen.protocol === 17)
    return seen.toPort < 10_000 ? udpPacket({ ...back, payload: payloadOf(seen.length > 1400 ? 3000 : 4) }) : undefined;
  return seen.type === 8 ? echoPacket({ ...back, reply: true }) : undefined;
}

for (const workers of [1, 2, 3, 4]) {
  t.test(`${workers} workers`, async (t) => {
    const r = new Random(7 + workers);
    const make = (number: number) =>
      new WorkerHost({
        number,
        hosts: 2,
        pods: PODS,
        workers,
        services: servicesOf(number),
        steer: () => r.below(workers),
      });
    const hosts = [make(1), make(2)] as const;
    const places = hosts.flatMap((host, h): Place[] => [
      { host, pod: -1, address: `10.244.${h + 1}.1` },
      ...Array.from({ length: PODS }, (_, pod) => ({ host, pod, address: `10.244.${h + 1}.${10 + pod}` })),
    ]);
    const order = <T>(list: T[]) => list.sort(() => r.below(3) - 1);
    const unanswered: string[] = [];
    let asked = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const wanted = new Map<Place, Set<string>>();
      for (let n = r.below(6); n >= 0; n--) {
        const place = r.pick(places);
        const other = r.pick(places);
        // Few ports, so that they are used again, for others too.
        const fromPort = 10_000 + r.below(200);
        const expect = (answer: string) => {
          asked++;
          if (!wanted.has(place)) wanted.set(place, new Set());
          wanted.get(place)?.add(answer);
        };
        const payload = payloadOf(r.chance(0.1) ? 1400 + r.below(5000) : 0);
        const kind = r.below(7);
        if (place === other || (place.pod < 0 && other.pod < 0)) continue;
        if (kind === 0) {
          const to = r.pick(addresses);
          put(place, tcpPacket({ from: place.address, to, fromPort: round, toPort: 80, flags: SYN }));
          expect(`6 ${to}:80 > ${round}`);
        } else if (kind === 1) {
          putDatagram(place, udpPacket({ from: place.address, to: '10.96.0.53', fromPort, toPort: 53, payload }));
          expect(`17 10.96.0.53:53 > ${fromPort}`);
        } else if (kind === 2) {
          const toPort = r.pick([80, 8080]);
          put(place, tcpPacket({ from: place.address, to: other.address, fromPort: round, toPort, flags: SYN }));
          expect(`6 ${other.address}:${toPort} > ${round}`);
        } else if (kind === 3) {
          putDatagram(place, udpPacket({ from: place.address, to: other.address, fromPort, toPort: 5353, payload }));
          expect(`17 ${other.address}:5353 > ${fromPort}`);
        } else if (kind === 4 && other.pod >= 0) {
          put(place, echoPacket({ from: place.address, to: other.address, id: fromPort }));
          expect(`1 ${other.address}:0 > 0`);
        } else if (kind === 5 && place.pod >= 0) {
          putDatagram(place, udpPacket({ from: place.address, to: WORLD, fromPort, toPort: 53, payload }));
          expect(`17 ${WORLD}:53 > ${fromPort}`);
        } else if (kind === 6 && place.pod < 0) {
          const to = `10.96.0.${82 + r.below(4)}`;
          put(place, tcpPacket({ from: WORLD, to, fromPort: round, toPort: 80, flags: SYN }));
          expect(`6 ${to}:80 > ${round}`);
        }
      }
      for (let turn = 0; turn < 2; turn++) {
        settleAll(hosts, order);
        for (const place of places) {
          for (const seen of taken(place)) {
            if (!seen.valid) unanswered.push(`damaged: ${JSON.stringify(seen)}`);
            wanted.get(place)?.delete(`${seen.protocol} ${seen.from}:${seen.fromPort} > ${seen.toPort}`);
            const answer = answerTo(seen);
            if (answer) putDatagram(place, answer);
          }
        }
      }
      for (const [place, left] of wanted) for (const one of left) unanswered.push(`${round}: ${place.address}: ${one}`);
      if (r.chance(0.02)) for (const host of hosts) host.publish({});
      if (r.chance(0.2)) for (const host of hosts) host.wait(r.below(20_000));
    }
    t.ok(asked > ROUNDS, `${asked} questions`);
    t.same(unanswered.slice(0, 10), []);
    for (const host of hosts) {
      const busy = host.workers.filter(({ pipeline }) => pipeline.context.flows.created > 100);
      t.equal(busy.length, workers, 'every worker kept connections');
      t.equal(host.active, host.counted, 'endpoints count their connections');
      t.same(
        Object.keys(host.drops).filter((reason) => reason !== 'consumed'),
        [],
      );
    }
  });
}
