/**
 * End to end with two workers in every agent: pods of both workers on each of two hosts, reached from pods and hosts of
 * both, directly and through services, with a server that dies.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { checksumErrors } from '../../src/lab/checksum-errors.ts';
import { killCommand } from '../../src/lab/demo-lab.ts';
import { targetEntry } from '../../src/lab/exec.ts';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import type { Hop } from '../../src/lab/icmp-trace.ts';
import type { Throughput } from '../../src/lab/tcp-throughput.ts';
import { weftCommand } from '../../src/lab/weft-command.ts';
import { endpointsOf } from './manifests.ts';
import { noLab, ownHome, TestLab, until, without } from './test-lab.ts';

/** On each host a pod of either worker: the last 16 bits of its address say which. */
const PODS = [
  { name: 'even-a', node: 'hosta', address: '10.244.1.100' },
  { name: 'odd-a', node: 'hosta', address: '10.244.1.101' },
  { name: 'even-b', node: 'hostb', address: '10.244.2.100' },
  { name: 'odd-b', node: 'hostb', address: '10.244.2.101' },
] as const;

function server({ name, node, address }: (typeof PODS)[number]): string {
  return `apiVersion: v1
kind: Pod
metadata: {name: ${name}, annotations: {weft.dev/ip: ${address}}}
spec:
  nodeName: ${node}
  containers: [{name: main, image: weft, command: [weft, netexec, --http-port, "80", --udp-port, "53"]}]
`;
}

function namesOf(address: string): string {
  return `apiVersion: v1
kind: Service
metadata: {name: ask}
spec:
  ports: [{port: 53, protocol: UDP}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: ask}
subsets:
  - addresses: [{ip: ${address}}]
    ports: [{port: 53, protocol: UDP}]
`;
}

