/** Subject: one byte there and back on a TCP connection, again and again; idle, or beside a bulk stream. */
import { sleep } from '../command.ts';
import { type Path, PORTS, type Subject } from '../contest.ts';
import { iperf, iperfServer } from './tcp-throughput.ts';
import { type Figures, figure, traffic, trafficServers } from './traffic.ts';

/** The bulk stream is at its speed by then. */
const WARM_SECONDS = 0.4;

export function requestResponse(seconds: number, loaded = false): Subject {
  const name = loaded ? 'request-response-loaded' : 'request-response';
  const title = loaded ? 'TCP request-response beside a bulk stream' : 'TCP request-response';
  return {
    name,
    rows: [
      { name: `${name}-p50`, title: `${title}, median`, unit: 'µs', better: 'lower' },
      { name: `${name}-p99`, title: `${title}, p99`, unit: 'µs', better: 'lower' },
      { name: `${name}-rate`, title: `${title}, rate`, unit: '/s', better: 'higher' },
    ],
    seconds: seconds + (loaded ? 1.2 : 0.1),
    async measure(path) {
      if (!loaded) {
        const figures = await ask(path, seconds);
        // A request, and an answer that acknowledges it.
        const packets = figure(figures, 'count') * 2;
        return { values: valuesOf(name, figures), packets, bytes: packets };
      }
      const listener = await iperfServer(path.server, PORTS.secondIperf);
      try {
        const bulk = iperf(path, { seconds: seconds + WARM_SECONDS + 0.3, streams: 1, port: PORTS.secondIperf });
        const asked = sleep(WARM_SECONDS * 1000).then(() => ask(path, seconds));
        const [stream, figures] = await Promise.all([bulk, asked]);
        return {
          values: valuesOf(name, figures),
          detail: { bulkGbps: stream.bitsPerSecond / 1e9 },
          bytes: stream.bytes,
        };
      } finally {
        await listener.kill();
      }
    },
  };
}

async function ask(path: Path, seconds: number): Promise<Figures> {
  const { client, address } = path;
  const listener = await trafficServers(path, 'serve', PORTS.echo);
  try {
    return await traffic(client, 'ask', address, PORTS.echo, seconds);
  } finally {
    await listener.kill();
  }
}

function valuesOf(name: string, figures: Figures): Record<string, number> {
  return {
    [`${name}-p50`]: figure(figures, 'p50'),
    [`${name}-p99`]: figure(figures, 'p99'),
    [`${name}-rate`]: figure(figures, 'count') / figure(figures, 'seconds'),
  };
}
