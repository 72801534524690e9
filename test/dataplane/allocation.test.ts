/** A million packets through the pipeline leave nothing for the garbage collector. */
import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { HEADROOM_BYTES } from '../../src/io/vector.ts';
import { TestHost } from './host.ts';
import { payloadOf, tcpPacket, udpPacket } from './packets.ts';

const VECTOR = 64;
const VECTORS = 16_000;

t.test('established flows allocate nothing per packet', async (t) => {
  const host = new TestHost({
    number: 1,
    services: [{ address: '10.96.0.80', port: 80, endpoints: ['10.244.1.11:80', '10.244.2.10:80'] }],
  });
  const { vector, pipeline } = host;
  const from = '10.244.1.10';
  const packets = [
    udpPacket({ from, to: '10.244.2.10', fromPort: 5, toPort: 6, payload: payloadOf(64) }),
    udpPacket({ from, to: '10.244.1.11', fromPort: 5, toPort: 6, payload: payloadOf(64) }),
    tcpPacket({ from, to: '10.96.0.80', fromPort: 5, toPort: 80, flags: 2 }),
    tcpPacket({ from, to: '10.96.0.80', fromPort: 6, toPort: 80, flags: 2 }),
  ];
  const fill = () => {
    for (let i = 0; i < VECTOR; i++) {
      const packet = packets[i & 3]!;
      const at = HEADROOM_BYTES + i * 512;
      for (let n = 0; n < packet.length; n++) vector.arena[at + n] = packet[n]!;
      vector.inPort[i] = 16;
      vector.offset[i] = at;
      vector.length[i] = packet.length;
      vector.l3Offset[i] = 0;
    }
    vector.begin(VECTOR);
  };
  let now = 0;
  const run = (vectors: number) => {
    let forwarded = 0;
    for (let n = 0; n < vectors; n++) {
      fill();
      pipeline.process((now += 0.01));
      for (let i = 0; i < VECTOR; i++) if (vector.outPort[i]! >= 0) forwarded++;
    }
    return forwarded;
  };
  run(2000);
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  observer.observe({ entryTypes: ['gc'] });
  await sleep(50);
  collections = 0;
  const before = process.memoryUsage().heapUsed;
  const started = process.cpuUsage();
  const forwarded = run(VECTORS);
  const nanoseconds = process.cpuUsage(started).user * 1000;
  const grown = process.memoryUsage().heapUsed - before;
  await sleep(50);
  observer.disconnect();
  t.equal(forwarded, VECTOR * VECTORS, 'every packet was forwarded');
  const bytesPerPacket = grown / (VECTOR * VECTORS);
  t.ok(
    collections <= 2 && bytesPerPacket < 8,
    `${collections} collections, ${bytesPerPacket.toFixed(3)} bytes a packet`,
  );
  t.comment(`${(nanoseconds / (VECTOR * VECTORS)).toFixed(0)} ns of processor time a packet, filling included`);
});
