/**
 * The rules of the contest. Stage by stage: its contenders are made, then every subject is measured on every one of
 * them in each round, the order turned by one from round to round, so that drift of the machine falls on all alike.
 * A measurement during which the hypervisor or others used more than a tenth of a core is taken again.
 */
import { readFileSync } from 'node:fs';
import { checksumErrors } from './checksum-errors.ts';
import { sleep } from './command.ts';
import type { Contender, Measurement, Pod, Row, Subject } from './contest.ts';
import { DISTURBED_CORES, disturbance, type Load, loadBetween, usageNow } from './interference.ts';

/** Contenders on one kind of underlay. */
export interface Stage {
  /** Appended to the names of its rows, empty for the first. */
  readonly name: string;
  readonly title: string;
  readonly contenders: readonly Contender[];
  readonly events: readonly Event[];
  /** What is changed about a contender once it is up. */
  prepare?(contender: Contender): Promise<void>;
}

export interface Event {
  readonly subject: Subject;
  /** At most, for what takes long; undefined is as many as the contest has. */
  readonly rounds?: number;
  takesPart(contender: Contender): boolean;
}

export interface Sample {
  readonly stage: string;
  readonly subject: string;
  readonly contender: string;
  readonly round: number;
  readonly values: Readonly<Record<string, number>>;
  readonly detail: Readonly<Record<string, number>>;
  readonly bytes?: number;
  readonly packets?: number;
  readonly load: Load;
}

export interface Participant {
  readonly name: string;
  readonly title: string;
  readonly kind: Contender['kind'];
  readonly encrypted: boolean;
  readonly description: string;
  readonly version: string;
  /** Resident memory of its processes once everything was measured, both hosts together. */
  memoryBytes: number;
}

export interface Contest {
  readonly stages: { name: string; title: string; subjects: { name: string; rows: readonly Row[] }[] }[];
  readonly participants: Participant[];
  readonly missing: { title: string; why: string }[];
  readonly failures: { what: string; why: string }[];
  readonly samples: Sample[];
  readonly rounds: number;
  readonly seconds: number;
  readonly disturbed: { repeated: number; kept: number };
  checksumErrors: number;
  readonly begun: string;
  minutes: number;
}

export interface Progress {
  /** A line that stays. */
  say(line: string): void;
  /** What is being done, `left` seconds before the end. */
  doing(what: string, left: number): void;
}

const ATTEMPTS = 3;
/** Of all measurements, at most: on a machine that others use the bench ends nevertheless. */
const REPEATED_SHARE = 0.25;
const SETTLE_MS = 200;
/** Quiet is waited for this long before a measurement is repeated. */
const QUIET_MS = 2000;
const OVERHEAD_SECONDS = 0.4;

export async function runContest(
  stages: readonly Stage[],
  options: { rounds: number; seconds: number; progress: Progress },
): Promise<Contest> {
  const { rounds, seconds, progress } = options;
  const begun = Date.now();
  const contest: Contest = {
    stages: [],
    participants: [],
    missing: [],
    failures: [],
    samples: [],
    rounds,
    seconds,
    disturbed: { repeated: 0, kept: 0 },
    checksumErrors: 0,
    begun: new Date(begun).toISOString(),
    minutes: 0,
  };
  const clock = new Clock(stages, rounds);
  for (const stage of stages) await runStage(stage, contest, clock, progress);
  contest.minutes = (Date.now() - begun) / 60_000;
  return contest;
}

async function runStage(stage: Stage, contest: Contest, clock: Clock, progress: Progress): Promise<void> {
  const up: Contender[] = [];
  if (stage.title) progress.say(stage.title);
  contest.stages.push({
    name: stage.name,
    title: stage.title,
    subjects: stage.events.map(({ subject }) => ({ name: subject.name, rows: subject.rows })),
  });
  try {
    for (const contender of stage.contenders) {
      if (await begin(contender, stage, contest, progress)) up.push(contender);
      else clock.withdraw(stage, contender);
    }
    for (let round = 1; round <= contest.rounds; round++) {
      for (const event of stage.events.filter((e) => round <= (e.rounds ?? round))) {
        const first = (round - 1) % Math.max(1, up.length);
        for (const contender of [...up.slice(first), ...up.slice(0, first)]) {
          if (!event.takesPart(contender)) continue;
          const what = `round ${round}/${contest.rounds}  ${contender.title}: ${event.subject.rows[0]?.title ?? ''}`;
          progress.doing(what, clock.left());
          await measureSteadily(event.subject, contender, { stage: stage.name, round }, contest);
          clock.done(event.subject);
        }
      }
    }
    for (const contender of up) {
      const participant = contest.participants.find((p) => p.name === contender.name);
      if (participant && stage.name === '') participant.memoryBytes = memoryOf(contender.processes());
      const { pods: pair, local, otherEndpoints = [] } = contender;
      const pods: Pod[] = [...pair, ...(local ? [local] : []), ...otherEndpoints];
      contest.checksumErrors += await checksumErrors([...contender.hosts, ...pods].map((p) => p.namespace));
    }
  } finally {
    for (const contender of up) await contender.down();
  }
}

