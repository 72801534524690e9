/** Health checks of services with externalTrafficPolicy Local, over loopback. */

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import t from 'tap';
import { HealthPorts } from '../../../src/agent/host/health-ports.ts';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

const check = (port: number, localEndpoints: number, name = 'web') => ({
  namespace: 'default',
  name,
  port,
  localEndpoints,
});
const ask = async (port: number) => {
  const response = await fetch(`http://127.0.0.1:${port}/healthz`);
  return {
    status: response.status,
    body: await response.json(),
    weight: response.headers.get('x-load-balancing-endpoint-weight'),
  };
};

t.test('200 with endpoints, 503 without, as kube-proxy answers', async (t) => {
  const ports = new HealthPorts();
  t.teardown(() => ports.close());
  const port = await freePort();
  await ports.update([check(port, 2)]);
  t.same(ports.problems(), []);
  const service = { namespace: 'default', name: 'web' };
  t.same(await ask(port), { status: 200, body: { service, localEndpoints: 2 }, weight: '2' });
  await ports.update([check(port, 0)]);
  t.same(await ask(port), { status: 503, body: { service, localEndpoints: 0 }, weight: '0' });
  await ports.update([]);
  await t.rejects(ask(port), 'closed when the service goes');
});

t.test('a port in use is said, and tried again', async (t) => {
  const rival = createServer();
  await new Promise<void>((done) => rival.listen(0, done));
  const { port } = rival.address() as AddressInfo;
  const ports = new HealthPorts();
  t.teardown(() => ports.close());
  await ports.update([check(port, 1)]);
  t.same(ports.problems(), [
    `Service default/web: spec.healthCheckNodePort: port ${port} is in use by a process of this host`,
  ]);
  await new Promise((done) => rival.close(done));
  await ports.update([check(port, 1)]);
  t.same(ports.problems(), []);
  t.equal((await ask(port)).status, 200);
});
