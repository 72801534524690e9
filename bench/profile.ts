#!/usr/bin/env node
/**
 * `make profile`: where the processors' time goes while a packet crosses, for Weft and for the kernel's VXLAN side by
 * side, on the bench's own topology. `perf` samples both processors while a subject of the bench runs; samples are
 * sorted by profile-categories.ts. Only root may sample a whole machine.
 *
 *   node dist/bench/profile.js [--subjects tcp-1,tcp-4,flood] [--seconds 3] [--against CHECKOUT]
 *                              [--out docs/benchmarks]
 *
 * --against: another checkout of Weft, built, is profiled as well.
 */
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { AgentStatus } from '../src/agent/status.ts';
import { isInstalled } from './command.ts';
import { weftOf } from './contenders/every-contender.ts';
import { KernelVxlan } from './contenders/kernel-vxlan.ts';
import { WeftAgents } from './contenders/weft-agents.ts';
import type { Contender, Subject } from './contest.ts';
import { isIsolated, privateFolder, runIsolated } from './isolation.ts';
import { otherCheckout } from './machine.ts';
import { agentFigures, type Profile, profileOf } from './profile-figures.ts';
import { profileTable, writeProfile } from './profile-report.ts';
import { sampled } from './profile-samples.ts';
import { everySubject } from './subjects/catalog.ts';

const { values } = parseArgs({
  options: {
    subjects: { type: 'string', default: 'tcp-1,tcp-4,flood' },
    seconds: { type: 'string', default: '3' },
    against: { type: 'string' },
    out: { type: 'string', default: 'docs/benchmarks' },
  },
});

try {
  await requirePerf();
  process.exitCode = isIsolated() ? await main() : await runIsolated(process.argv.slice(2));
} catch (error) {
  console.error(`weft: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const seconds = Number(values.seconds);
  if (!(seconds >= 1 && seconds <= 60)) throw new Error(`--seconds ${values.seconds} is not between 1 and 60`);
  const subjects = chosen(values.subjects.split(','), everySubject(seconds));
  const profiles: Profile[] = [];
  const weft = new WeftAgents({ name: 'weft', title: 'Weft', offload: 'auto', backend: 'vxlan' });
  // Compiled JavaScript says its functions' names then; agents inherit it.
  process.env.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --perf-basic-prof`.trim();
  const other = values.against === undefined ? undefined : otherCheckout(values.against);
  for (const agents of [weft, ...(other ? [weftOf(other.checkout, other.title)] : [])]) {
    profiles.push(...(await profilesOf(agents, subjects, () => agents.statuses())));
  }
  profiles.push(...(await profilesOf(new KernelVxlan(), subjects)));
  console.log(profileTable(profiles));
  console.error(`written: ${(await writeProfile(profiles, seconds, values.out)).join(', ')}`);
  return 0;
}

async function profilesOf(
  contender: Contender,
  subjects: readonly Subject[],
  statuses?: () => Promise<AgentStatus[]>,
): Promise<Profile[]> {
  const profiles: Profile[] = [];
  const agents = new Set<number>();
  try {
    console.error(`${contender.title}: ${await contender.up()}`);
    for (const pid of contender.processes()) agents.add(pid);
    for (const subject of subjects) {
      const path = {
        client: contender.pods[0],
        server: contender.pods[1],
        address: contender.pods[1].address,
        contender,
      };
      // Once before, so that what is measured is compiled code and warm caches.
      await subject.measure(path);
      const before = await statuses?.();
      const { result, samples } = await sampled(`${privateFolder('profile')}/samples`, () => subject.measure(path));
      const after = await statuses?.();
      if (!result) throw new Error(`${contender.title} cannot ${subject.name}`);
      const own = before && after ? agentFigures(before, after) : [];
      profiles.push(profileOf({ contender, subject, measurement: result, samples, agents, own }));
    }
  } finally {
    await contender.down();
    for (const pid of agents) rmSync(`/tmp/perf-${pid}.map`, { force: true });
  }
  return profiles;
}

function chosen(names: readonly string[], subjects: readonly Subject[]): Subject[] {
  return names.map((name) => {
    const subject = subjects.find((s) => s.name === name);
    if (!subject) throw new Error(`--subjects ${name}: there are ${subjects.map((s) => s.name).join(', ')}`);
    return subject;
  });
}

async function requirePerf(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('a profile of the whole machine needs root: sudo make profile');
  if (!(await isInstalled('perf')))
    throw new Error('a profile needs perf. On Debian: apt-get install linux-perf; on Ubuntu: linux-tools-generic');
}