/** Whether it is up. What cannot take part is named, and the rest go on without it. */
async function begin(contender: Contender, stage: Stage, contest: Contest, progress: Progress): Promise<boolean> {
  const { name, title, kind, encrypted } = contender;
  const why = await contender.missing();
  if (why !== undefined) {
    if (!contest.missing.some((m) => m.title === title)) contest.missing.push({ title, why });
    progress.say(`  ${title}: not here (${why})`);
    return false;
  }
  progress.doing(`making ${title}`, Number.NaN);
  try {
    const description = await contender.up();
    await stage.prepare?.(contender);
    const version = await contender.version();
    if (!contest.participants.some((p) => p.name === name)) {
      contest.participants.push({ name, title, kind, encrypted, description, version, memoryBytes: 0 });
    }
    progress.say(`  ${title}: ${description}`);
    return true;
  } catch (error) {
    contest.failures.push({ what: `${title} came not up`, why: messageOf(error) });
    progress.say(`  ${title}: came not up: ${messageOf(error)}`);
    await contender.down();
    return false;
  }
}

async function measureSteadily(
  subject: Subject,
  contender: Contender,
  at: { stage: string; round: number },
  contest: Contest,
): Promise<void> {
  let best: { measurement: Measurement; load: Load } | undefined;
  for (let attempt = 1; ; attempt++) {
    await sleep(SETTLE_MS);
    const before = usageNow();
    let measurement: Measurement | undefined;
    try {
      measurement = await subject.measure({
        client: contender.pods[0],
        server: contender.pods[1],
        address: contender.pods[1].address,
        contender,
      });
    } catch (error) {
      const what = `${contender.title}, ${subject.name}${at.stage && `, ${at.stage}`}, round ${at.round}`;
      contest.failures.push({ what, why: messageOf(error) });
      break;
    }
    if (!measurement) return;
    const load = loadBetween(before, usageNow());
    if (!best || disturbance(load) < disturbance(best.load)) best = { measurement, load };
    if (disturbance(best.load) <= DISTURBED_CORES) break;
    const { repeated } = contest.disturbed;
    if (attempt === ATTEMPTS || repeated > REPEATED_SHARE * (contest.samples.length + ATTEMPTS)) {
      contest.disturbed.kept++;
      break;
    }
    contest.disturbed.repeated++;
    await quiet();
  }
  if (!best) return;
  const { values, detail = {}, bytes, packets } = best.measurement;
  const carried = { ...(bytes !== undefined && { bytes }), ...(packets !== undefined && { packets }) };
  const who = { ...at, subject: subject.name, contender: contender.name };
  contest.samples.push({ ...who, values, detail, ...carried, load: best.load });
}

async function quiet(): Promise<void> {
  const end = Date.now() + QUIET_MS;
  while (Date.now() < end) {
    const before = usageNow();
    await sleep(250);
    if (disturbance(loadBetween(before, usageNow())) <= DISTURBED_CORES / 2) return;
  }
}

/** Resident memory of processes, in bytes. */
function memoryOf(processes: readonly number[]): number {
  let bytes = 0;
  for (const pid of processes) {
    const kilobytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    bytes += Number(kilobytes ?? 0) * 1024;
  }
  return bytes;
}

/** How long it will still take: what subjects are said to take, corrected by what they took. */
class Clock {
  readonly #stages: readonly Stage[];
  readonly #rounds: number;
  readonly #withdrawn = new Map<Stage, Set<Contender>>();
  #planned: number;
  #spent = 0;
  readonly #begun = performance.now();

  constructor(stages: readonly Stage[], rounds: number) {
    this.#stages = stages;
    this.#rounds = rounds;
    this.#planned = this.#sum();
  }

  withdraw(stage: Stage, contender: Contender): void {
    const gone = this.#withdrawn.get(stage) ?? new Set();
    this.#withdrawn.set(stage, gone.add(contender));
    this.#planned = this.#sum();
  }

  done(subject: Subject): void {
    this.#spent += subject.seconds + OVERHEAD_SECONDS;
  }

  left(): number {
    const taken = (performance.now() - this.#begun) / 1000;
    const pace = this.#spent > 20 ? taken / this.#spent : 1;
    return (this.#planned - this.#spent) * pace;
  }

  #sum(): number {
    let seconds = 0;
    for (const stage of this.#stages) {
      const here = stage.contenders.filter((c) => !this.#withdrawn.get(stage)?.has(c));
      for (const { subject, takesPart, rounds = this.#rounds } of stage.events) {
        const times = here.filter(takesPart).length * Math.min(rounds, this.#rounds);
        seconds += times * (subject.seconds + OVERHEAD_SECONDS);
      }
    }
    return seconds;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
