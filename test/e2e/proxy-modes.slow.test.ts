/**
 * End to end: services in each proxy mode beside each other, what a dead endpoint is to a client of each, and what
 * becomes of a download when its endpoint leaves the service, and when its pod vanishes without a word.
 */
import t from 'tap';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import { endpointsOf } from './manifests.ts';
import { noLab, ownHome, TestLab, until, without } from './test-lab.ts';

const MODES = [
  'failover',
  'iptables',
  ...['rr', 'wrr', 'lc', 'wlc', 'sh', 'dh', 'sed', 'nq', 'mh'].map((s) => `ipvs:${s}`),
];
/** `ipvs:rr` → `ipvs-rr`, a name for a service. */
const nameOf = (mode: string) => mode.replace(':', '-');
/** From the sweep of the flow table, and the time for which a connection is silent before its endpoint is asked. */
const TOLD_MS = 40_000;

const web = (mode: string) => `apiVersion: v1
kind: Service
metadata: {name: ${nameOf(mode)}, annotations: {weft.dev/proxy-mode: "${mode}"}}
spec:
  selector: {app: web}
  ports: [{port: 80}]
`;

/** Sends a line every 100 ms for as long as somebody listens. */
const drip = (name: string, node: string) => `apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  nodeName: ${node}
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: weft
      command: [socat, "TCP-LISTEN:90,fork,reuseaddr", "SYSTEM:while echo drop; do sleep 0.1; done"]
`;

t.test('proxy modes', { skip: noLab() || without('socat', 'ip'), timeout: 300_000 }, async (t) => {
  ownHome();
  const lab = await TestLab.up({ name: 'modes' });
  const load = (service: string, requests: number, concurrency = 1, client = 'client-0') =>
    lab.tool<HttpLoadResult>(client, [
      ...['http-load', `http://${service}/hostname`, '--requests', `${requests}`, '--concurrency', `${concurrency}`],
    ]);
  const served = (name: string) =>
    until(`${name} is served`, 20_000, async () => (await lab.serviceAddress(name)) !== '');
  lab.manifest('modes.yaml', MODES.map(web).join('---\n'));
  for (const mode of MODES) await served(nameOf(mode));

  await t.test('who answers, by mode', async (t) => {
    for (const mode of ['failover', 'ipvs:rr', 'ipvs:wrr', 'ipvs:lc', 'ipvs:wlc', 'ipvs:sed', 'ipvs:nq']) {
      const { answers, failed } = await load(nameOf(mode), 300);
      t.equal(failed, 0, mode);
      // Of connections one after the other none is open when the next begins: equals have it in turn.
      for (const name of ['web-0', 'web-1', 'web-2']) {
        t.ok(Math.abs((answers[name] ?? 0) - 100) <= 10, `${mode}: ${JSON.stringify(answers)}`);
      }
    }
    for (const mode of ['iptables', 'ipvs:mh']) {
      const { answers, failed } = await load(nameOf(mode), 600);
      t.equal(failed, 0, mode);
      for (const name of ['web-0', 'web-1', 'web-2']) {
        t.ok(Math.abs((answers[name] ?? 0) - 200) <= 75, `${mode}: ${JSON.stringify(answers)}`);
      }
    }
    for (const mode of ['ipvs:sh', 'ipvs:dh']) {
      const of = await Promise.all(
        ['client-0', 'client-1', 'client-2'].map((client) => load(nameOf(mode), 20, 1, client)),
      );
      for (const { answers } of of) t.same(Object.values(answers), [20], `${mode}: ${JSON.stringify(answers)}`);
      if (mode === 'ipvs:dh') t.equal(new Set(of.map(({ answers }) => Object.keys(answers)[0])).size, 1);
    }
  });

  await t.test('a dead endpoint: tried again with failover, met by every third otherwise', async (t) => {
    // No pod has it.
    const [web0, web1, dead] = [await lab.address('web-0'), await lab.address('web-1'), '10.244.3.250'];
    const annotated = (mode: string) =>
      endpointsOf(`half-${nameOf(mode)}`, 80, [web0, web1, dead]).replace(
        /(name: half-[^}]*)}\nspec/,
        `$1, annotations: {weft.dev/proxy-mode: "${mode}"}}\nspec`,
      );
    const modes = ['failover', 'ipvs:rr', 'iptables'];
    lab.manifest('half.yaml', modes.map(annotated).join('---\n'));
    for (const mode of modes) await served(`half-${nameOf(mode)}`);
    const { failed, answers } = await load('half-failover', 90);
    t.equal(failed, 0);
    t.ok(Math.abs((answers['web-0'] ?? 0) - (answers['web-1'] ?? 0)) <= 6, JSON.stringify(answers));
    const every = await load('half-ipvs-rr', 90);
    // A client's port that a server remembers costs a second try, and a turn.
    t.ok(every.failed >= 30 && every.failed <= 40, `${every.failed} of 90: every third`);
    const some = await load('half-iptables', 90);
    t.ok(some.failed > 10 && some.failed < 55, `${some.failed} of 90`);
  });

  await t.test('a download goes on when its endpoint leaves, and ends when its pod has vanished', async (t) => {
    const vanish = async (pod: string, client: string): Promise<void> => {
      await until(`${pod} has an address`, 20_000, async () => (await lab.address(pod).catch(() => '')) !== '');
      const address = await lab.address(pod);
      lab.manifest(`${pod}-service.yaml`, endpointsOf(pod, 90, [address]));
      await served(pod);
      const began = performance.now();
      let vanished = Infinity;
      const download = lab.run(client, ['timeout', '120', 'socat', '-dd', '-u', `TCP:${pod}:90`, 'STDOUT'], {
        timeoutMs: 130_000,
      });
      const ended = download.then((result) => ({ ...result, tookMs: performance.now() - vanished }));
      await new Promise((resolve) => setTimeout(resolve, 1000));
      lab.manifest(`${pod}-service.yaml`, endpointsOf(pod, 90, []));
      await until('nobody new is served', 10_000, async () => {
        return (await lab.run(client, ['timeout', '5', 'socat', '-u', `TCP:${pod}:90`, 'STDOUT'])).code === 1;
      });
      await new Promise((resolve) => setTimeout(resolve, 2000));
      // Its last words find no way out.
      await lab.must(pod, ['ip', 'route', 'add', 'blackhole', '10.244.0.0/16']);
      vanished = performance.now();
      lab.manifest(`${pod}.yaml`, undefined);
      const { code, stdout, stderr, tookMs } = await ended;
      const lines = stdout.split('\n').length;
      t.ok(lines * 100 > (vanished - began) * 0.5, `${pod}: ${lines} lines in ${Math.round(vanished - began)} ms`);
      t.not(code, 124, `${pod}: it ends`);
      t.match(stderr, /reset by peer/, `${pod}: the client is told`);
      t.ok(tookMs < TOLD_MS, `${pod}: after ${(tookMs / 1000).toFixed(1)} s`);
      t.comment(`${pod}: told after ${(tookMs / 1000).toFixed(1)} s`);
    };
    lab.manifest('drip-near.yaml', drip('drip-near', 'hosta'));
    lab.manifest('drip-far.yaml', drip('drip-far', 'hostb'));
    await Promise.all([vanish('drip-near', 'client-0'), vanish('drip-far', 'client-0')]);
  });
});
