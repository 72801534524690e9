/** Profiles as people read them: a table, a stacked bar chart, and everything as JSON. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TopLevelSpec } from 'vega-lite';
import { machineOf } from './machine.ts';
import { document, svgOf } from './plots.ts';
import { CATEGORIES } from './profile-categories.ts';
import { isBusy, type Profile } from './profile-figures.ts';
import { number } from './report-words.ts';

const PICTURE = 'profile';
const TITLE = "Where the processors' time goes";
/** Neighbours in the stack are told apart by lightness too. */
const COLORS = [
  ['copying', '#7a1f1f'],
  ['memory', '#d98880'],
  ['scheduling', '#1f4e79'],
  ['polling', '#9ec5e8'],
  ['tun', '#145a32'],
  ['sockets', '#52be80'],
  ['calls', '#b7e4c7'],
  ['javascript', '#b7950b'],
  ['runtime', '#f4d03f'],
  ['addon', '#fcf3cf'],
  ['offloads', '#6c3483'],
  ['network', '#a569bd'],
  ['transport', '#d7bde2'],
  ['generator', '#707b7c'],
  ['interrupts', '#a6acaf'],
  ['rest', '#d7dbdd'],
] as const;

/** The files it wrote. */
export async function writeProfile(profiles: readonly Profile[], seconds: number, folder: string): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const machine = machineOf();
  const date = new Date().toISOString().slice(0, 10);
  const files = {
    [`${PICTURE}.json`]: `${JSON.stringify({ machine, date, seconds, profiles }, null, 1)}\n`,
    [`${PICTURE}.svg`]: await svgOf(chart(profiles)),
    [`${PICTURE}.md`]: markdown(profiles, { ...machine, date }),
  };
  for (const [name, data] of Object.entries(files)) writeFileSync(join(folder, name), data);
  return Object.keys(files).map((name) => join(folder, name));
}

/** For the terminal: a line for each category, a column for each profile. */
export function profileTable(profiles: readonly Profile[]): string {
  const cells = rowsOf(profiles);
  const widths = (cells[0] ?? []).map((_, i) => Math.max(...cells.map((row) => (row[i] ?? '').length)));
  return cells.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')).join('\n');
}

function markdown(profiles: readonly Profile[], where: object): string {
  const subjects = [...new Set(profiles.map((p) => p.subject))];
  const parts = [
    `# ${TITLE}`,
    "Written by `make profile`: `perf` samples all processors while a subject of the bench runs, in the bench's own " +
      'topology, and each sample is sorted by its stack (`bench/profile-categories.ts`). What it means stands in ' +
      '[performance](../performance.md); functions of each category stand in [profile.json](profile.json).',
    `![${TITLE}](${PICTURE}.svg)`,
    ...subjects.flatMap((subject) => {
      const its = profiles.filter((p) => p.subject === subject);
      const what = its.map((p) => `${p.title} carried ${number(p.value)} ${p.unit}`).join(', ');
      return [`## ${its[0]?.subjectTitle ?? subject}`, `${what}, while it was sampled.`, markdownTable(rowsOf(its))];
    }),
    '## How packets were taken together',
    agentsTable(profiles),
    'Super-packets count as one packet. Polls are waits, and looks for more, by `epoll`; system calls are all ' +
      'others. Joined segments came one by one and went on as super-packets; merged super-packets were written into ' +
      'a pod as part of larger ones.',
    '## How to read it',
    'Samples are taken by the clock. Where no counter of the processor can interrupt code that masks interrupts, its ' +
      'time counts for the instruction that lets them in again; the stack still names it rightly. Sampling costs ' +
      'some throughput, and names of compiled JavaScript cost some more. What others used of the machine is left ' +
      'out of the sums and shown below them.',
    Object.entries(where)
      .map(([key, value]) => `- ${key}: ${value}`)
      .join('\n'),
  ];
  return `${parts.join('\n\n')}\n`;
}

function rowsOf(profiles: readonly Profile[]): string[][] {
  const head = ['processor time', ...profiles.map((p) => `${p.title}, ${p.subject}, ${p.costUnit}`)];
  const lines = CATEGORIES.map(({ id, title }) => [
    title,
    ...profiles.map((p) => number(round(p.shares.find((s) => s.category === id)?.each ?? 0))),
  ]);
  const sums = profiles.map((p) => p.shares.filter((s) => isBusy(s.category)).reduce((sum, s) => sum + s.each, 0));
  const busy = CATEGORIES.filter(({ id }) => isBusy(id)).length;
  return [head, ...lines.slice(0, busy), ['together', ...sums.map((s) => number(s))], ...lines.slice(busy)];
}

function agentsTable(profiles: readonly Profile[]): string {
  const rows = profiles.flatMap((p) =>
    p.agents.map((a, i) => [
      `${p.title}, ${p.subject}, ${i === 0 ? "client's" : "server's"} host`,
      number(Math.round(a.vectors)),
      number(a.packetsPerVector),
      number(a.systemCallsPerPacket),
      number(a.pollsPerVector),
      a.joinedSegments > 0 ? `${number(a.joinedSegments)}, ${number(a.segmentsPerJoined)} each` : '0',
      number(a.mergedPackets),
    ]),
  );
  const head = ['', 'vectors', 'packets a vector', 'system calls a packet', 'polls a vector', 'joined', 'merged'];
  return markdownTable([head, ...rows]);
}

function markdownTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  const rule = head.map((_, i) => (i === 0 ? '---' : '---:'));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function chart(profiles: readonly Profile[]): TopLevelSpec {
  const subjects = [...new Set(profiles.map((p) => p.subject))];
  const panels = subjects.map((subject) => {
    const its = profiles.filter((p) => p.subject === subject);
    const values = its.flatMap((p) =>
      p.shares
        .filter((s) => isBusy(s.category))
        .map((s) => ({
          who: p.title,
          what: titleOf(s.category),
          order: CATEGORIES.findIndex((c) => c.id === s.category),
          each: s.each,
        })),
    );
    return {
      title: { text: its[0]?.subjectTitle ?? subject, fontSize: 13, anchor: 'start' as const },
      data: { values },
      width: 620,
      height: { step: 34 },
      mark: { type: 'bar' as const, stroke: 'white', strokeWidth: 0.5 },
      encoding: {
        y: { field: 'who', type: 'nominal' as const, sort: null, title: null, axis: { labelLimit: 0 } },
        x: { field: 'each', type: 'quantitative' as const, stack: 'zero' as const, title: its[0]?.costUnit ?? '' },
        order: { field: 'order', type: 'quantitative' as const },
        color: {
          field: 'what',
          type: 'nominal' as const,
          scale: { domain: COLORS.map(([id]) => titleOf(id)), range: COLORS.map(([, color]) => color) },
          legend: { title: null, orient: 'right' as const, symbolType: 'square' as const },
        },
      },
    };
  });
  return { ...document(TITLE), vconcat: panels, spacing: 24 };
}

function titleOf(id: string): string {
  return CATEGORIES.find((c) => c.id === id)?.title ?? id;
}

/** A sample more or less is nothing. */
function round(n: number): number {
  return Math.abs(n) < 5e-4 ? 0 : n;
}
