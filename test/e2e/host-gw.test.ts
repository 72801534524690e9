/** End to end: the host-gw backend, plain routes where hosts share a network, behind the same commands. */
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { ProbeResult } from '../../src/agent/status.ts';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import type { Hop } from '../../src/lab/icmp-trace.ts';
import { noLab, ownHome, TestLab } from './test-lab.ts';

t.test('host-gw', { skip: noLab(), timeout: 200_000 }, async (t) => {
  ownHome();
  const file = fileURLToPath(new URL('../../../examples/host-gw.yaml', import.meta.url));
  const lab = await TestLab.up({ file });
  const routes = await lab.must('hosta', ['ip', 'route']);
  t.match(routes, /^10\.244\.2\.0\/24 via 172\.31\.0\.12 /m, 'a route to each host');
  t.match(routes, /^10\.244\.3\.0\/24 via 172\.31\.0\.13 /m);
  t.equal((await lab.status()).hosts[0]?.status?.backend, 'host-gw');
  const addresses = await Promise.all(['web-0', 'web-1', 'web-2'].map((name) => lab.address(name)));
  for (const probe of await lab.tool<ProbeResult[]>('client-0', ['ping', ...addresses])) {
    t.equal(probe.received, 3, `ping ${probe.address}`);
  }
  const path = (await lab.tool<Hop[]>('client-0', ['trace', addresses[1] ?? ''])).map((hop) => hop.address);
  t.equal(path.at(-1), addresses[1], path.join(' '));
  t.ok(path.includes('10.244.1.1') && path.includes('10.244.2.1'), `each host shows itself: ${path.join(' ')}`);
  const load = await lab.tool<HttpLoadResult>('client-0', ['http-load', 'http://web/hostname', '--requests', '90']);
  t.same([load.failures, load.answers], [{}, { 'web-0': 30, 'web-1': 30, 'web-2': 30 }]);
  const direct = await lab.tool<HttpLoadResult>('client-0', [
    'http-load',
    `http://${addresses[1]}/clientip`,
    '--requests',
    '3',
  ]);
  const client = await lab.address('client-0');
  t.ok(
    Object.keys(direct.answers).every((answer) => answer.startsWith(`${client}:`)),
    'no source NAT within the cluster',
  );
});
