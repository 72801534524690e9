/**
 * Subject: the round trip of a ping between pods: as fast as answers come, and on hosts that have been idle for a
 * moment, where caches are cold and processors asleep.
 */
import { inNamespace, run } from '../command.ts';
import type { Path, Subject } from '../contest.ts';

interface Way {
  readonly name: string;
  readonly title: string;
  readonly flags: readonly string[];
  readonly pings: number;
  readonly seconds: number;
}

/** Each ping when the last one's answer is there. */
const CLOSE: Way = { name: 'ping', title: 'ping', flags: ['-A'], pings: 2000, seconds: 0.2 };
const APART: Way = { name: 'ping-idle', title: 'ping, 4 ms apart', flags: ['-i', '0.004'], pings: 500, seconds: 2 };

export function roundTrip(): Subject {
  return {
    name: 'ping',
    rows: [CLOSE, APART].flatMap(({ name, title }) => [
      { name, title: `${title}, median`, unit: 'µs', better: 'lower' },
      { name: `${name}-p99`, title: `${title}, p99`, unit: 'µs', better: 'lower' },
    ]),
    seconds: CLOSE.seconds + APART.seconds,
    async measure(path) {
      const [close, apart] = [await ping(path, CLOSE), await ping(path, APART)];
      return { values: { ...close.values, ...apart.values }, detail: { lost: close.lost + apart.lost } };
    },
  };
}

async function ping({ client, address }: Path, way: Way): Promise<{ values: Record<string, number>; lost: number }> {
  const output = await run(
    inNamespace(client.namespace, ['ping', '-n', ...way.flags, '-c', `${way.pings}`, '-w', '20', address]),
  );
  const times = [...output.matchAll(/time=([\d.]+) ms/g)].map((m) => Number(m[1]) * 1000).sort((a, b) => a - b);
  if (times.length === 0) throw new Error(`ping ${address}: no answer`);
  const at = (q: number) => times[Math.min(times.length - 1, Math.floor(times.length * q))] ?? 0;
  return { values: { [way.name]: at(0.5), [`${way.name}-p99`]: at(0.99) }, lost: way.pings - times.length };
}
