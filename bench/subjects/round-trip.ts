/** Subject: the round trip of a ping between pods on otherwise idle hosts, median; p99 beside it. */
import { inNamespace, run } from '../command.ts';
import type { Subject } from '../contest.ts';

const PINGS = 500;

export function roundTrip(): Subject {
  return {
    name: 'ping',
    rows: [
      { name: 'ping', title: 'ping, median', unit: 'µs', better: 'lower' },
      { name: 'ping-p99', title: 'ping, p99', unit: 'µs', better: 'lower' },
    ],
    seconds: (PINGS * 4) / 1000,
    async measure({ client, address }) {
      const ping = ['ping', '-n', '-i', '0.004', '-c', `${PINGS}`, address];
      const output = await run(inNamespace(client.namespace, ping));
      const times = [...output.matchAll(/time=([\d.]+) ms/g)].map((m) => Number(m[1]) * 1000).sort((a, b) => a - b);
      if (times.length === 0) throw new Error(`ping ${address}: no answer`);
      const at = (q: number) => times[Math.min(times.length - 1, Math.floor(times.length * q))] ?? 0;
      return { values: { ping: at(0.5), 'ping-p99': at(0.99) }, detail: { lost: PINGS - times.length } };
    },
  };
}
