/**
 * Subject: questions to a DNS server, one of each name in any order, by dnsperf in the client's pod: as many as it
 * answers, by the seconds of processor time that the server's process used for them; and how long an answer takes at a
 * rate that all of them bear. Beside it the memory of the server with all its names.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { inNamespace, run } from '../command.ts';
import { DnsHost } from '../contenders/dns-host.ts';
import type { Path, Subject } from '../contest.ts';

/** Of dnsperf's sockets; questions of all of them that wait for an answer. */
const CLIENTS = 16;
/** What a socket's buffer holds: a lost question would be waited for. */
const OUTSTANDING = 128;
const STEADY_RATE = 5000;
const NANOSECONDS = 1e9;

export function names(seconds: number): Subject {
  return {
    name: 'names',
    rows: [
      { name: 'names', title: 'answers per second of processor', unit: '/s', better: 'higher' },
      { name: 'names-rate', title: 'answers per second', unit: '/s', better: 'higher' },
      { name: 'names-p50', title: `answer at ${STEADY_RATE} questions/s, median`, unit: 'µs', better: 'lower' },
      { name: 'names-p99', title: `answer at ${STEADY_RATE} questions/s, p99`, unit: 'µs', better: 'lower' },
      { name: 'names-memory', title: 'memory of the server', unit: 'MB', better: 'lower' },
    ],
    seconds: 2 * seconds,
    async measure(path) {
      const { contender } = path;
      if (!(contender instanceof DnsHost)) throw new Error(`${contender.name} is no DNS server`);
      const processes = contender.processes();
      const before = processorSeconds(processes);
      const fast = await ask(path, contender.questions, seconds, ['-c', `${CLIENTS}`, '-q', `${OUTSTANDING}`]);
      const used = processorSeconds(processes) - before;
      const steady = await ask(path, contender.questions, seconds, ['-c', '4', '-Q', `${STEADY_RATE}`, '-v']);
      const times = [...steady.matchAll(/^> NOERROR \S+ A (\d+\.\d+)$/gm)].map((m) => Number(m[1]) * 1e6);
      times.sort((a, b) => a - b);
      const at = (q: number) => times[Math.min(times.length - 1, Math.floor(times.length * q))] ?? Number.NaN;
      const completed = count(fast, /Queries completed:\s+(\d+)/);
      return {
        values: {
          names: completed / used,
          'names-rate': count(fast, /Queries per second:\s+([\d.]+)/),
          'names-p50': at(0.5),
          'names-p99': at(0.99),
          'names-memory': residentBytes(processes) / 1e6,
        },
        detail: {
          lost: count(fast, /Queries lost:\s+(\d+)/),
          'cores used': used / seconds,
        },
      };
    },
  };
}

function ask({ client, address }: Path, questions: string, seconds: number, more: readonly string[]): Promise<string> {
  const words = ['dnsperf', '-s', address, '-d', questions, '-l', `${Math.max(1, Math.round(seconds))}`, '-t', '2'];
  return run(inNamespace(client.namespace, [...words, ...more]));
}

function count(said: string, pattern: RegExp): number {
  const found = pattern.exec(said)?.[1];
  if (found === undefined) throw new Error(`dnsperf said: ${said.slice(-400)}`);
  return Number(found);
}

/** Of all their threads, to the nanosecond. */
function processorSeconds(processes: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of processes) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
    }
  }
  return nanoseconds / NANOSECONDS;
}

function residentBytes(processes: readonly number[]): number {
  return processes.reduce((sum, pid) => {
    const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return sum + Number(kilobytes ?? 0) * 1024;
  }, 0);
}
