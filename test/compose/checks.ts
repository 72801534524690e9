/** What is tried on the compose lab from outside, one function each; `weft demo` tries the same on a lab of namespaces. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProbeResult } from '../../src/agent/status.ts';
import { checksumErrors } from '../../src/lab/checksum-errors.ts';
import type { CheckResult } from '../../src/lab/demo-checks.ts';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import type { Hop } from '../../src/lab/icmp-trace.ts';
import { mustRun, run } from '../../src/lab/run.ts';
import type { ComposeLab } from './compose-lab.ts';
import { HttpRounds, type RequestSum } from './http-rounds.ts';

type Check = (lab: ComposeLab) => Promise<CheckResult>;

export const CHECKS: readonly (readonly [name: string, check: Check])[] = [
  ['ping', pingAcross],
  ['trace', traceAcross],
  ['resolve', resolveService],
  ['service', balance],
  ['throughput', throughput],
  ['stop', stopHost],
  ['restart', restartHost],
  ['crash', crashHost],
  ['partition', disconnectHost],
  ['checksum errors', noChecksumErrors],
];

/** The containers that go and come: the second host's. */
const AWAY = 'hostb';
const BACK_WITHIN_MS = 10_000;
const PARTITION_MS = 20_000;
/** Requests that may be under way to a host in the moment that its processes end: a round's concurrency. */
const UNDER_WAY = 4;
/** What agents say of a partition. */
const TOLD = /does not answer|has left this host/;
/** Lines that an agent may log for one partition: gone, two peers silent, and all of it solved, with room. */
const LOG_LINES = 12;

async function pingAcross(lab: ComposeLab): Promise<CheckResult> {
  const servers = lab.pods('web-').map((name) => lab.address(name));
  const clients = lab.pods('client-');
  const ask = (client: string) => lab.tool<ProbeResult[]>(client, ['ping', ...servers]);
  const probes = (await Promise.all(clients.map(ask))).flat();
  const answered = probes.filter((probe) => probe.reachable).length;
  const medians = probes.flatMap((probe) => probe.rttMs?.median ?? []).sort((a, b) => a - b);
  const pairs = clients.length * servers.length;
  return {
    check: 'ping, every client to every server',
    ok: answered === pairs && pairs >= 9,
    result: `${answered} of ${pairs} pairs answer`,
    figure: `${(medians[medians.length >> 1] ?? 0).toFixed(2)} ms`,
  };
}

async function traceAcross(lab: ComposeLab): Promise<CheckResult> {
  const target = lab.address('web-1');
  let path = ['*'];
  // A machine at work on other things may answer a probe late: as traceroute does, ask again.
  for (let tries = 0; tries < 3 && path.includes('*'); tries++) {
    path = (await lab.tool<Hop[]>('client-0', ['trace', target])).map((hop) => hop.address ?? '*');
  }
  const ok = path.length === 3 && path[2] === target && !path.includes('*');
  return { check: 'trace, client-0 to web-1', ok, result: path.join(' → '), figure: `${path.length} hops` };
}

async function resolveService(lab: ComposeLab): Promise<CheckResult> {
  const found = await lab.tool<{ address: string }[]>('client-0', ['resolve', 'web']);
  const addresses = found.map(({ address }) => address).join(', ');
  // Names of containers are the engine's own resolver's, 127.0.0.11 of the agent's container: asked through the agent.
  const outside = await lab.tool<{ address: string }[]>('client-0', ['resolve', AWAY]);
  const container = outside.map(({ address }) => address).join(', ');
  return {
    check: 'resolve the service web, and a container, in a pod',
    ok: addresses === lab.service && lab.service !== '' && container !== '',
    result: `web is ${addresses}, ${AWAY} is ${container}`,
    figure: '',
  };
}

async function balance(lab: ComposeLab): Promise<CheckResult> {
  const load = await lab.tool<HttpLoadResult>('client-0', ['http-load', 'http://web/hostname', '--requests', '300']);
  const counts = Object.values(load.answers);
  return {
    check: '300 HTTP requests through the service',
    ok:
      load.failed === 0 && counts.length === lab.pods('web-').length && Math.max(...counts) - Math.min(...counts) <= 1,
    result: `${spread(load.answers)}; ${load.failed} failed`,
    figure: `${load.medianMs.toFixed(2)} ms each`,
  };
}

async function throughput(lab: ComposeLab): Promise<CheckResult> {
  const server = run(lab.inPod('web-1'), ['iperf3', '-s', '-1', '-p', '5201'], { timeoutMs: 30_000 });
  const words = ['iperf3', '-c', lab.address('web-1'), '-p', '5201', '-t', '3', '-J'];
  let sum: { bits_per_second: number } | undefined;
  for (let tries = 0; sum === undefined; tries++) {
    // Until the server listens it is refused, and says so in its report.
    const { stdout } = await run(lab.inPod('client-0'), words);
    const report = JSON.parse(stdout) as { error?: string; end: { sum_received?: { bits_per_second: number } } };
    sum = report.end.sum_received;
    if (sum === undefined && tries === 10) throw new Error(`iperf3: ${report.error}`);
  }
  await server;
  const gbit = sum.bits_per_second / 1e9;
  return {
    check: 'TCP stream pod to pod across containers (iperf3)',
    ok: gbit > 0.2,
    result: `${gbit.toFixed(2)} Gbit/s`,
    figure: '',
  };
}

