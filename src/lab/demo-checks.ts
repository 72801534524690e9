/** What `weft demo` tries, one function each: the outcome in a few words, and whether it is what it should be. */
import type { ProbeResult } from '../agent/status.ts';
import { checksumErrors } from './checksum-errors.ts';
import { addressOf, type DemoLab, enter, killCommand, podProcess } from './demo-lab.ts';
import { type Entry, labEntry } from './exec.ts';
import type { HttpLoadResult } from './http-load.ts';
import type { Hop } from './icmp-trace.ts';
import { type KernelHost, kernelHostEntry, kernelPodEntry } from './kernel-host.ts';
import { mustRun, run } from './run.ts';
import { weftCommand } from './weft-command.ts';

export interface CheckResult {
  check: string;
  ok: boolean;
  /** What was seen. */
  result: string;
  /** How much or how fast; '' where there is nothing to measure. */
  figure: string;
}

const REQUESTS = 300;

/** Every client asks every web pod. */
export async function pingAcross(demo: DemoLab): Promise<CheckResult> {
  const clients = [...demo.pods.keys()].filter((name) => name.startsWith('client-'));
  const servers = [...demo.pods.keys()].filter((name) => name.startsWith('web-'));
  const addresses = servers.map((name) => addressOf(demo, name));
  const probes: ProbeResult[] = [];
  for (const client of clients)
    probes.push(...(await tool<ProbeResult[]>(enter(demo, client), ['ping', ...addresses])));
  const answered = probes.filter((probe) => probe.reachable).length;
  const medians = probes.flatMap((probe) => probe.rttMs?.median ?? []).sort((a, b) => a - b);
  return {
    check: 'ping, every client to every server',
    ok: answered === clients.length * servers.length,
    result: `${answered} of ${clients.length * servers.length} pairs answer`,
    figure: `${(medians[medians.length >> 1] ?? 0).toFixed(2)} ms`,
  };
}

/** One client asks every server and the pod behind a kernel VXLAN device, then one server over HTTP. */
export async function ipv6Across(demo: DemoLab): Promise<CheckResult> {
  const check = 'IPv6, client-0 to every server';
  if (demo.pods6.size === 0) return { check, ok: true, result: 'this machine has no IPv6', figure: '' };
  const servers = [...demo.pods6].filter(([name]) => name.startsWith('web-')).map(([, address]) => address);
  const client = enter(demo, 'client-0');
  const targets = [...servers, ...(demo.learned.pod6 === undefined ? [] : [demo.learned.pod6])];
  const probes = await tool<ProbeResult[]>(client, ['ping', ...targets]);
  const answered = probes.filter((probe) => probe.reachable).length;
  const url = `http://[${demo.pods6.get('web-2')}]/hostname`;
  const load = await tool<HttpLoadResult>(client, ['http-load', url, '--requests', '50']);
  return {
    check,
    ok: answered === targets.length && load.failed === 0,
    result: `${answered} of ${targets.length} answer, ${load.requests - load.failed} of 50 requests${failureText(load)}`,
    figure: `${(probes[0]?.rttMs?.median ?? 0).toFixed(2)} ms`,
  };
}

export async function traceAcross(demo: DemoLab): Promise<CheckResult> {
  const target = addressOf(demo, 'web-1');
  const hops = await tool<Hop[]>(enter(demo, 'client-0'), ['trace', target]);
  const path = hops.map((hop) => hop.address ?? '*');
  // Our own host's gateway, the other host's, the pod.
  const ok = path.length === 3 && path[2] === target && !path.includes('*');
  return { check: 'trace, client-0 to web-1', ok, result: path.join(' → '), figure: `${path.length} hops` };
}

export async function resolveService(demo: DemoLab): Promise<CheckResult> {
  const began = performance.now();
  const found = await tool<{ address: string }[]>(enter(demo, 'client-0'), ['resolve', 'web']);
  const addresses = found.map(({ address }) => address).join(', ');
  return {
    check: 'resolve the service name web in a pod',
    ok: addresses === demo.service && demo.service !== '',
    result: `web is ${addresses}`,
    figure: `${Math.round(performance.now() - began)} ms with the program's start`,
  };
}

