/**
 * A failover as its client saw it: who answered, how much, and how long the slowest waited, over time, with the spans
 * in which a host was away.
 */
import type { HttpLoadInterval } from '../../src/lab/http-load.ts';
import { type Colour, Picture, textWidth } from './picture.ts';
import type { FailoverRun } from './picture-runs.ts';

const WIDTH = 960;
const LEFT = 64;
const RIGHT = 24;
const BARS = { top: 122, bottom: 312 };
const WAITS = { top: 364, bottom: 434 };

export function drawFailover({ load, away }: FailoverRun): Picture {
  const { timeline } = load;
  if (timeline === undefined) throw new Error('the load tells nothing of time');
  const { intervalMs, beganAt } = timeline;
  // The last one is cut short by the end.
  const intervals = timeline.intervals.slice(0, -1);
  const names = Object.keys(load.answers).sort();
  const picture = new Picture(WIDTH, 490, 'Requests through a service while a host is stopped and another cut off');
  const x = (ms: number): number => LEFT + (ms / (intervals.length * intervalMs)) * (WIDTH - LEFT - RIGHT);

  picture.text(24, 36, 'One service, two hosts go away in turn', { size: 18, bold: true });
  const total = load.requests.toLocaleString('en');
  picture.text(24, 60, `${total} requests of client-0 to http://web, ${load.failed} failed`, { fill: 'soft' });
  drawLegend(picture, names, load.failed > 0);

  for (const { what, from, to } of away) {
    const [begin, end] = [x(from - beganAt), x(to - beganAt)];
    picture.rect(begin, 94, end - begin, WAITS.bottom - 94, 'away');
    picture.text((begin + end) / 2, 110, what, { size: 12, anchor: 'middle', bold: true });
  }

  const most = Math.max(...intervals.map((interval) => ended(interval)));
  const scale = niceScale(most);
  drawScale(picture, BARS, scale);
  const height = (value: number): number => (value / scale.at(-1)!) * (BARS.bottom - BARS.top);
  const wide = x(intervalMs) - x(0) - 0.6;
  const stacked = intervals.map(() => BARS.bottom);
  const layer = (colour: Colour, of: (interval: HttpLoadInterval) => number): void => {
    const bars = intervals.map((interval, i) => {
      const tall = height(of(interval));
      stacked[i]! -= tall;
      return [x(i * intervalMs), stacked[i]!, wide, tall] as const;
    });
    picture.bars(
      bars.filter(([, , , tall]) => tall > 0),
      colour,
    );
  };
  names.forEach((name, n) => layer(series(n), ({ answers }) => answers[name] ?? 0));
  layer('failed', ({ failed }) => failed);
  picture.text(24, 88, `answers in ${intervalMs} ms`, { size: 12, fill: 'soft' });

  const waits = niceScale(Math.max(...intervals.map(({ maxMs }) => maxMs)), 3);
  drawScale(picture, WAITS, waits);
  picture.text(24, WAITS.top - 14, 'slowest of them, ms', { size: 12, fill: 'soft' });
  const waited = intervals.map(({ maxMs }, i) => {
    const tall = (maxMs / waits.at(-1)!) * (WAITS.bottom - WAITS.top);
    return [x(i * intervalMs), WAITS.bottom - tall, wide, tall] as const;
  });
  picture.bars(waited, 'soft');

  for (let seconds = 0; seconds * 1000 <= intervals.length * intervalMs; seconds += 5) {
    picture.line([x(seconds * 1000), WAITS.bottom, x(seconds * 1000), WAITS.bottom + 5], 'line');
    const label = seconds === 0 ? '0 s' : `${seconds}`;
    picture.text(x(seconds * 1000), WAITS.bottom + 20, label, { size: 12, fill: 'soft', anchor: 'middle' });
  }
  picture.text((LEFT + WIDTH - RIGHT) / 2, WAITS.bottom + 42, 'seconds', { size: 12, fill: 'soft', anchor: 'middle' });
  return picture;
}

function series(n: number): Colour {
  return (['series0', 'series1', 'series2', 'series3'] as const)[n % 4]!;
}

function drawLegend(picture: Picture, names: readonly string[], failed: boolean): void {
  const entries: [string, Colour][] = names.map((name, n) => [name, series(n)]);
  if (failed) entries.push(['failed', 'failed']);
  let right = WIDTH - RIGHT;
  for (const [name, colour] of entries.reverse()) {
    picture.text(right, 60, name, { size: 12, anchor: 'end' });
    right -= textWidth(name, 12) + 18;
    picture.rect(right, 50, 12, 12, colour, { radius: 2 });
    right -= 18;
  }
}

function drawScale(
  picture: Picture,
  { top, bottom }: { top: number; bottom: number },
  values: readonly number[],
): void {
  for (const value of values) {
    const y = bottom - (value / values.at(-1)!) * (bottom - top);
    picture.line([LEFT, y, WIDTH - RIGHT, y], value === 0 ? 'line' : 'grid');
    picture.text(LEFT - 8, y + 4, `${value}`, { size: 12, fill: 'soft', anchor: 'end' });
  }
}

function ended({ answers, failed }: HttpLoadInterval): number {
  return Object.values(answers).reduce((sum, count) => sum + count, failed);
}

/** From 0 to a round number that is no less than the largest, in round steps. */
export function niceScale(largest: number, steps = 4): number[] {
  const rough = Math.max(largest, 1) / steps;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * ten).find((size) => size >= rough && size >= 1) ?? ten * 10;
  return Array.from({ length: Math.ceil(Math.max(largest, 1) / step) + 1 }, (_, i) => i * step);
}
