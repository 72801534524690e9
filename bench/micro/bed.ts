/**
 * A pipeline with a vector of packets that arrives as often as wanted, and the scenes that the benches put on it:
 * connections are known before the first one is timed.
 */
import { cluster, settle, type TestHost } from '../../test/dataplane/host.ts';
import { tcpPacket, udpPacket } from '../../test/dataplane/packets.ts';
import { ReplayIo } from './replay-io.ts';

export const PACKETS = 256;
const FLOWS = 16;
const SYN = 2;
const ACK = 16;
const payload = new Uint8Array(64);

export interface Scene {
  title: string;
  /** Of the packets, how many leave. */
  leave: 'all' | 'none';
  /** Builds hosts with what they know; returns the one to look at, and what makes a vector of packets wait for it. */
  build(): { hosts: TestHost[]; host: TestHost; send: () => void };
}

export class Bed {
  readonly host: TestHost;
  readonly #io: ReplayIo;

  constructor(host: TestHost, send: () => void) {
    this.host = host;
    send();
    host.io.exchange(host.vector, 0);
    if (host.vector.count !== PACKETS) throw new Error(`${host.vector.count} packets received, not ${PACKETS}`);
    this.#io = new ReplayIo(host.vector);
  }

  static of(scene: Scene): Bed {
    const { hosts, host, send } = scene.build();
    // Once through, so that flows and neighbours are known.
    send();
    settle(hosts);
    for (const h of hosts) h.io.sent();
    const bed = new Bed(host, send);
    bed.arrive();
    bed.decide();
    const sent = bed.leaving();
    if (sent !== (scene.leave === 'all' ? PACKETS : 0)) {
      throw new Error(`${scene.title}: ${sent} of ${PACKETS} sent, ${JSON.stringify(bed.host.drops)}`);
    }
    return bed;
  }

  /** The vector is as it was received. */
  arrive(): void {
    this.#io.exchange(this.host.vector);
  }

  decide(): void {
    this.host.pipeline.process(1);
  }

  leaving(): number {
    const { vector } = this.host;
    return vector.outPort.subarray(0, vector.count).filter((port) => port >= 0).length;
  }
}

const port = (i: number) => 2000 + (i % FLOWS);

function forward(from: string, to: string, leave: Scene['leave'] = 'all'): Omit<Scene, 'title'> {
  return {
    leave,
    build() {
      const hosts = cluster(2);
      const host = hosts[0] as TestHost;
      const send = () => {
        for (let i = 0; i < PACKETS; i++) host.send(0, udpPacket({ from, to, fromPort: port(i), toPort: 53, payload }));
      };
      return { hosts, host, send };
    },
  };
}

export const SCENES: readonly Scene[] = [
  { title: 'UDP to a pod on another host (VXLAN)', ...forward('10.244.1.10', '10.244.2.10') },
  {
    title: 'UDP from another host (VXLAN) to a pod',
    leave: 'all',
    build() {
      const hosts = cluster(2);
      const [host, far] = hosts as [TestHost, TestHost];
      const send = () => {
        const addresses = { from: '10.244.2.10', to: '10.244.1.10' };
        for (let i = 0; i < PACKETS; i++)
          far.send(0, udpPacket({ ...addresses, fromPort: port(i), toPort: 53, payload }));
        far.step();
        far.step();
      };
      return { hosts, host, send };
    },
  },
  { title: 'UDP to a pod on this host', ...forward('10.244.1.10', '10.244.1.11') },
  {
    title: 'TCP through a service, translated, to another host',
    leave: 'all',
    build() {
      const hosts = cluster(2);
      const [host, far] = hosts as [TestHost, TestHost];
      const to = '10.96.0.100';
      for (const h of hosts) h.publish({ services: [{ address: to, port: 80, endpoints: ['10.244.2.10:8080'] }] });
      const packet = (i: number, flags: number) =>
        tcpPacket({ from: '10.244.1.10', to, fromPort: port(i), toPort: 80, flags, payload });
      for (let i = 0; i < FLOWS; i++) {
        host.send(0, packet(i, SYN));
        settle(hosts);
        const reply = { from: '10.244.2.10', to: '10.244.1.10', fromPort: 8080, toPort: port(i), flags: SYN | ACK };
        far.send(0, tcpPacket(reply));
        settle(hosts);
      }
      const send = () => {
        for (let i = 0; i < PACKETS; i++) host.send(0, packet(i, ACK));
      };
      return { hosts, host, send };
    },
  },
  { title: "dropped: a source that is not the pod's own", ...forward('10.244.1.99', '10.244.2.10', 'none') },
];

/** A host with packets of 64 payload bytes to another host, whose flows the caller chooses; see growth.ts. */
export function plainBed(host: TestHost, packet: (i: number) => Uint8Array): Bed {
  return new Bed(host, () => {
    for (let i = 0; i < PACKETS; i++) host.send(0, packet(i));
  });
}
