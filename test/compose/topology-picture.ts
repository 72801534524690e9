/**
 * The hosts of a compose lab as their agents describe them, and the tunnels between them with what they carried.
 */
import type { AgentStatus } from '../../src/agent/status.ts';
import { Picture } from './picture.ts';

export interface Tunnel {
  from: string;
  to: string;
  /** From `from` to `to`, and back. */
  packets: readonly [there: number, back: number];
}

export interface Topology {
  hosts: readonly AgentStatus[];
  underlay: string;
  tunnels: readonly Tunnel[];
  /** During what the tunnels were watched. */
  during: string;
}

const WIDTH = 960;
const MARGIN = 24;
const GAP = 20;
const HEAD = 84;
const POD_HEIGHT = 46;
const TUNNEL_HEIGHT = 46;

export function drawTopology({ hosts, underlay, tunnels, during }: Topology): Picture {
  const column = (WIDTH - 2 * MARGIN - GAP * (hosts.length - 1)) / hosts.length;
  const left = (i: number): number => MARGIN + i * (column + GAP);
  const rows = Math.max(1, ...hosts.map(({ pods }) => Math.ceil(pods.length / 2)));
  const bottom = HEAD + 68 + rows * (POD_HEIGHT + 8) + 62;
  const bus = bottom + tunnels.length * TUNNEL_HEIGHT + 24;
  const { backend, vni, udpPort } = hosts[0]!;
  const picture = new Picture(WIDTH, bus + 62, `${hosts.length} hosts as containers, and the tunnels between them`);
  const network = backend === 'vxlan' ? `VXLAN, VNI ${vni}, UDP port ${udpPort}` : backend;
  picture.text(MARGIN, 36, `${hosts.length} containers, one agent each: ${network}`, { size: 18, bold: true });
  picture.text(MARGIN, 60, `Packets in the tunnels ${during}`, { fill: 'soft' });

  hosts.forEach((host, i) => {
    const x = left(i);
    const middle = x + column / 2;
    picture.line([middle, bottom, middle, bus], 'line', 1.5);
    picture.rect(x, HEAD, column, bottom - HEAD, 'panel', { stroke: 'line', radius: 6 });
    picture.text(x + 14, HEAD + 26, host.node, { size: 15, bold: true });
    picture.text(x + column - 14, HEAD + 26, host.underlay.address, { anchor: 'end' });
    picture.text(x + 14, HEAD + 48, `pods ${host.podCidr}`, { size: 12, fill: 'soft' });
    drawPods(picture, host, x + 14, HEAD + 64, column - 28);
    const y = bottom - 58;
    picture.rect(x + 14, y, column - 28, 46, 'box', { stroke: 'accent', radius: 5 });
    picture.text(middle, y + 19, 'weft agent', { anchor: 'middle', bold: true });
    const detail = `${host.offload.mode}, MTU ${host.podMtu}, ${(host.rssBytes / 1e6).toFixed(0)} MB`;
    picture.text(middle, y + 36, detail, { size: 11, fill: 'soft', anchor: 'middle' });
  });

  tunnels.forEach(({ from, to, packets }, row) => {
    const ends = [from, to].map((name) => hosts.findIndex(({ node }) => node === name));
    const [a = 0, b = 0] = ends.map((i) => left(i) + column / 2);
    const y = bottom + 28 + row * TUNNEL_HEIGHT;
    picture.line([a, y, b, y], 'accent', 2);
    for (const x of [a, b]) picture.dot(x, y, 4.5, 'accent');
    const said = `${count(packets[0])} → · ← ${count(packets[1])}${roundTrip(hosts[ends[0] ?? 0], to)}`;
    const middle = (a + b) / 2;
    // The way of a tunnel over a host in between is drawn behind what it carried.
    picture.rect(middle - 105, y - 11, 210, 22, 'card', { stroke: 'accent', radius: 11 });
    picture.text(middle, y + 4, said, { size: 12, anchor: 'middle' });
  });

  picture.line([MARGIN, bus, WIDTH - MARGIN, bus], 'line', 6);
  picture.text(MARGIN, bus + 30, `Docker bridge, ${underlay}`);
  const legend = 'tunnels: packets each way, round trip of the agents’ own probes';
  picture.text(WIDTH - MARGIN, bus + 30, legend, { size: 12, fill: 'soft', anchor: 'end' });
  return picture;
}

function drawPods(picture: Picture, { pods }: AgentStatus, x: number, y: number, width: number): void {
  const each = (width - 8) / 2;
  [...pods]
    .sort((a, b) => a.name.localeCompare(b.name))
    .forEach(({ name, address, phase }, i) => {
      const at = [x + (i % 2) * (each + 8), y + Math.floor(i / 2) * (POD_HEIGHT + 8)] as const;
      picture.rect(...at, each, POD_HEIGHT, 'box', { stroke: phase === 'Running' ? 'line' : 'failed', radius: 5 });
      picture.text(at[0] + each / 2, at[1] + 19, name, { anchor: 'middle' });
      picture.text(at[0] + each / 2, at[1] + 36, address, { size: 11, fill: 'soft', anchor: 'middle' });
    });
}

/** Through the overlay, as the agent's own probes found it. */
function roundTrip(host: AgentStatus | undefined, peer: string): string {
  const rtt = host?.peers.find(({ node }) => node === peer)?.overlay?.rttMs;
  return rtt === undefined ? '' : ` · ${rtt.median.toFixed(2)} ms`;
}

function count(packets: number): string {
  return packets.toLocaleString('en');
}