/** Under load: stop a container; then nothing may fail; start it; its pods are back soon. */
async function stopHost(lab: ComposeLab): Promise<CheckResult> {
  const rounds = new HttpRounds(lab, 'client-0');
  await sleep(1000);
  await lab.compose(['stop', AWAY]);
  const away = await requestsFor(lab, 4000);
  const startedAt = Date.now();
  await lab.compose(['start', AWAY]);
  const back = await untilBack(lab, startedAt);
  await rounds.stop();
  const all = rounds.sum();
  return {
    check: `${AWAY} stopped under load, then started`,
    ok: away.failed === 0 && away.requests > 0 && all.failed <= UNDER_WAY && back <= BACK_WITHIN_MS,
    result: `${away.failed} of ${away.requests} failed while it was away, ${all.failed} of ${all.requests} in all${why(rounds)}`,
    figure: `back after ${(back / 1000).toFixed(1)} s; slowest ${all.maxMs.toFixed(0)} ms`,
  };
}

async function restartHost(lab: ComposeLab): Promise<CheckResult> {
  const rounds = new HttpRounds(lab, 'client-0');
  await sleep(1000);
  const restartedAt = Date.now();
  await lab.compose(['restart', AWAY]);
  const back = await untilBack(lab, restartedAt);
  await rounds.stop();
  const all = rounds.sum();
  return {
    check: `${AWAY} restarted under load`,
    ok: all.failed <= UNDER_WAY && back <= BACK_WITHIN_MS,
    result: `${all.failed} of ${all.requests} failed${why(rounds)}; ${spread(all.answers)}`,
    figure: `back after ${(back / 1000).toFixed(1)} s; slowest ${all.maxMs.toFixed(0)} ms`,
  };
}

/** An agent that is killed takes its container along, and the restart policy brings both back, pods and all. */
async function crashHost(lab: ComposeLab): Promise<CheckResult> {
  const { pid, startedAt } = await lab.status(AWAY);
  const killedAt = Date.now();
  await lab.docker(['exec', lab.container(AWAY), 'kill', '-9', `${pid}`]);
  const back = await untilBack(lab, killedAt);
  const after = await lab.status(AWAY);
  return {
    check: `agent of ${AWAY} killed`,
    ok: after.startedAt !== startedAt && after.problems.length === 0 && back <= BACK_WITHIN_MS,
    result:
      after.problems.map(({ message }) => message).join('; ') || 'its container started again, no problem is left',
    figure: `back after ${(back / 1000).toFixed(1)} s`,
  };
}

/** A partition of 20 s: new flows fail over, a stream that was under way goes on, agents stay and log it once. */
async function disconnectHost(lab: ComposeLab): Promise<CheckResult> {
  await untilUntroubled(lab);
  const before = await Promise.all(lab.hosts.map((host) => lab.status(host)));
  const address = before.find(({ node }) => node === AWAY)?.underlay.address ?? '';
  const network = await lab.network();
  const began = new Date().toISOString();
  const rounds = new HttpRounds(lab, 'client-0');
  const receiver = mustRun(lab.inPod('web-1'), ['weft', 'tool', 'tcp-receive', '--port', '5202'], {
    timeoutMs: 120_000,
  });
  await sleep(1500);
  const words = ['weft', 'tool', 'tcp-send', lab.address('web-1'), '--port', '5202', '--seconds', '35'];
  const sender = mustRun(lab.inPod('client-2'), words, { timeoutMs: 120_000 });
  await untilStreamRuns(lab, 'web-1', 5202);
  await sleep(500);
  await lab.docker(['network', 'disconnect', network, lab.container(AWAY)]);
  const away = await requestsFor(lab, PARTITION_MS);
  const backAt = Date.now();
  await lab.docker(['network', 'connect', '--ip', address, '--alias', AWAY, network, lab.container(AWAY)]);
  const back = await untilBack(lab, backAt);
  const resumed = await Promise.all([receiver, sender]).then(
    ([text]) =>
      `a stream went on (${(JSON.parse(text.trim().split('\n').at(-1) ?? '') as { gbitPerSecond: number }).gbitPerSecond.toFixed(2)} Gbit/s over all)`,
    (error: Error) => `a stream broke: ${error.message}`,
  );
  await rounds.stop();
  // Peers that were silent are asked again within 10 s.
  await sleep(Math.max(0, backAt + 15_000 - Date.now()));
  const all = rounds.sum();
  const after = await Promise.all(lab.hosts.map((host) => lab.status(host)));
  const ended = after.filter(({ startedAt }, i) => startedAt !== before[i]?.startedAt).map(({ node }) => node);
  const logs = await Promise.all(lab.hosts.map((host) => lab.logs(host, began)));
  const complaints = logComplaints(lab.hosts, logs);
  const wrong = [...(ended.length > 0 ? [`agents ended: ${ended.join(', ')}`] : []), ...complaints];
  return {
    check: `${AWAY} off the network for 20 s under load`,
    ok:
      away.failed === 0 &&
      away.requests > 0 &&
      resumed.includes('went on') &&
      wrong.length === 0 &&
      back <= BACK_WITHIN_MS,
    result: [
      `${away.failed} of ${away.requests} failed while it was away, ${all.failed} of ${all.requests} in all${why(rounds)}`,
      resumed,
      ...(wrong.length > 0 ? wrong : [`no agent ended, ${logs.map((lines) => lines.length).join('/')} lines logged`]),
    ].join('; '),
    figure: `back after ${(back / 1000).toFixed(1)} s; slowest ${all.maxMs.toFixed(0)} ms`,
  };
}

