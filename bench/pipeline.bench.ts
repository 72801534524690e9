#!/usr/bin/env node
/**
 * The pipeline alone, on one processor, over a vector in memory: what a packet's decisions cost, without devices and
 * copies. A vector of 256 packets is put back into its received state before every run; what that takes is measured
 * by itself and subtracted. Written to docs/benchmarks/pipeline.md.
 *
 *   node dist/bench/pipeline.bench.js [--dry]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { measure } from 'mitata';
import { FIELD_COUNT, VECTOR_PACKETS } from '../src/io/vector.ts';
import { cluster, settle, type TestHost } from '../test/dataplane/host.ts';
import { tcpPacket, udpPacket } from '../test/dataplane/packets.ts';

const PACKETS = 256;
const ARENA_BYTES = PACKETS * 1728;
const SYN = 2;
const ACK = 16;
const payload = new Uint8Array(64);

interface Scene {
  title: string;
  /** Brings connections up; returns the packet that is then forwarded again and again. */
  prepare(host: TestHost, all: readonly TestHost[]): (i: number) => Uint8Array;
  verdict: 'sent' | 'dropped';
}

const scenes: Scene[] = [
  {
    title: 'UDP of known flows, to a pod on another host (VXLAN)',
    verdict: 'sent',
    prepare: () => (i) =>
      udpPacket({ from: '10.244.1.10', to: '10.244.2.10', fromPort: 2000 + (i % 16), toPort: 53, payload }),
  },
  {
    title: 'UDP of known flows, to a pod on this host',
    verdict: 'sent',
    prepare: () => (i) =>
      udpPacket({ from: '10.244.1.10', to: '10.244.1.11', fromPort: 2000 + (i % 16), toPort: 53, payload }),
  },
  {
    title: 'TCP through a service, translated, to a pod on another host',
    verdict: 'sent',
    prepare(host, all) {
      const address = '10.96.0.100';
      for (const h of all) h.publish({ services: [{ address, port: 80, endpoints: ['10.244.2.10:8080'] }] });
      for (let i = 0; i < 16; i++) {
        host.send(0, tcpPacket({ from: '10.244.1.10', to: address, fromPort: 3000 + i, toPort: 80, flags: SYN }));
        settle(all);
        const reply = { from: '10.244.2.10', to: '10.244.1.10', fromPort: 8080, toPort: 3000 + i, flags: SYN | ACK };
        all[1]?.send(0, tcpPacket(reply));
        settle(all);
      }
      return (i) =>
        tcpPacket({ from: '10.244.1.10', to: address, fromPort: 3000 + (i % 16), toPort: 80, flags: ACK, payload });
    },
  },
  {
    title: "dropped: a source that is not the pod's own",
    verdict: 'dropped',
    prepare: () => () => udpPacket({ from: '10.244.1.99', to: '10.244.2.10', fromPort: 1, toPort: 53, payload }),
  },
];

const rows: string[] = [];
for (const scene of scenes) rows.push(await run(scene));
const [first] = cpus();
const text = `# What a packet's decisions cost

Written by \`node dist/bench/pipeline.bench.js\`; every figure comes from a run, none is typed by hand.

| ${PACKETS} packets of 64 payload bytes, one processor | ns per packet | million packets per second |
| --- | --- | --- |
${rows.join('\n')}

Parse, flow, service, route, translation and encapsulation, with counters; without devices, system calls and copies.
Medians; putting the vector back is measured by itself and subtracted. ${first?.model.trim() ?? ''}, Linux ${release()}, Node ${process.version}.
`;
console.log(text);
if (!process.argv.includes('--dry')) {
  mkdirSync('docs/benchmarks', { recursive: true });
  writeFileSync('docs/benchmarks/pipeline.md', text);
}

async function run(scene: Scene): Promise<string> {
  const hosts = cluster(2);
  const [host] = hosts;
  if (!host) throw new Error('no host');
  const packet = scene.prepare(host, hosts);
  const inject = () => {
    for (let i = 0; i < PACKETS; i++) host.send(0, packet(i));
  };
  // Once through, so that flows and neighbours are known.
  inject();
  settle(hosts);
  host.io.sent();
  inject();
  host.io.exchange(host.vector, 0);
  const { vector, pipeline } = host;
  if (vector.count !== PACKETS) throw new Error(`${vector.count} packets received, not ${PACKETS}`);
  const arena = vector.arena.slice(0, ARENA_BYTES);
  const descriptors = vector.descriptors.slice(0, FIELD_COUNT * VECTOR_PACKETS);
  const restore = () => {
    vector.arena.set(arena);
    vector.descriptors.set(descriptors);
    vector.begin(PACKETS);
  };
  const decide = () => {
    restore();
    pipeline.process(1);
  };
  decide();
  const sent = vector.outPort.subarray(0, PACKETS).filter((p) => p >= 0).length;
  if (sent !== (scene.verdict === 'sent' ? PACKETS : 0)) {
    throw new Error(`${scene.title}: ${sent} of ${PACKETS} sent, ${JSON.stringify(host.drops)}`);
  }
  const options = { min_cpu_time: 1e9 };
  const both = await measure(decide, options);
  const alone = await measure(restore, options);
  const ns = (both.p50 - alone.p50) / PACKETS;
  return `| ${scene.title} | ${ns.toFixed(0)} | ${(1000 / ns).toFixed(1)} |`;
}
