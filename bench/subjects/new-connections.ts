/**
 * Subject: new TCP connections per second, each for one byte there and back, several under way at once. The server
 * closes, and the client resets what is left, so that no port is used up by waiting.
 */
import { type Path, PORTS, type Subject } from '../contest.ts';
import { figure, traffic, trafficServers } from './traffic.ts';

const AT_ONCE = 16;
/** SYN, SYN+ACK, ACK, byte, byte, FIN, RST. */
const PACKETS = 7;

export function newConnections(seconds: number, atOnce = AT_ONCE): Subject {
  return {
    name: 'connections',
    rows: [
      { name: 'connections', title: 'new TCP connections', unit: '/s', better: 'higher' },
      { name: 'connections-p99', title: `new TCP connection, ${atOnce} at once, p99`, unit: 'µs', better: 'lower' },
    ],
    seconds,
    async measure(path) {
      const { perSecond, p99Microseconds, p50Microseconds, failed } = await connections(path, seconds, atOnce);
      return {
        values: { connections: perSecond, 'connections-p99': p99Microseconds },
        detail: { p50: p50Microseconds, failed },
        packets: perSecond * seconds * PACKETS,
      };
    },
  };
}

/** Connects, asks and closes for some time. An Error when no connection was made. */
export async function connections(path: Path, seconds: number, atOnce = AT_ONCE) {
  const { client, address } = path;
  const listener = await trafficServers(path, 'serve', PORTS.connect);
  try {
    const figures = await traffic(client, 'connect', address, PORTS.connect, seconds, atOnce);
    const [count, failed] = [figure(figures, 'count'), figure(figures, 'failed')];
    if (count === 0) throw new Error(`no connection to ${address}:${PORTS.connect} was made, ${failed} failed`);
    return {
      perSecond: count / figure(figures, 'seconds'),
      p50Microseconds: figure(figures, 'p50'),
      p99Microseconds: figure(figures, 'p99'),
      failed,
    };
  } finally {
    await listener.kill();
  }
}