/** Peers that were silent for a check before this one are asked again seconds later: its end is not this one's. */
async function untilUntroubled(lab: ComposeLab): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const problems = (await Promise.all(lab.hosts.map((host) => lab.status(host)))).flatMap((status) =>
      status.problems.flatMap(({ message }) => (TOLD.test(message) ? [`${status.node}: ${message}`] : [])),
    );
    if (problems.length === 0) return;
    if (Date.now() > deadline) throw new Error(`trouble before the partition: ${problems.join('; ')}`);
    await sleep(500);
  }
}

async function untilStreamRuns(lab: ComposeLab, pod: string, port: number): Promise<void> {
  // proc(5), net/tcp: local address and port in hexadecimal, then the remote one's, then 01 for ESTABLISHED. Who
  // listens on both families has IPv4 connections in tcp6; a host without IPv6 has no such file.
  const established = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} [0-9A-F:]+ 01 `);
  for (let tries = 0; tries < 20; tries++) {
    const all = ['sh', '-c', 'cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true'];
    if (established.test(await mustRun(lab.inPod(pod), all))) return;
  }
  throw new Error('the stream did not begin');
}

/** What is wrong with what agents logged about a partition: everything must be told, and once. */
export function logComplaints(hosts: readonly string[], logs: readonly (readonly string[])[]): string[] {
  return hosts.flatMap((host, i) => {
    const lines = logs[i] ?? [];
    const wanted = host === AWAY ? /has left this host/ : new RegExp(`Node ${AWAY} .*does not answer`);
    const told = lines.filter((line) => wanted.test(line) && !line.includes('solved: ')).length;
    const solved = lines.filter((line) => wanted.test(line) && line.includes('solved: ')).length;
    return [
      ...(told === 1 ? [] : [`${host} told of it ${told} times`]),
      ...(solved === 1 ? [] : [`${host} told of its end ${solved} times`]),
      ...(lines.length <= LOG_LINES ? [] : [`${host} logged ${lines.length} lines`]),
    ];
  });
}

/** Requests that begin while a host is away: those under way when it went may wait for its return. */
async function requestsFor(lab: ComposeLab, ms: number): Promise<RequestSum> {
  const rounds = new HttpRounds(lab, 'client-2');
  await sleep(ms);
  await rounds.stop();
  return rounds.sum();
}

/** Milliseconds from `since` until the pods of the host that was away answer others, and ask them. */
async function untilBack(lab: ComposeLab, since: number): Promise<number> {
  const deadline = Date.now() + 60_000;
  // By the engine itself, for docker-compose takes its time.
  const ask = (host: string, pod: string, command: readonly string[]) =>
    lab.docker(['exec', lab.container(host), 'weft', 'exec', pod, '--', ...command]).then(
      () => true,
      () => false,
    );
  for (;;) {
    const answers = await ask('hosta', 'client-0', ['ping', '-c', '1', '-W', '1', lab.address('web-1')]);
    if (answers) {
      const seen = Date.now() - since;
      // Its own requests must be answered as well.
      const url = `http://${lab.address('web-2')}/hostname`;
      if (await ask(AWAY, 'client-1', ['curl', '-sf', '--max-time', '2', url])) return seen;
    }
    if (Date.now() > deadline) throw new Error(`${AWAY} did not come back in a minute`);
  }
}

async function noChecksumErrors(lab: ComposeLab): Promise<CheckResult> {
  const places = [...lab.hosts.map((host) => [host, lab.inHost(host)] as const)];
  for (const pod of [...lab.pods('web-'), ...lab.pods('client-')]) places.push([pod, lab.inPod(pod)]);
  const found: string[] = [];
  for (const [name, entry] of places) {
    for (const [counter, value] of Object.entries(await checksumErrors(entry)))
      found.push(`${name}: ${counter} ${value}`);
  }
  return {
    check: 'checksum errors',
    ok: found.length === 0,
    result: found.join('; ') || `none in ${places.length} namespaces`,
    figure: '',
  };
}

function spread(answers: Readonly<Record<string, number>>): string {
  return Object.entries(answers)
    .sort()
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

function why(rounds: HttpRounds): string {
  const failures = rounds.failures();
  return failures === '' ? '' : ` (${failures})`;
}
