/** Subject: the round trip of a ping between pods on otherwise idle hosts, median; p99 beside it. */
import { inNamespace, run } from '../command.ts';
import type { Subject } from '../contest.ts';

const PINGS = 500;

export function roundTrip(): Subject {
  return {
    name: 'ping',
    title: 'ping round trip, median',
    unit: 'µs',
    better: 'lower',
    async measure(client, server) {
      const ping = ['ping', '-n', '-i', '0.004', '-c', `${PINGS}`, server.address];
      const output = await run(inNamespace(client.namespace, ping));
      const times = [...output.matchAll(/time=([\d.]+) ms/g)].map((m) => Number(m[1]) * 1000).sort((a, b) => a - b);
      if (times.length === 0) throw new Error(`ping ${server.address}: no answer`);
      const at = (q: number) => times[Math.min(times.length - 1, Math.floor(times.length * q))] ?? 0;
      return { value: at(0.5), detail: { p99: at(0.99), lost: PINGS - times.length } };
    },
  };
}
