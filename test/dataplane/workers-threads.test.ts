/**
 * A dataplane of two real worker threads, over the devices of two pods in network namespaces that this test makes. Says
 * so where namespaces cannot be had.
 */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { findTool } from '../../src/agent/command.ts';
import { Dataplane } from '../../src/dataplane/handle.ts';
import { loadNativeAddon } from '../../src/io/native-addon.ts';
import { missingDevices } from '../io/missing-devices.ts';
import { endpointId, MTU, tablesOf } from './host.ts';
import { address } from './packets.ts';

const addon = loadNativeAddon();
const run = promisify(execFile);
const ip = (...words: string[]) => execFileSync('ip', words, { stdio: ['ignore', 'pipe', 'pipe'] });
let made = 0;

interface Pod {
  netns: string;
  fd: number;
  vnetHeaderBytes: number;
  address: string;
}

/** Pods 10.244.1.10 and .11, as tablesOf() has them. */
function pods(t: Test): Pod[] {
  return [10, 11].map((last) => {
    const netns = `weft-threads-${process.pid}-${made++}`;
    ip('netns', 'add', netns);
    t.teardown(() => ip('netns', 'del', netns));
    const path = `/run/netns/${netns}`;
    const { fd, vnetHeaderBytes } = addon.openTun({ name: 'eth0', netns: path, kind: 'tun', offloads: true });
    const own = `10.244.1.${last}`;
    ip('-n', netns, 'addr', 'add', `${own}/32`, 'dev', 'eth0');
    ip('-n', netns, 'link', 'set', 'eth0', 'mtu', `${MTU}`, 'up');
    ip('-n', netns, 'route', 'add', 'default', 'dev', 'eth0');
    return { netns, fd, vnetHeaderBytes, address: own };
  });
}

const skip = missingDevices() || (findTool('ping') === undefined && 'needs ping');
const tables = (generation: number) => tablesOf({ number: 1, pods: 2 }, generation);

async function attachAll(dataplane: Dataplane, all: readonly Pod[]): Promise<void> {
  for (const [n, { fd, vnetHeaderBytes, address: own }] of all.entries()) {
    await dataplane.attach({ id: 16 + n, fd, kind: 'tun', vnetHeaderBytes, address4: address(own) });
  }
}

t.test('two threads carry what crosses from one to the other', { skip }, async (t) => {
  const both = pods(t);
  const [a, b] = both as [Pod, Pod];
  const dataplane = await Dataplane.start({ workers: 2, maxFlows: 10_000 });
  t.equal(dataplane.workers, 2);
  await attachAll(dataplane, both);
  await dataplane.publish(tables(1));
  const ping = ['netns', 'exec', a.netns, 'ping', '-n', '-q', '-W', '2', '-c', '500', '-i', '0.002'];
  const { stdout } = await run('ip', [...ping, '-s', '1400', b.address]);
  t.match(stdout, /500 received, 0% packet loss/);
  const counters = dataplane.counters();
  const [first, second] = counters.workers;
  // Read by one, its connection kept by the other.
  t.ok((first?.rxPackets ?? 0) >= 500 && (second?.rxPackets ?? 0) >= 500, JSON.stringify(counters.workers));
  t.ok((second?.handedOver ?? 0) >= 500, 'the answers');
  t.equal(counters.gauges.generation, 1);
  t.equal(counters.gauges.handedOver, (first?.handedOver ?? 0) + (second?.handedOver ?? 0));
  t.equal(counters.gauges.flows, (first?.flows ?? 0) + (second?.flows ?? 0));
  t.ok((counters.ports[16]?.txPackets ?? 0) >= 500 && (counters.ports[17]?.txPackets ?? 0) >= 500);
  await dataplane.detach(17);
  t.same(Object.keys(dataplane.counters().ports), ['16']);
  await t.rejects(dataplane.attach({ id: 16, fd: a.fd, kind: 'tun' }), { code: 'EEXIST' });
  await t.rejects(dataplane.attach({ id: 17, fd: 1 << 20, kind: 'tun' }), { code: 'EBADF' });
  await dataplane.stop();
  await t.rejects(dataplane.publish(tables(2)), { code: 'WEFT_DATAPLANE_ENDED' });
  for (const { fd } of both) addon.closeFd(fd);
});

t.test('what the threads saw of endpoints is read from outside', { skip }, async (t) => {
  const both = pods(t);
  const [a, b] = both as [Pod, Pod];
  const dataplane = await Dataplane.start({ workers: 2, maxFlows: 10_000 });
  await attachAll(dataplane, both);
  const web = { address: '10.96.0.80', port: 80, endpoints: ['10.244.1.10:80', '10.244.1.11:80'] };
  await dataplane.publish(tablesOf({ number: 1, pods: 2, services: [web] }, 1));
  t.same(dataplane.counters().endpoints, {});
  const connect = ['timeout', '5', 'bash', '-c', '</dev/tcp/10.96.0.80/80'];
  for (const pod of [a, b, a, b, a, b]) {
    await t.rejects(run('ip', ['netns', 'exec', pod.netns, ...connect]), { message: /refused/i });
  }
  const seen = web.endpoints.map((e) => dataplane.counters().endpoints[endpointId('10.96.0.80 6 80', e)]);
  for (const one of seen) t.match(one, { active: 0 });
  // Each connection tried one after the other, four times in all.
  t.equal(
    seen.reduce((sum, one) => sum + (one?.failures ?? 0), 0),
    24,
  );
  t.ok(
    seen.some((one) => (one?.ejections ?? 0) > 0 && (one?.ejectedForMs ?? 0) > 0),
    JSON.stringify(seen),
  );
  t.ok(
    seen.some((one) => one?.ejectedForMs === 0),
    'and never the last one',
  );
  await dataplane.stop();
  for (const { fd } of both) addon.closeFd(fd);
});

t.test('when one worker fails, all end, and it is told once', { skip }, async (t) => {
  const both = pods(t);
  const [a, b] = both as [Pod, Pod];
  const ends: Error[] = [];
  const dataplane = await Dataplane.start({ workers: 2, onEnd: (error) => ends.push(error) });
  await attachAll(dataplane, both);
  // A fault that the first packet brings out.
  await dataplane.publish({ ...tables(1), ports: undefined as never });
  await t.rejects(run('ip', ['netns', 'exec', a.netns, 'ping', '-c', '1', '-W', '1', b.address]));
  await dataplane.stop();
  t.equal(ends.length, 1);
  t.match(ends[0]?.message, /undefined/);
  for (const { fd } of both) addon.closeFd(fd);
});
