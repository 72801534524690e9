/**
 * The contest: every subject is measured on every contender in each round, the order turned round by round, so that
 * drift of the machine falls on all alike. A measurement during which the hypervisor stole much time is taken again.
 */
import { readFileSync } from 'node:fs';
import { inNamespace, run, sleep } from './command.ts';

export interface Pod {
  readonly namespace: string;
  readonly address: string;
}

/** A network between two pods. */
export interface Contender {
  readonly name: string;
  readonly title: string;
  /** Client first; traffic goes from it to the second. */
  readonly pods: readonly [Pod, Pod];
  /** Namespaces it has made, in which checksum errors are counted. */
  readonly namespaces: readonly string[];
  /** Makes it; resolves when its pods reach each other, with a sentence about how it works. */
  up(): Promise<string>;
  down(): Promise<void>;
}

export interface Subject {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
  /** The ratio to the peer that is asked for. */
  readonly target?: number;
  measure(client: Pod, server: Pod): Promise<Measurement>;
}

export interface Measurement {
  value: number;
  /** Shown beside the value: retransmissions, p99 and so on. */
  detail?: Readonly<Record<string, number>>;
}

export interface Sample extends Measurement {
  subject: string;
  contender: string;
  round: number;
  /** Busy seconds of all processors meanwhile, and the share that the hypervisor took. */
  cpuSeconds: number;
  stolen: number;
}

export interface Contest {
  contenders: { name: string; title: string; description: string }[];
  subjects: Omit<Subject, 'measure'>[];
  rounds: number;
  samples: Sample[];
  discarded: number;
  /** Of TCP, UDP, ICMP and IP in every namespace. */
  checksumErrors: number;
  /** Share of the processors that others used before it began. */
  busyBefore: number;
}

const STOLEN_AT_MOST = 0.05;
const BUSY_AT_MOST = 0.1;
const LISTEN_MS = 1500;
const SETTLE_MS = 300;

export async function runContest(
  contenders: readonly Contender[],
  subjects: readonly Subject[],
  options: { rounds: number; log: (line: string, detail?: boolean) => void },
): Promise<Contest> {
  const contest: Contest = {
    contenders: [],
    subjects: subjects.map(({ measure, ...rest }) => rest),
    rounds: options.rounds,
    samples: [],
    discarded: 0,
    checksumErrors: 0,
    busyBefore: await busyShare(LISTEN_MS),
  };
  if (contest.busyBefore > BUSY_AT_MOST) {
    options.log(
      `${(contest.busyBefore * 100).toFixed(0)} % of the processors are in use by others: figures will be off`,
    );
  }
  try {
    for (const c of contenders) {
      const description = await c.up();
      contest.contenders.push({ name: c.name, title: c.title, description });
      options.log(`${c.title}: ${description}`);
    }
    for (let round = 1; round <= options.rounds; round++) {
      const order = round % 2 === 1 ? [...contenders] : [...contenders].reverse();
      for (const subject of subjects) {
        for (const contender of order) {
          const sample = await measureSteadily(subject, contender, round, contest, options.log);
          contest.samples.push(sample);
          options.log(
            `  round ${round}  ${subject.title}  ${contender.title}: ${sample.value.toPrecision(4)} ${subject.unit}`,
          );
        }
      }
    }
    for (const c of contenders) contest.checksumErrors += await checksumErrors(c);
  } finally {
    for (const c of contenders) await c.down();
  }
  return contest;
}

async function measureSteadily(
  subject: Subject,
  contender: Contender,
  round: number,
  contest: Contest,
  log: (line: string, detail?: boolean) => void,
): Promise<Sample> {
  for (let attempt = 1; ; attempt++) {
    await sleep(SETTLE_MS);
    const before = processorTime();
    const measurement = await subject.measure(...contender.pods);
    const after = processorTime();
    const total = after.total - before.total;
    const stolen = (after.stolen - before.stolen) / total;
    const sample = { ...measurement, subject: subject.name, contender: contender.name, round, stolen };
    if (stolen <= STOLEN_AT_MOST || attempt === 3) return { ...sample, cpuSeconds: after.busy - before.busy };
    contest.discarded++;
    log(`  ${(stolen * 100).toFixed(0)} % of the processors' time was stolen: measured again`, true);
  }
}

async function busyShare(ms: number): Promise<number> {
  const before = processorTime();
  await sleep(ms);
  const after = processorTime();
  return (after.busy - before.busy) / (after.total - before.total);
}

/** Seconds since start, of all processors together (/proc/stat, in hundredths). */
function processorTime(): { busy: number; stolen: number; total: number } {
  const fields = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').trim().split(/\s+/).slice(1, 9).map(Number);
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, stolen = 0] = fields;
  const busy = (user + nice + system + irq + softirq) / 100;
  return { busy, stolen: stolen / 100, total: busy + (idle + iowait + stolen) / 100 };
}

async function checksumErrors(contender: Contender): Promise<number> {
  let errors = 0;
  for (const name of new Set([...contender.namespaces, ...contender.pods.map((p) => p.namespace)])) {
    errors += countChecksumErrors(await run(inNamespace(name, ['cat', '/proc/net/snmp'])));
  }
  return errors;
}

/** Lines come in pairs: names, then numbers. */
function countChecksumErrors(snmp: string): number {
  const rows = snmp
    .trim()
    .split('\n')
    .map((l) => l.split(/\s+/));
  let errors = 0;
  for (let i = 0; i + 1 < rows.length; i += 2) {
    rows[i]?.forEach((name, column) => {
      if (name === 'InCsumErrors') errors += Number(rows[i + 1]?.[column] ?? 0);
    });
  }
  return errors;
}
