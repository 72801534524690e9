/**
 * What a contest says: ratios to the first contender's peers first (each round's own ratio, then their median), the
 * medians themselves below, with what the machine was. Printed as a table; written as Markdown and JSON.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import type { Contest, Sample } from './contest.ts';

const FOLDER = 'docs/benchmarks';

export interface Row {
  subject: string;
  title: string;
  unit: string;
  medians: Record<string, number>;
  details: Record<string, Record<string, number>>;
  cpuSeconds: Record<string, number>;
  /** Of the first contender to each other: median, least and greatest of the rounds. */
  ratios: Record<string, { median: number; least: number; greatest: number }>;
  target?: number;
}

export function rowsOf(contest: Contest): Row[] {
  const [own, ...others] = contest.contenders;
  return contest.subjects.map((subject) => {
    const of = (contender: string) =>
      contest.samples.filter((s) => s.subject === subject.name && s.contender === contender);
    const each = <T>(f: (samples: Sample[]) => T) =>
      Object.fromEntries(contest.contenders.map((c) => [c.name, f(of(c.name))]));
    const ratios = others.map((peer) => {
      const rounds = of(own?.name ?? '').flatMap((s) => {
        const beside = of(peer.name).find((p) => p.round === s.round);
        return beside ? [s.value / beside.value] : [];
      });
      return [
        peer.name,
        { median: median(rounds), least: Math.min(...rounds), greatest: Math.max(...rounds) },
      ] as const;
    });
    return {
      subject: subject.name,
      title: subject.title,
      unit: subject.unit,
      medians: each((s) => median(s.map((x) => x.value))),
      details: each(medianDetails),
      cpuSeconds: each((s) => median(s.map((x) => x.cpuSeconds))),
      ratios: Object.fromEntries(ratios),
      ...(subject.target !== undefined && { target: subject.target }),
    };
  });
}

export function printTable(contest: Contest): void {
  console.log(`\n${tableOf(contest)}\n\n${noteOf(contest)}`);
}

/** The files it wrote. */
export function writeReport(contest: Contest): string[] {
  mkdirSync(FOLDER, { recursive: true });
  const machine = machineOf();
  const json = `${FOLDER}/overlay.json`;
  const markdown = `${FOLDER}/overlay.md`;
  writeFileSync(json, `${JSON.stringify({ machine, rows: rowsOf(contest), ...contest }, null, 1)}\n`);
  const contenders = contest.contenders.map((c) => `- **${c.title}**: ${c.description}`).join('\n');
  writeFileSync(
    markdown,
    `# Pod to pod across hosts, beside kernel VXLAN

Written by \`make bench\`; every figure comes from the run described here, none is typed by hand.

${tableOf(contest)}

${noteOf(contest)}

${contenders}

Two hosts as network namespaces on one veth pair with an MTU of 1500, one pod behind each, cubic everywhere.
${Object.entries(machine)
  .map(([key, value]) => `- ${key}: ${value}`)
  .join('\n')}

The samples of every round are in [overlay.json](overlay.json).
`,
  );
  return [markdown, json];
}

function tableOf(contest: Contest): string {
  const [own, ...others] = contest.contenders;
  if (!own) return '';
  const header = [
    'subject',
    ...others.map((c) => `${own.title} / ${c.title}`),
    ...contest.contenders.map((c) => c.title),
  ];
  const lines = rowsOf(contest).map((row) => {
    const ratios = others.map((c) => {
      const r = row.ratios[c.name];
      return r ? `**${r.median.toFixed(2)}** (${r.least.toFixed(2)}-${r.greatest.toFixed(2)})` : '';
    });
    const values = contest.contenders.map((c) => {
      const detail = Object.entries(row.details[c.name] ?? {}).map(([key, n]) => `${key} ${format(n)}`);
      const cpu = `cpu ${format(row.cpuSeconds[c.name] ?? 0)} s`;
      return `${format(row.medians[c.name] ?? 0)} ${row.unit} (${[...detail, cpu].join(', ')})`;
    });
    return [row.target === undefined ? row.title : `${row.title} (asked: ${row.target})`, ...ratios, ...values];
  });
  return [header, header.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function noteOf(contest: Contest): string {
  return (
    `Medians of ${contest.rounds} interleaved rounds; in front the median of the rounds' ratios, with the least and the ` +
    `greatest. Processor seconds are of the whole machine, traffic generators included. Checksum errors in all ` +
    `namespaces: ${contest.checksumErrors}. Measurements taken again because the hypervisor stole time: ` +
    `${contest.discarded}. Processors in use by others before the start: ${(contest.busyBefore * 100).toFixed(0)} %.`
  );
}

function machineOf(): Record<string, string> {
  const [first, ...rest] = cpus();
  return {
    processors: `${rest.length + 1} x ${first?.model.trim() ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: release(),
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
    version: (JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }).version,
    commit: execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim(),
  };
}

function medianDetails(samples: readonly Sample[]): Record<string, number> {
  const keys = Object.keys(samples[0]?.detail ?? {});
  return Object.fromEntries(keys.map((key) => [key, median(samples.map((s) => s.detail?.[key] ?? 0))]));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = Number.NaN, high = Number.NaN] =
    sorted.length % 2 ? [sorted[middle], sorted[middle]] : [sorted[middle - 1], sorted[middle]];
  return (low + high) / 2;
}

function format(n: number): string {
  return n >= 100 || Number.isInteger(n) ? n.toFixed(0) : n.toPrecision(3);
}
