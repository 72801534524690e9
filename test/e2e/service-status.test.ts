/** End to end: what `weft services` says of endpoints that fail, and of services that are not served. */
import t from 'tap';
import type { ServiceReport } from '../../src/agent/host/service-report.ts';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import { endpointsOf } from './manifests.ts';
import { noLab, ownHome, TestLab, until } from './test-lab.ts';

const ELSEWHERE = `apiVersion: v1
kind: Service
metadata: {name: elsewhere}
spec:
  internalTrafficPolicy: Local
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}, {name: other, port: 81, targetPort: nothing}]
`;

t.test('weft services', { skip: noLab(), timeout: 200_000 }, async (t) => {
  ownHome();
  const lab = await TestLab.up({ name: 'told' });
  const services = async (...words: string[]) => {
    const output = await lab.must('hosta', ['weft', 'services', '-o', 'json', ...words]);
    return JSON.parse(output) as ServiceReport[];
  };

  t.test('an endpoint that fails: counted by each host for itself, left out, and by whom', async (t) => {
    // Nobody listens on port 80 of a client.
    const endpoints = [await lab.address('web-0'), await lab.address('web-1'), await lab.address('client-2')];
    lab.manifest('mixed.yaml', endpointsOf('mixed', 80, endpoints));
    await until('the service is there', 20_000, async () => (await lab.serviceAddress('mixed')) !== '');
    const load = await lab.tool<HttpLoadResult>('client-0', [
      'http-load',
      'http://mixed/hostname',
      '--requests',
      '200',
    ]);
    t.same(load.failures, {});
    const [mixed] = await services('mixed');
    const [dead, ...alive] = (mixed?.ports[0]?.endpoints ?? []).toSorted((a, b) => b.failures - a.failures);
    t.match(dead, { pod: 'default/client-2', node: 'hostc', state: 'ready', active: 0 });
    t.ok(
      (dead?.failures ?? 0) >= 3 && (dead?.failures ?? Infinity) < 60,
      `${dead?.failures} failures in 200 connections`,
    );
    t.ok((dead?.ejections ?? 0) >= 1);
    t.equal(
      alive.reduce((sum, { connections }) => sum + connections, 0),
      200,
    );
    t.ok(alive.every(({ failures, ejections }) => failures + ejections === 0));
    const elsewhere = JSON.parse(
      await lab.must('hostb', ['weft', 'services', 'mixed', '-o', 'json']),
    ) as ServiceReport[];
    t.ok(elsewhere[0]?.ports[0]?.endpoints.every(({ connections }) => connections === 0));
  });

  t.test('why something is not served', async (t) => {
    lab.manifest('elsewhere.yaml', ELSEWHERE);
    await until('the service is there', 20_000, async () => (await lab.serviceAddress('elsewhere')) !== '');
    t.same((await services('elsewhere'))[0]?.problems, [
      'Service default/elsewhere: port 81/TCP has no endpoint: 3 pods have the labels app=web, but no container port is named nothing',
    ]);
    const text = await lab.must('hosta', ['weft', 'services']);
    t.match(text, /^PROBLEMS\nService default\/elsewhere: port 81\/TCP has no endpoint/m);
  });
});
