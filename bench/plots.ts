/**
 * Plots of a contest, drawn by vega-lite: each contender's median as a bar and every round as a dot, so that spread is
 * seen and not told; and how far each goal is met.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TopLevelSpec } from 'vega-lite';
import type { Figure } from './figures.ts';
import type { Programme } from './programme.ts';
import { number, ratio } from './report-words.ts';
import type { Contest, Participant } from './rounds.ts';

export interface Drawn {
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

const FONT = 'DejaVu Sans';
const PNG_WIDTH = 1600;
const BAR_HEIGHT = 22;
const BAR_WIDTH = 330;
/** Told apart by people who see few colours, and in print by their lightness. */
const KINDS = [
  { kind: 'Weft', color: '#0b6e4f' },
  { kind: 'kernel', color: '#8a8f98' },
  { kind: 'program', color: '#d98324' },
  { kind: 'program that encrypts', color: '#f0cf9b' },
] as const;

type Part = Extract<TopLevelSpec, { hconcat: unknown }>['hconcat'][number];

export async function drawn(
  { name: report, pictures }: Programme,
  contest: Contest,
  figures: readonly Figure[],
): Promise<Drawn[]> {
  const plots: Drawn[] = [];
  for (const { name, title, rows } of pictures) {
    const shown = rows.flatMap((row) => figures.find((f) => f.name === row) ?? []);
    if (shown.length > 0) plots.push({ name, title, svg: await svgOf(barsOf(shown, contest.participants, title)) });
  }
  if (figures.some((f) => f.goals.length > 0)) {
    const title = 'Goals: the ratio that was measured by the ratio that is asked for';
    plots.push({ name: `${report}-goals`, title, svg: await svgOf(goalsOf(figures, title)) });
  }
  return plots;
}

export async function pngOf(svg: string): Promise<Uint8Array> {
  const { Resvg } = await import('@resvg/resvg-js');
  const fonts = join(dirname(fileURLToPath(import.meta.resolve('dejavu-fonts-ttf/package.json'))), 'ttf');
  const image = new Resvg(svg, {
    background: 'white',
    fitTo: { mode: 'width', value: PNG_WIDTH },
    font: {
      loadSystemFonts: false,
      defaultFontFamily: FONT,
      fontFiles: ['DejaVuSans.ttf', 'DejaVuSans-Bold.ttf'].map((file) => join(fonts, file)),
    },
  });
  return image.render().asPng();
}

export async function svgOf(spec: TopLevelSpec): Promise<string> {
  const [vega, lite] = await Promise.all([import('vega'), import('vega-lite')]);
  const view = new vega.View(vega.parse(lite.compile(spec).spec), { renderer: 'none' });
  const svg = await view.toSVG();
  view.finalize();
  return svg;
}

function barsOf(figures: readonly Figure[], participants: readonly Participant[], title: string): TopLevelSpec {
  return { ...document(title), hconcat: figures.map((figure) => bars(figure, participants)), spacing: 40 };
}

function bars(figure: Figure, participants: readonly Participant[]): Part {
  const here = participants.flatMap((p) => {
    const standing = figure.standings[p.name];
    return standing ? [{ who: p.title, kind: kindOf(p), standing }] : [];
  });
  const medians = here.map(({ who, kind, standing }) => ({ who, kind, value: standing.median }));
  const rounds = here.flatMap(({ who, standing }) => standing.rounds.map((value) => ({ who, value })));
  const sorted = medians.toSorted((a, b) => (figure.better === 'higher' ? b.value - a.value : a.value - b.value));
  const y = {
    field: 'who',
    type: 'nominal' as const,
    sort: sorted.map((m) => m.who),
    title: null,
    axis: { labelLimit: 0 },
  };
  const x = { field: 'value', type: 'quantitative', title: figure.unit, axis: { tickCount: 5 } } as const;
  const kinds = KINDS.filter((k) => participants.some((p) => kindOf(p) === k.kind));
  const color = {
    field: 'kind',
    scale: { domain: kinds.map((k) => k.kind), range: kinds.map((k) => k.color) },
    legend: { title: null, orient: 'bottom' as const, columns: 4 },
  };
  return {
    title: { text: figure.title, fontSize: 13, anchor: 'start', fontWeight: 'normal' },
    width: BAR_WIDTH,
    height: { step: BAR_HEIGHT },
    layer: [
      { data: { values: medians }, mark: { type: 'bar', height: { band: 0.72 } }, encoding: { y, x, color } },
      {
        data: { values: rounds.filter((r) => r.value !== undefined) },
        mark: { type: 'point', filled: true, size: 14, color: '#1b1f24', opacity: 0.75 },
        encoding: { y, x },
      },
      {
        data: {
          values: here.map((h) => ({ who: h.who, label: number(h.standing.median), most: h.standing.greatest })),
        },
        mark: { type: 'text', align: 'left', dx: 6, fontSize: 11, color: '#1b1f24' },
        // Behind the last round's dot, so that neither covers the other.
        encoding: { y, x: { ...x, field: 'most' }, text: { field: 'label', type: 'nominal' } },
      },
    ],
  };
}

/** At 1 the goal is met exactly; to its right it is exceeded, whichever way is better. */
function goalsOf(figures: readonly Figure[], title: string): TopLevelSpec {
  const values = figures.flatMap((figure) =>
    figure.goals.map((goal) => ({
      goal: `${figure.title} ${goal.least === undefined ? '≤' : '≥'} ${ratio(goal.least ?? goal.most ?? 0)} × ${goal.against}`,
      reached: goal.least !== undefined ? goal.ratio / goal.least : (goal.most ?? 1) / goal.ratio,
      verdict: goal.met ? 'met' : 'not met',
    })),
  );
  const y = { field: 'goal', type: 'nominal', sort: null, title: null, axis: { labelLimit: 0 } } as const;
  return {
    ...document(title),
    width: 420,
    height: { step: BAR_HEIGHT },
    layer: [
      {
        data: { values: [{ one: 1 }] },
        mark: { type: 'rule', color: '#59636e', strokeDash: [4, 3] },
        encoding: { x: { field: 'one', type: 'quantitative' } },
      },
      {
        data: { values },
        mark: { type: 'point', filled: true, size: 90 },
        encoding: {
          y,
          x: {
            field: 'reached',
            type: 'quantitative',
            scale: { type: 'log' },
            title: 'share of the goal',
            axis: { format: '~g' },
          },
          color: {
            field: 'verdict',
            scale: { domain: ['met', 'not met'], range: ['#0b6e4f', '#c0392b'] },
            legend: { title: null, orient: 'bottom' },
          },
          shape: { field: 'verdict', scale: { domain: ['met', 'not met'], range: ['circle', 'cross'] } },
        },
      },
    ],
  };
}

export function document(title: string) {
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    padding: 12,
    title: { text: title, anchor: 'start', fontSize: 16, offset: 14 },
    config: {
      font: FONT,
      view: { stroke: null },
      axis: { labelFontSize: 12, titleFontSize: 12, titleFontWeight: 'normal', gridColor: '#e6e8eb', domain: false },
      axisY: { ticks: false, labelPadding: 6 },
      legend: { labelFontSize: 12, labelLimit: 0 },
    },
  } as const;
}

function kindOf({ kind, encrypted }: Participant): (typeof KINDS)[number]['kind'] {
  if (kind === 'weft') return 'Weft';
  if (kind === 'kernel') return 'kernel';
  return encrypted ? 'program that encrypts' : 'program';
}
