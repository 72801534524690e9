/** What the pictures of the compose lab are drawn from: it is asked, put under load and deprived of hosts. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import { run } from '../../src/lab/run.ts';
import type { ComposeLab } from './compose-lab.ts';
import type { Topology, Tunnel } from './topology-picture.ts';

export interface FailoverRun {
  load: HttpLoadResult;
  /** When a host was away, in milliseconds since 1970. */
  away: readonly { what: string; from: number; to: number }[];
}

const URL = 'http://web/hostname';
const PER_SECOND = 200;
const REQUESTS_WATCHED = 300;
/** A request under way may wait for as long as the longest span in which a host is away. */
const TIMEOUT_MS = 45_000;
const WATCH_SECONDS = 10;

/** The hosts as they describe themselves, and what their tunnels carry while a client asks the service. */
export async function readTopology(lab: ComposeLab): Promise<Topology> {
  const hosts = await Promise.all(lab.hosts.map((host) => lab.status(host)));
  const watched = Promise.all(hosts.map(({ node }) => sentByPeer(lab, node)));
  // tcpdump listens by then.
  await sleep(3000);
  const words = ['http-load', URL, '--requests', `${REQUESTS_WATCHED}`, '--per-second', `${PER_SECOND}`];
  const { answers, failed } = await lab.tool<HttpLoadResult>('client-0', words);
  const sent = await watched;
  const after = await Promise.all(lab.hosts.map((host) => lab.status(host)));
  const tunnels: Tunnel[] = [];
  hosts.forEach((a, i) => {
    hosts.slice(i + 1).forEach((b, j) => {
      const there = sent[i]?.get(b.underlay.address) ?? 0;
      const back = sent[i + 1 + j]?.get(a.underlay.address) ?? 0;
      tunnels.push({ from: a.node, to: b.node, packets: [there, back] });
    });
  });
  const shares = Object.entries(answers).map(([name, count]) => `${name} ${count}`);
  const during = `while client-0 asked http://web ${REQUESTS_WATCHED} times: ${shares.join(', ')}; ${failed} failed`;
  const format = '{{range .IPAM.Config}}{{.Subnet}} {{end}}';
  const underlay = (await lab.docker(['network', 'inspect', '--format', format, await lab.network()])).trim();
  return { hosts: after, underlay, tunnels, during };
}

/** Packets that a host sends to each other by the overlay, for as long as tcpdump watches: by the peer's address. */
async function sentByPeer(lab: ComposeLab, host: string): Promise<Map<string, number>> {
  const { underlay, udpPort } = await lab.status(host);
  const filter = `src host ${underlay.address} and udp dst port ${udpPort}`;
  const words = ['timeout', `${WATCH_SECONDS}`, 'tcpdump', '-nnli', underlay.device, ...filter.split(' ')];
  const { stdout, stderr } = await run(lab.inHost(host), words);
  if (!/\b0 packets dropped by kernel/.test(stderr)) throw new Error(`tcpdump on ${host}: ${stderr.trim()}`);
  const counts = new Map<string, number>();
  for (const [, peer = ''] of stdout.matchAll(new RegExp(`> ([\\d.]+)\\.${udpPort}`, 'g'))) {
    counts.set(peer, (counts.get(peer) ?? 0) + 1);
  }
  return counts;
}

/** One client asks at a steady pace, while hostb is stopped and started, then hostc cut off for 20 s. */
export async function runFailover(lab: ComposeLab): Promise<FailoverRun> {
  const seconds = 60;
  const words = ['http-load', URL, '--requests', `${seconds * PER_SECOND}`, '--concurrency', '100'];
  const pace = ['--per-second', `${PER_SECOND}`, '--interval', '250', '--timeout', `${TIMEOUT_MS}`];
  const loading = lab.tool<HttpLoadResult>('client-0', [...words, ...pace], TIMEOUT_MS + seconds * 1000);
  // Whoever awaits it below hears of a failure.
  loading.catch(() => {});
  const away: { what: string; from: number; to: number }[] = [];
  const [stopped, cut] = ['hostb', 'hostc'];

  await sleep(9000);
  let from = Date.now();
  await lab.docker(['stop', lab.container(stopped)]);
  await sleep(Math.max(0, from + 10_000 - Date.now()));
  away.push({ what: `${stopped} stopped`, from, to: Date.now() });
  await lab.docker(['start', lab.container(stopped)]);
  await sleep(8000);

  const network = await lab.network();
  const { underlay } = await lab.status(cut);
  from = Date.now();
  await lab.docker(['network', 'disconnect', network, lab.container(cut)]);
  await sleep(Math.max(0, from + 20_000 - Date.now()));
  away.push({ what: `${cut} off the network`, from, to: Date.now() });
  await lab.docker(['network', 'connect', '--ip', underlay.address, '--alias', cut, network, lab.container(cut)]);
  return { load: await loading, away };
}
