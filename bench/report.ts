/** Writes what a contest says into a folder: its {md,json,html}, and each plot as SVG and PNG. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Figure } from './figures.ts';
import { machineOf } from './machine.ts';
import { drawn, pngOf } from './plots.ts';
import type { Programme } from './programme.ts';
import { htmlOf } from './report-html.ts';
import { markdownOf } from './report-markdown.ts';
import type { Contest } from './rounds.ts';

/** The files it wrote. */
export async function writeReport(
  programme: Programme,
  contest: Contest,
  figures: readonly Figure[],
  folder: string,
): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const machine = machineOf();
  const plots = await drawn(programme, contest, figures);
  const written: string[] = [];
  const write = (name: string, data: string | Uint8Array) => {
    const path = join(folder, name);
    writeFileSync(path, data);
    written.push(path);
  };
  write(`${programme.name}.json`, jsonOf(contest, figures));
  write(`${programme.name}.md`, markdownOf(programme, contest, figures, machine, plots));
  write(`${programme.name}.html`, htmlOf(programme, contest, figures, machine, plots));
  for (const { name, svg } of plots) {
    write(`${name}.svg`, svg);
    write(`${name}.png`, await pngOf(svg));
  }
  return written;
}

/** The machine, who took part, the figures with their verdicts, and every sample. */
export function jsonOf(contest: Contest, figures: readonly Figure[]): string {
  const { samples, ...about } = contest;
  return `${JSON.stringify({ machine: machineOf(), ...about, figures, samples }, null, 1)}\n`;
}
