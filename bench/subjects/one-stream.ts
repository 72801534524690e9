/**
 * Subject: one TCP stream that is one connection, for a service of several endpoints: iperf3 opens two, and a service
 * may send each to another server.
 */
import { PORTS, type Subject } from '../contest.ts';
import { figure, traffic, trafficServers } from './traffic.ts';

export function oneStream(seconds: number): Subject {
  return {
    name: 'stream',
    rows: [{ name: 'stream', title: 'TCP, 1 stream', unit: 'Gbit/s', better: 'higher' }],
    seconds: seconds + 0.1,
    async measure(path) {
      const listener = await trafficServers(path, 'sink', PORTS.iperf);
      try {
        const figures = await traffic(path.client, 'stream', path.address, PORTS.iperf, seconds);
        const bytes = figure(figures, 'bytes');
        if (bytes === 0) throw new Error(`nothing arrived at ${path.address}:${PORTS.iperf}`);
        return {
          values: { stream: (bytes * 8) / figure(figures, 'seconds') / 1e9 },
          detail: { retransmissions: figure(figures, 'retransmissions') },
          bytes,
        };
      } finally {
        await listener.kill();
      }
    },
  };
}
