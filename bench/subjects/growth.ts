/**
 * Subjects: how cost grows with what a network has to remember. Flows: a flood in which every datagram belongs to
 * another flow than the one before. Services: new connections to one of many. Ours alone: the peers keep neither.
 */
import type { Path, Subject } from '../contest.ts';
import { connections } from './new-connections.ts';
import { flood } from './traffic.ts';

/** Datagrams per second that make flows known before they are counted. */
const WARM_PER_SECOND = 50_000;

export function flowGrowth(seconds: number, steps: readonly number[] = [1, 1000, 10_000, 100_000]): Subject {
  const warmSeconds = (flows: number) => Math.max(0.1, (1.1 * flows) / WARM_PER_SECOND);
  return {
    name: 'flows',
    rows: steps.map((flows) => ({
      name: `flows-${flows}`,
      title: `UDP flood over ${many(flows, 'flow')}, received`,
      unit: 'kpps',
      better: 'higher',
    })),
    seconds: steps.reduce((sum, flows) => sum + warmSeconds(flows) + seconds + 0.4, 0),
    async measure(path) {
      if (path.contender.kind !== 'weft') return undefined;
      const values: Record<string, number> = {};
      for (const flows of steps) {
        await flood(path, { seconds: warmSeconds(flows), perSecond: WARM_PER_SECOND, flows });
        const { receivedPerSecond } = await flood(path, { seconds, flows });
        values[`flows-${flows}`] = receivedPerSecond / 1000;
      }
      return { values };
    },
  };
}

export function serviceGrowth(seconds: number, steps: readonly number[] = [1, 100, 1000, 10_000]): Subject {
  return {
    name: 'services',
    rows: steps.map((count) => ({
      name: `services-${count}`,
      title: `new TCP connections to one of ${many(count, 'service')}`,
      unit: '/s',
      better: 'higher',
    })),
    seconds: steps.reduce((sum, count) => sum + seconds + 1 + count / 2000, 0),
    async measure(path) {
      const { contender } = path;
      if (!contender.service || !contender.setServices) return undefined;
      const values: Record<string, number> = {};
      const through: Path = { ...path, address: contender.service };
      try {
        for (const count of steps) {
          await contender.setServices(count - 1);
          values[`services-${count}`] = (await connections(through, seconds)).perSecond;
        }
      } finally {
        await contender.setServices(0);
      }
      return { values };
    },
  };
}

function many(count: number, thing: string): string {
  return `${count.toLocaleString('en')} ${thing}${count === 1 ? '' : 's'}`;
}
