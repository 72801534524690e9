/** The relay as a whole: which ports are open when, what reopens them, what is said of those that cannot be had. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import t, { type Test } from 'tap';
import { type ProxyRequest, Relay, type RelayOptions } from '../../src/relay/relay.ts';
import { named, readAll, tcpClient, tcpServer } from './endpoints.ts';

function relayOf(t: Test, options: Partial<RelayOptions> = {}): Relay {
  const relay = new Relay({ range: undefined, ...options });
  t.teardown(() => relay.close());
  return relay;
}

const request = (key: string, change: Partial<ProxyRequest> = {}): ProxyRequest => ({
  key,
  title: `Service default/${key}`,
  name: '80/TCP',
  protocol: 'TCP',
  listen: '127.0.0.1',
  shape: '',
  targets: [],
  affinitySeconds: undefined,
  ...change,
});

const ask = async (port: number) => {
  const { text, code } = await readAll(tcpClient('127.0.0.1', port));
  return text || code;
};

t.test('a port each, kept while the service is the same, endpoints following', async (t) => {
  const relay = relayOf(t);
  const [one, two] = [await named(t, '127.0.0.2'), await named(t, '127.0.0.3')];
  await relay.apply([
    request('a', { targets: [one] }),
    request('b', { targets: [two] }),
    request('u', { protocol: 'UDP' }),
  ]);
  const before = relay.ports();
  t.equal(before.size, 3);
  t.equal(await ask(before.get('a') ?? 0), '127.0.0.2');
  await relay.apply([
    request('a', { targets: [two] }),
    request('b', { targets: [two] }),
    request('u', { protocol: 'UDP' }),
  ]);
  relay.retire();
  t.same(relay.ports(), before);
  t.equal(await ask(before.get('a') ?? 0), '127.0.0.3');
  t.match(relay.status(), [{ key: 'a', counts: { accepted: 2 } }, { key: 'b' }, { key: 'u' }]);
  t.same(relay.problems, []);
});

t.test('what is not wanted any more listens until nothing leads there, and its connections go on', async (t) => {
  const relay = relayOf(t);
  const echo = await tcpServer(t, '127.0.0.2', (socket) => socket.pipe(socket));
  await relay.apply([request('a', { targets: [echo] })]);
  const port = relay.ports().get('a') ?? 0;
  const client = tcpClient('127.0.0.1', port);
  client.write('one');
  await once(client, 'data');
  await relay.apply([]);
  t.equal(relay.ports().size, 0);
  const late = tcpClient('127.0.0.1', port);
  late.write('late');
  t.equal(`${(await once(late, 'data'))[0]}`, 'late', 'before retire()');
  relay.retire();
  t.equal(await ask(port), 'ECONNREFUSED');
  client.write('two');
  t.equal(`${(await once(client, 'data'))[0]}`, 'two');
  relay.close();
  await new Promise((closed) => client.once('close', closed));
});

t.test('another shape is another service port', async (t) => {
  const relay = relayOf(t);
  const one = await named(t, '127.0.0.2');
  const port = async (change: Partial<ProxyRequest>) => {
    await relay.apply([request('a', { targets: [one], ...change })]);
    relay.retire();
    return relay.ports().get('a') ?? 0;
  };
  const ports = [
    await port({}),
    await port({ shape: 'nodePort 30000' }),
    await port({ shape: 'nodePort 30000', affinitySeconds: 10 }),
    await port({ shape: 'nodePort 30000', affinitySeconds: 10, listen: '127.0.0.5' }),
  ];
  t.equal(new Set(ports.slice(0, 3)).size, 3, 'each opened anew');
  t.equal(await ask(ports[2] ?? 0), 'ECONNREFUSED');
});

t.test('a range: taken ports are passed over, a full one is said with the service', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  t.teardown(() => taken.close());
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  const relay = relayOf(t, { range: { first: port, last: port + 1 } });
  await relay.apply([request('a'), request('b')]);
  t.same([...relay.ports()], [['a', port + 1]]);
  const message = `spec.ports: 80/TCP is not served: no proxy port of ${port}-${port + 1} is free on 127.0.0.1`;
  t.match(relay.problems, [{ title: 'Service default/b', message: new RegExp(`^${message}: `) }]);
  await relay.apply([request('b')]);
  relay.retire();
  await relay.apply([request('b')]);
  t.same([...relay.ports()], [['b', port + 1]], 'tried again');
  t.same(relay.problems, []);
});

t.test('an address that this host has not is a problem, not an end', async (t) => {
  const relay = relayOf(t);
  await relay.apply([
    request('a', { listen: '192.0.2.1' }),
    request('u', { listen: '192.0.2.1', protocol: 'UDP' }),
    request('b'),
  ]);
  t.same([...relay.ports().keys()], ['b']);
  t.match(relay.problems, Array(2).fill({ message: /192\.0\.2\.1: EADDRNOTAVAIL/ }));
});
