/** Subject: how long 64-byte datagrams at a fixed rate take, one way and there and back. */
import { type Path, PORTS, type Subject } from '../contest.ts';
import { figure, PAYLOAD_BYTES, traffic, trafficServer } from './traffic.ts';

export function datagramLatency(perSecond: number, seconds: number): Subject {
  const name = `udp-${perSecond / 1000}k`;
  const title = `UDP at ${perSecond / 1000} kpps`;
  return {
    name,
    rows: [
      { name: `${name}-p50`, title: `${title}, there and back, median`, unit: 'µs', better: 'lower' },
      { name: `${name}-p99`, title: `${title}, there and back, p99`, unit: 'µs', better: 'lower' },
      { name: `${name}-one-way-p50`, title: `${title}, one way, median`, unit: 'µs', better: 'lower' },
      { name: `${name}-one-way-p99`, title: `${title}, one way, p99`, unit: 'µs', better: 'lower' },
    ],
    seconds: seconds + 0.3,
    async measure({ client, server, address }: Path) {
      const echo = await trafficServer(server, 'echo', PORTS.echo);
      try {
        const figures = await traffic(client, 'ask-udp', address, PORTS.echo, PAYLOAD_BYTES, seconds, perSecond);
        const [sent, answered] = [figure(figures, 'sent'), figure(figures, 'answered')];
        if (answered === 0) throw new Error(`none of ${sent} datagrams to ${address} was answered`);
        return {
          values: {
            [`${name}-p50`]: figure(figures, 'roundTrip-p50'),
            [`${name}-p99`]: figure(figures, 'roundTrip-p99'),
            [`${name}-one-way-p50`]: figure(figures, 'oneWay-p50'),
            [`${name}-one-way-p99`]: figure(figures, 'oneWay-p99'),
          },
          detail: { lostPercent: (1 - answered / sent) * 100, sentKpps: sent / seconds / 1000 },
          packets: sent + answered,
          bytes: (sent + answered) * PAYLOAD_BYTES,
        };
      } finally {
        await echo.kill();
      }
    },
  };
}