export async function balance(demo: DemoLab): Promise<CheckResult> {
  const load = await tool<HttpLoadResult>(enter(demo, 'client-0'), [
    'http-load',
    'http://web/hostname',
    '--requests',
    `${REQUESTS}`,
  ]);
  const counts = Object.values(load.answers);
  // On a busy machine an answer may take longer than an endpoint is given, and its connection moves on to the next.
  const slack = load.maxMs < 250 ? 0 : REQUESTS / 20;
  const even = counts.length === 3 && counts.every((count) => Math.abs(count - REQUESTS / 3) <= slack);
  return {
    check: `${REQUESTS} HTTP requests through the service`,
    ok: load.failed === 0 && even,
    result: `${spread(load)}; ${load.failed} failed${failureText(load)}`,
    figure: `${load.medianMs.toFixed(2)} ms each`,
  };
}

/** Kills one server between two requests; its agent starts it again only a second later. */
export async function failOver(demo: DemoLab): Promise<CheckResult> {
  const half = REQUESTS / 2;
  let killed: Promise<unknown> | undefined;
  const words = ['tool', 'http-load', 'http://web/hostname', '--requests', `${REQUESTS}`, '--pause-after', `${half}`];
  const output = await mustRun(enter(demo, 'client-0'), ['weft', ...words], {
    onOutput: (text, child) => {
      if (killed !== undefined || !text.includes('paused')) return;
      killed = podProcess(demo, 'web-1')
        .then((pid) => mustRun(labEntry(demo.lab), killCommand(pid)))
        .finally(() => child.stdin?.end('go on\n'));
    },
  });
  await killed;
  const load = JSON.parse(lastLine(output)) as HttpLoadResult;
  return {
    check: `${REQUESTS} more, web-1 killed in the middle`,
    ok: killed !== undefined && load.failed === 0,
    result: `${load.failed} failed${failureText(load)}; ${spread(load)}`,
    figure: `slowest ${load.maxMs.toFixed(1)} ms`,
  };
}

/** Ping and HTTP in both directions between Weft's pods and the pod behind a kernel VXLAN device. */
export async function kernelInterop(demo: DemoLab, host: KernelHost, how: string): Promise<CheckResult> {
  const pod = kernelPodEntry(demo.lab, host);
  const out = await tool<ProbeResult[]>(enter(demo, 'client-0'), ['ping', host.pod]);
  const back = await tool<ProbeResult[]>(pod, ['ping', addressOf(demo, 'web-0'), addressOf(demo, 'web-2')]);
  const page = await tool<HttpLoadResult>(pod, [
    'http-load',
    // Not web-1, whose server may still be waiting to be started again.
    `http://${addressOf(demo, 'web-2')}/hostname`,
    '--requests',
    '20',
  ]);
  const pings = [...out, ...back];
  const answered = pings.filter((probe) => probe.received === probe.sent).length;
  return {
    check: `kernel VXLAN device, ${how} neighbours`,
    ok: answered === 3 && page.failed === 0,
    result: `${answered} of 3 pings, ${page.requests - page.failed} of 20 requests`,
    figure: `${(out[0]?.rttMs?.median ?? 0).toFixed(2)} ms`,
  };
}

/** In the namespaces of every host and pod, kernel ones included. */
export async function noChecksumErrors(demo: DemoLab): Promise<CheckResult> {
  const kernels = [demo.fixed, demo.learned];
  const places: [string, Entry][] = [
    ...[...demo.topology.hosts.map((host) => host.name), ...demo.pods.keys()].map((name): [string, Entry] => [
      name,
      enter(demo, name),
    ]),
    ...kernels.map((host): [string, Entry] => [host.name, kernelHostEntry(demo.lab, host)]),
    ...kernels.map((host): [string, Entry] => [`${host.name}'s pod`, kernelPodEntry(demo.lab, host)]),
  ];
  const found: string[] = [];
  for (const [name, entry] of places) {
    for (const [counter, value] of Object.entries(await checksumErrors(entry)))
      found.push(`${name}: ${counter} ${value}`);
  }
  return {
    check: 'checksum errors',
    ok: found.length === 0,
    result: found.length === 0 ? `none in ${places.length} namespaces` : found.join('; '),
    figure: '',
  };
}

/** Runs one of our small programs in a place and reads its JSON. */
export async function tool<T>(entry: Entry, words: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await run(entry, [...weftCommand(), 'tool', ...words]);
  if (code !== 0) throw new Error(`${words.join(' ')}: ${stderr.trim().split('\n')[0] ?? `exit code ${code}`}`);
  return JSON.parse(lastLine(stdout)) as T;
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}

function spread(load: HttpLoadResult): string {
  return Object.entries(load.answers)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

function failureText(load: HttpLoadResult): string {
  const failures = Object.entries(load.failures).map(([message, count]) => `${message} ${count} times`);
  return failures.length === 0 ? '' : ` (${failures.join(', ')})`;
}