t.test('two workers in each agent', { skip: noLab() || without('ping'), timeout: 300_000 }, async (t) => {
  ownHome();
  process.env.WEFT_WORKERS = '2';
  const lab = await TestLab.up({ name: 'workers', hosts: 2 });
  lab.manifest('pods.yaml', PODS.map(server).join('---\n'));
  const addresses = PODS.map((pod) => pod.address);
  lab.manifest('all.yaml', endpointsOf('all', 80, ['10.244.1.250', ...addresses]));
  lab.manifest('ask.yaml', namesOf('10.244.1.101'));
  await until('the pods run', 15_000, async () => {
    const pods = (await lab.status()).hosts.flatMap((host) => host.status?.pods ?? []);
    return PODS.every(({ name }) => pods.some((pod) => pod.name === name && pod.ready));
  });
  const hosts = async () => (await lab.status()).hosts.flatMap((host) => host.status ?? []);
  for (const { counters } of await hosts()) t.equal(counters.workers.length, 2);
  t.match(await lab.must('hosta', ['weft', 'status']), /workers +2/);

  t.test('everybody reaches everybody', async (t) => {
    for (const from of ['hosta', 'hostb', ...PODS.map((pod) => pod.name)]) {
      const pings = await Promise.all(
        [...addresses, '10.244.1.1', '10.244.2.1'].map((to) =>
          lab.run(from, ['ping', '-n', '-c', '3', '-i', '0.1', '-W', '2', to]),
        ),
      );
      t.same(
        pings.map(({ stdout }) => / 0% packet loss/.test(stdout)),
        pings.map(() => true),
        from,
      );
      for (const to of addresses) {
        const answer = await lab.must(from, ['curl', '-sS', '-m', '5', `http://${to}/hostname`]);
        t.equal(answer.trim(), PODS.find(({ address }) => address === to)?.name, `${from} to ${to}`);
      }
    }
  });

  t.test('a service moves on from dead endpoints, for pods of both workers and for hosts', async (t) => {
    const url = `http://${await lab.serviceAddress('all')}/hostname`;
    for (const from of ['hosta', ...PODS.map((pod) => pod.name)]) {
      const load = await lab.tool<HttpLoadResult>(from, ['http-load', url, '--requests', '100', '--concurrency', '8']);
      t.same(load.failures, {}, from);
      t.equal(Object.keys(load.answers).length, 4, `${from}: ${JSON.stringify(load.answers)}`);
    }
  });

  t.test('a server that is killed in the middle fails no connection', async (t) => {
    const url = `http://${await lab.serviceAddress('all')}/hostname`;
    const pods = (await hosts()).flatMap((host) => host.pods);
    const pid = pods.find((pod) => pod.name === 'odd-a')?.containers[0]?.pid ?? 0;
    t.ok(pid > 0);
    const words = ['http-load', url, '--requests', '400', '--concurrency', '8', '--pause-after', '100'];
    let killed: Promise<unknown> | undefined;
    const output = await lab.must('even-a', [...weftCommand(), 'tool', ...words], {
      onOutput: (text, child) => {
        if (!text.includes('paused')) return;
        killed = lab.inside(killCommand(pid)).finally(() => child.stdin?.end('go on\n'));
      },
    });
    await killed;
    const load = JSON.parse(output.trim().split('\n').at(-1) ?? '') as HttpLoadResult;
    t.same(load.failures, {});
    t.equal(
      Object.values(load.answers).reduce((sum, count) => sum + count, 0),
      400,
    );
    await until('the server is back', 10_000, async () => {
      const { code } = await lab.run('even-b', ['curl', '-sf', '-m', '1', 'http://10.244.1.101/hostname']);
      return code === 0;
    });
  });

  t.test('datagrams to a service on the same host', async (t) => {
    const service = await lab.serviceAddress('ask');
    for (const from of ['even-a', 'odd-a', 'even-b', 'hosta']) {
      t.same(await lab.tool(from, ['udp-ask', service, '53', 'hostname', '--count', '20']), { 'odd-a': 20 }, from);
    }
  });

  t.test('traceroute shows each host', async (t) => {
    for (const from of ['even-a', 'odd-a']) {
      const hops = await lab.tool<Hop[]>(from, ['trace', '10.244.2.101']);
      t.same(
        hops.map((hop) => hop.address),
        ['10.244.1.1', '10.244.2.1', '10.244.2.101'],
        from,
      );
    }
  });

  t.test('streams between pods of two workers, on one host and on two', async (t) => {
    for (const [from, to] of [
      ['even-a', 'odd-a'],
      ['even-a', 'odd-b'],
      ['odd-b', 'even-b'],
    ] as const) {
      const address = PODS.find(({ name }) => name === to)?.address ?? '';
      const rate = await stream(lab, from, to, address);
      t.ok(rate > 0.1, `${from} to ${to}: ${rate.toFixed(2)} Gbit/s`);
    }
  });

  t.test('both workers have worked, and nothing was lost between them', async (t) => {
    for (const { node, counters } of await hosts()) {
      for (const worker of counters.workers) {
        t.ok((worker.rxPackets ?? 0) > 1000 && (worker.flows ?? 0) > 0, `${node}: ${JSON.stringify(worker)}`);
      }
      t.ok((counters.gauges.handedOver ?? 0) > 0, `${node} handed over ${counters.gauges.handedOver}`);
      t.comment(node, counters.drops);
    }
    for (const place of ['hosta', 'hostb', ...PODS.map((pod) => pod.name)]) {
      t.same(await checksumErrors(targetEntry(lab.lab, place)), {}, `${place} counted no checksum error`);
    }
  });
});

/** Gbit/s of one TCP stream that a pod received. */
async function stream(lab: TestLab, from: string, to: string, address: string): Promise<number> {
  const entry = targetEntry(lab.lab, to);
  const tool = [...weftCommand(), 'tool'];
  const child = spawn(entry.file, [...entry.args, ...tool, 'tcp-receive', '--port', '5201'], { env: entry.env });
  let said = '';
  const listening = new Promise<void>((resolve) => {
    child.stdout.on('data', (data) => {
      said += data;
      if (said.includes('listening')) resolve();
    });
    child.stderr.on('data', (data) => {
      said += data;
      if (said.includes('listening')) resolve();
    });
  });
  const ended = once(child, 'close');
  await listening;
  await lab.must(from, [...tool, 'tcp-send', address, '--port', '5201', '--seconds', '1']);
  await ended;
  return (JSON.parse(said.trim().split('\n').at(-1) ?? '') as Throughput).gbitPerSecond;
}
