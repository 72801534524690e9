/** What each stage of the pipeline costs a packet, by scene. */
import type { Context } from '../../src/dataplane/context.ts';
import { encap } from '../../src/dataplane/stages/encap.ts';
import { flow } from '../../src/dataplane/stages/flow.ts';
import { local } from '../../src/dataplane/stages/local.ts';
import { parse } from '../../src/dataplane/stages/parse.ts';
import { route } from '../../src/dataplane/stages/route.ts';
import { service } from '../../src/dataplane/stages/service.ts';
import { translate } from '../../src/dataplane/stages/translate.ts';
import { Bed, PACKETS, SCENES } from './bed.ts';
import { figure, table } from './markdown.ts';
import { inTurns, type Work } from './timing.ts';

/** In the order of the pipeline. */
const STAGES: readonly ((c: Context, from: number, to: number) => void)[] = [
  parse,
  local,
  flow,
  service,
  route,
  translate,
  encap,
];

export async function stages(): Promise<string> {
  const rows: string[][] = [];
  for (const scene of SCENES) {
    const bed = Bed.of(scene);
    const works = [{ prepare: () => bed.arrive(), run: () => bed.decide() }, ...STAGES.map((_, n) => stage(bed, n))];
    const [whole = Number.NaN, ...each] = (await inTurns(works)).map((ns) => ns / PACKETS);
    rows.push([scene.title, `**${figure(whole)}**`, (1000 / whole).toFixed(1), ...each.map(figure)]);
  }
  return `## A packet's way

Nanoseconds a packet in vectors of ${PACKETS} with 64 payload bytes, connections known, without devices, system calls
and copies; the whole pipeline first, then each stage by itself. M/s: million packets a second on one processor.

${table(['', 'all', 'M/s', ...STAGES.map((s) => s.name)], rows)}`;
}

/** Stage number `n`, on a vector that has come through those before it. */
function stage(bed: Bed, n: number): Work {
  const { context } = bed.host.pipeline;
  const { vector } = bed.host;
  const run = STAGES[n] as (typeof STAGES)[number];
  return {
    prepare() {
      bed.arrive();
      context.received = vector.count;
      for (let before = 0; before < n; before++) (STAGES[before] as typeof run)(context, 0, PACKETS);
    },
    run: () => run(context, 0, PACKETS),
  };
}
