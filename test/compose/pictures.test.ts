/** The pictures of the compose lab: drawn of what is given, no text upon another or beyond the edge. */
import t from 'tap';
import type { AgentStatus } from '../../src/agent/status.ts';
import type { HttpLoadInterval } from '../../src/lab/http-load.ts';
import { drawFailover, niceScale } from './failover-picture.ts';
import { Picture } from './picture.ts';
import { drawTopology } from './topology-picture.ts';

function overlaps({ texts, width, height }: Picture): string[] {
  const beyond = texts.filter(
    ({ left, right, top, bottom }) => left < 0 || right > width || top < 0 || bottom > height,
  );
  const pairs = texts.flatMap((a, i) =>
    texts
      .slice(i + 1)
      .filter((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
      .map((b) => `${a.text} / ${b.text}`),
  );
  return [...beyond.map(({ text }) => text), ...pairs];
}

function host(i: number): AgentStatus {
  const pod = (name: string) => ({ name, address: `10.244.${i}.252`, phase: 'Running' });
  const peer = { node: `host${'abcd'[i]}`, overlay: { rttMs: { median: 0.456 } } };
  return {
    ...{ node: `host${'abcd'[i - 1]}`, backend: 'vxlan', vni: 77, udpPort: 4789, podMtu: 1450, rssBytes: 104e6 },
    ...{ podCidr: `10.244.${i}.0/24`, underlay: { address: `172.31.240.1${i}`, device: 'eth0', mtu: 1500 } },
    ...{ offload: { mode: 'tunnel-gso' }, pods: [pod(`web-${i}`), pod(`client-${i}`)], peers: [peer] },
  } as unknown as AgentStatus;
}

t.test('hosts, their pods, and what each tunnel carried', async (t) => {
  const tunnels = [
    { from: 'hosta', to: 'hostb', packets: [1502, 1501] as const },
    { from: 'hosta', to: 'hostc', packets: [15, 14] as const },
    { from: 'hostb', to: 'hostc', packets: [2, 0] as const },
  ];
  const said = { hosts: [1, 2, 3].map(host), underlay: '172.31.240.0/24', tunnels, during: 'while <nobody> asked' };
  const picture = drawTopology(said);
  t.same(overlaps(picture), []);
  const svg = picture.toString();
  for (const text of [
    'VNI 77',
    '10.244.3.0/24',
    '172.31.240.12',
    'client-2',
    '1,502 → · ← 1,501 · 0.46 ms',
    '2 → · ← 0',
  ]) {
    t.ok(svg.includes(text), text);
  }
  t.ok(svg.includes('while &lt;nobody&gt; asked'), 'what is said is no markup');
});

t.test('who answered when, what failed, and who was away', async (t) => {
  const intervals = Array.from({ length: 41 }, (_, i): HttpLoadInterval => {
    const answers: Record<string, number> = i < 20 ? { 'web-0': 17, 'web-1': 16 } : { 'web-0': 33 };
    return { answers, failed: i === 20 ? 2 : 0, maxMs: i < 20 ? 4 : 251 };
  });
  const beganAt = 1_000_000;
  const load = {
    ...{ requests: 1355, failed: 2, failures: { ECONNRESET: 2 }, answers: { 'web-0': 1013, 'web-1': 340 } },
    ...{ seconds: 10.25, medianMs: 3, p99Ms: 9, maxMs: 251, timeline: { beganAt, intervalMs: 250, intervals } },
  };
  const away = [{ what: 'hostb stopped', from: beganAt + 5000, to: beganAt + 10_000 }];
  const picture = drawFailover({ load, away });
  t.same(overlaps(picture), []);
  const svg = picture.toString();
  t.ok(svg.includes('1,355 requests of client-0 to http://web, 2 failed'));
  const bars = (colour: string) =>
    (new RegExp(`<path class="f-${colour}" d="([^"]*)"`).exec(svg)?.[1] ?? '').match(/M/g);
  t.equal(bars('series0')?.length, 40, 'the last interval is cut short');
  t.equal(bars('series1')?.length, 20, 'web-1 answers for half of the time');
  t.equal(bars('failed')?.length, 1);
});

t.test('one file for light and dark pages', async (t) => {
  const picture = new Picture(10, 10, 'a & b');
  t.match(picture.toString(), /prefers-color-scheme: dark/);
  t.notMatch(picture.toString('light'), /prefers-color-scheme/);
  t.not(picture.toString('light'), picture.toString('dark'));
  t.match(picture.toString(), /<title>a &amp; b<\/title>/);
});

t.test('scales end on a round number that is no less than the largest', async (t) => {
  t.same(niceScale(89), [0, 25, 50, 75, 100]);
  t.same(niceScale(264, 3), [0, 100, 200, 300]);
  t.same(niceScale(0), [0, 1]);
});
