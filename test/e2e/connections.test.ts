/**
 * End to end: 100,000 short connections through a service with one endpoint dead from the start and one killed in the
 * middle. None may fail, and the agent must be as small and as idle afterwards as it was before.
 */
import t from 'tap';
import { killCommand } from '../../src/lab/demo-lab.ts';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import { weftCommand } from '../../src/lab/weft-command.ts';
import { endpointsOf } from './manifests.ts';
import { noLab, ownHome, TestLab, until } from './test-lab.ts';

const CONNECTIONS = 100_000;
const MEMORY_BYTES = 150e6;

t.test('100,000 connections', { skip: noLab(), timeout: 400_000 }, async (t) => {
  ownHome();
  const lab = await TestLab.up({ name: 'many' });
  const endpoints = [
    '10.244.2.253',
    await lab.address('web-0'),
    await lab.address('web-1'),
    await lab.address('web-2'),
  ];
  lab.manifest('many.yaml', endpointsOf('many', 80, endpoints));
  await until('the service is there', 5000, async () => (await lab.serviceAddress('many')) !== '');
  const host = async () => (await lab.status()).hosts[0]?.status;
  const before = await host();

  const url = `http://${await lab.serviceAddress('many')}/hostname`;
  const words = [
    'http-load',
    url,
    '--requests',
    `${CONNECTIONS}`,
    '--concurrency',
    '64',
    '--pause-after',
    `${CONNECTIONS / 2}`,
  ];
  let killed: Promise<unknown> | undefined;
  const output = await lab.must('client-0', [...weftCommand(), 'tool', ...words], {
    timeoutMs: 380_000,
    // Between two requests: an answer that has begun belongs to a process, and ends with it on any network.
    onOutput: (text, child) => {
      if (text.includes('paused')) killed = killServer(lab).finally(() => child.stdin?.end('go on\n'));
    },
  });
  t.equal(await killed, 0, 'the server was killed');
  const result = JSON.parse(output.trim().split('\n').at(-1) ?? '') as HttpLoadResult;
  t.same(result.failures, {}, 'none failed');
  if (result.failed > 0) {
    for (const { name, status } of (await lab.status()).hosts) t.comment(name, status?.counters);
    for (const pod of ['client-0', 'web-0', 'web-1', 'web-2']) t.comment(pod, await lab.must(pod, ['nstat', '-az']));
  }
  t.equal(
    Object.values(result.answers).reduce((sum, count) => sum + count, 0),
    CONNECTIONS,
  );
  t.comment(`${(CONNECTIONS / result.seconds).toFixed(0)} connections a second, slowest ${result.maxMs.toFixed(0)} ms`);
  t.same(Object.keys(result.answers), ['web-0', 'web-1', 'web-2'], 'all servers that live have answered');

  const after = await host();
  t.ok((after?.rssBytes ?? Infinity) < MEMORY_BYTES, `the agent has ${((after?.rssBytes ?? 0) / 1e6).toFixed(0)} MB`);
  const idle = before?.counters.flows.current ?? 0;
  await until(
    'the flows are forgotten',
    200_000,
    async () => ((await host())?.counters.flows.current ?? Infinity) <= idle + 10,
  );
  const capacity = before?.counters.flows.capacity;
  await until('the flow table is back to its idle size', 60_000, async () => {
    return (await host())?.counters.flows.capacity === capacity;
  });
  t.pass('the flow table is back to its idle size');
});

/** The process of web-1. Its agent starts it again after a second; until then its port is closed. */
async function killServer(lab: TestLab): Promise<number> {
  const pods = (await lab.status()).hosts.flatMap((host) => host.status?.pods ?? []);
  const pid = pods.find((pod) => pod.name === 'web-1')?.containers[0]?.pid ?? 0;
  if (pid === 0) throw new Error('web-1 does not run');
  await lab.inside(killCommand(pid));
  return 0;
}
