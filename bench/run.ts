#!/usr/bin/env node
/**
 * `make bench`: Weft beside its peers on one topology, in interleaved rounds, ratios first. Two hosts joined by a veth
 * pair, a pod behind each; every contender has its own, made before and gone after, for the whole run happens in
 * namespaces of its own that end with it. Results are printed and written to docs/benchmarks/overlay.{md,json}.
 *
 *   node dist/bench/run.js [--rounds N] [--seconds N] [--only SUBJECT[,SUBJECT]] [--peers NAME[,NAME]] [--dry]
 */
import { parseArgs } from 'node:util';
import { KernelVxlan } from './contenders/kernel-vxlan.ts';
import { WeftAgents } from './contenders/weft-agents.ts';
import type { Contender, Subject } from './contest.ts';
import { runContest } from './contest.ts';
import { isIsolated, runIsolated } from './isolation.ts';
import { printTable, writeReport } from './report.ts';
import { lossFreeRate } from './subjects/loss-free-rate.ts';
import { packetRate } from './subjects/packet-rate.ts';
import { roundTrip } from './subjects/round-trip.ts';
import { tcpStreams } from './subjects/tcp-throughput.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    only: { type: 'string' },
    peers: { type: 'string' },
    dry: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});

if (!isIsolated()) {
  process.exitCode = await runIsolated(process.argv.slice(2));
} else {
  process.exitCode = await main();
}

async function main(): Promise<number> {
  const seconds = Number(values.seconds);
  const subjects: Subject[] = [
    tcpStreams(1, seconds, 0.5),
    tcpStreams(4, seconds),
    packetRate(seconds, 2),
    lossFreeRate(),
    roundTrip(),
  ].filter((s) => !values.only || values.only.split(',').includes(s.name));
  const contenders: Contender[] = [
    new WeftAgents('weft', 'auto'),
    new KernelVxlan(),
    new WeftAgents('weft-udp-gso', 'udp-gso'),
  ].filter((c) => !values.peers || values.peers.split(',').includes(c.name));
  const [weft, ...peers] = contenders;
  if (!weft || subjects.length === 0) throw new Error('nothing to measure: see --only and --peers');
  const verbose = values.verbose;
  const contest = await runContest(contenders, subjects, { rounds: Number(values.rounds), log: log(verbose) });
  printTable(contest);
  if (!values.dry && peers.length > 0) console.log(`written: ${writeReport(contest).join(', ')}`);
  return contest.checksumErrors > 0 ? 1 : 0;
}

function log(verbose: boolean): (line: string, detail?: boolean) => void {
  return (line, detail = false) => {
    if (verbose || !detail) console.error(line);
  };
}
