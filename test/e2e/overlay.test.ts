/**
 * End to end, in network namespaces: the overlay beside the kernel's VXLAN device, in the face of strangers, and the
 * way out to a world behind the hosts' router.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { ProbeResult } from '../../src/agent/status.ts';
import { checksumErrors } from '../../src/lab/checksum-errors.ts';
import { waitForPeers } from '../../src/lab/demo-lab.ts';
import { targetEntry } from '../../src/lab/exec.ts';
import type { HttpLoadResult } from '../../src/lab/http-load.ts';
import {
  addKernelHost,
  announceKernelHost,
  defaultMac,
  kernelHost,
  kernelHostEntry,
  kernelPodEntry,
  weftPeer,
} from '../../src/lab/kernel-host.ts';
import { mustRun, run } from '../../src/lab/run.ts';
import { weftCommand } from '../../src/lab/weft-command.ts';
import { noLab, ownHome, TestLab, until, without } from './test-lab.ts';

const skip = noLab();
const OUTSIDE = '203.0.113.2';
const [HOSTA, HOSTB] = ['172.31.0.11', '172.31.0.12'];

t.test('overlay', { skip, timeout: 400_000 }, async (t) => {
  ownHome();
  const lab = await TestLab.up({ name: 'overlay' });
  const fixed = kernelHost(lab.topology, 1);
  const learned = kernelHost(lab.topology, 2);

  t.test('a kernel VXLAN device, both ways, with fixed and with learned neighbours', async (t) => {
    const peers = (isFixed: boolean) => lab.topology.hosts.map((host) => weftPeer(host, isFixed));
    await addKernelHost(lab.lab, lab.topology, fixed, peers(true));
    await addKernelHost(lab.lab, lab.topology, learned, peers(false));
    announceKernelHost(lab.lab, fixed);
    announceKernelHost(lab.lab, learned, 'learn');
    await waitForPeers(lab.lab, [fixed.name, learned.name], 5000);
    for (const host of [fixed, learned]) {
      const pod = kernelPodEntry(lab.lab, host);
      const tool = async <T>(words: string[]): Promise<T> =>
        JSON.parse((await mustRun(pod, [...weftCommand(), 'tool', ...words])).trim().split('\n').at(-1) ?? '') as T;
      const out = await lab.tool<ProbeResult[]>('client-0', ['ping', host.pod, '--count', '5']);
      t.ok((out[0]?.received ?? 0) >= 4, `a pod of ours reaches ${host.name} (${out[0]?.received} of 5)`);
      const addresses = [await lab.address('web-0'), await lab.address('web-1'), await lab.address('client-2')];
      const back = await tool<ProbeResult[]>(['ping', ...addresses, '--count', '5']);
      for (const probe of back)
        t.ok(probe.received >= 4, `${host.name} reaches ${probe.address} (${probe.received} of 5)`);
      const page = await tool<HttpLoadResult>(['http-load', `http://${addresses[1]}/clientip`, '--requests', '30']);
      t.equal(page.failed, 0);
      t.ok(
        Object.keys(page.answers).every((answer) => answer.startsWith(`${host.pod}:`)),
        'source addresses are kept',
      );
      t.same(await checksumErrors(pod), {});
      t.same(await checksumErrors(kernelHostEntry(lab.lab, host)), {});
    }
    const neighbours = await mustRun(kernelHostEntry(lab.lab, learned), ['ip', 'neigh', 'show', 'dev', 'vxlan1']);
    t.match(
      neighbours,
      new RegExp(`10\\.244\\.1\\.0 lladdr ${defaultMac(HOSTA)}`),
      'the kernel learned our VTEP by ARP',
    );
    t.same(await checksumErrors(targetEntry(lab.lab, 'hosta')), {});
    t.same(await checksumErrors(targetEntry(lab.lab, 'web-1')), {});
  });

  t.test('a stream between ours and the kernel has no checksum error', { skip: without('iperf3') }, async (t) => {
    const pod = kernelPodEntry(lab.lab, fixed);
    for (const reverse of [[], ['-R']]) {
      const server = mustRun(pod, ['iperf3', '-s', '-1', '-p', '5301'], { timeoutMs: 20_000 });
      await until('it listens', 5000, async () => /:5301 /.test(await mustRun(pod, ['ss', '-ltnH'])));
      const output = await lab.must('web-0', ['iperf3', '-c', fixed.pod, '-p', '5301', '-t', '1', '-J', ...reverse]);
      await server;
      const report = JSON.parse(output) as {
        end: { sum_received: { bytes: number }; sum_sent: { retransmits?: number } };
      };
      t.ok(
        report.end.sum_received.bytes > 10e6,
        `${(report.end.sum_received.bytes / 1e6).toFixed(0)} MB ${reverse.join('')}`,
      );
    }
    t.same(await checksumErrors(pod), {});
    t.same(await checksumErrors(targetEntry(lab.lab, 'web-0')), {});
  });

  t.test('an underlay without offloads is served by other means', { skip: without('iperf3', 'ethtool') }, async (t) => {
    const hosts = ['hosta', 'hostb'];
    const status = async (host: string) => (await lab.status()).hosts.find((h) => h.name === host)?.status;
    const modes = async () => Promise.all(hosts.map(async (host) => (await status(host))?.offload.mode));
    const before = await modes();
    const features = async (...words: string[]) => {
      for (const host of hosts)
        await lab.must(host, ['ethtool', '-K', (await status(host))?.underlay.device ?? '', ...words]);
    };
    const stream = async (): Promise<number> => {
      const server = lab.must('web-1', ['iperf3', '-s', '-1', '-p', '5302'], { timeoutMs: 20_000 });
      await until('it listens', 5000, async () => /:5302 /.test(await lab.must('web-1', ['ss', '-ltnH'])));
      const command = ['iperf3', '-c', await lab.address('web-1'), '-p', '5302', '-t', '1', '-J'];
      const report = JSON.parse(await lab.must('web-0', command)) as { end: { sum_received: { bytes: number } } };
      await server;
      return report.end.sum_received.bytes;
    };
    await features('tso', 'off', 'gso', 'off', 'gro', 'off', 'tx', 'off');
    await until('both notice', 5000, async () => !(await modes()).includes('tunnel-gso'));
    const joined = async () => (await status('hostb'))?.counters.native.coalescedSegments ?? 0;
    const joinedBefore = await joined();
    t.ok((await stream()) > 10e6, 'a stream goes on');
    t.ok((await joined()) - joinedBefore > 1000, 'its segments, which come one by one, are joined');
    await features('tso', 'on', 'gso', 'on', 'gro', 'on', 'tx', 'on');
    await until('both take it back', 5000, async () => `${await modes()}` === `${before}`);
    t.ok((await stream()) > 10e6);
    t.same(await checksumErrors(targetEntry(lab.lab, 'web-1')), {});
  });

  t.test('what a stranger sends is dropped and counted', async (t) => {
    const web0 = await lab.address('web-0');
    const web1 = await lab.address('web-1');
    const send = (from: 'lab' | 'hostb', frame: Buffer) => {
      const words = ['node', '-e', SEND, frame.toString('hex'), HOSTA];
      return from === 'lab' ? lab.inside(words) : lab.must(from, words);
    };
    const echoes = async (pod: string) => icmpEchoes(await lab.must(pod, ['cat', '/proc/net/snmp']));
    const before = await echoes('web-0');
    const client1 = await lab.address('client-1');
    for (const [reason, from, frame] of [
      ['vtep-unknown', 'lab', vxlanFrame({ source: client1, destination: web0 })],
      ['vxlan-vni', 'hostb', vxlanFrame({ source: client1, destination: web0, vni: 2 })],
      ['vxlan-header', 'hostb', vxlanFrame({ source: client1, destination: web0, flags: 0 })],
      ['vxlan-header', 'hostb', Buffer.from([8, 0, 0])],
      ['truncated', 'hostb', vxlanFrame({ source: client1, destination: web0 }).subarray(0, 30)],
      ['peer-transit', 'hostb', vxlanFrame({ source: client1, destination: web1 })],
      ['peer-source', 'hostb', vxlanFrame({ source: '10.244.3.9', destination: web0 })],
      ['ethernet-type', 'hostb', vxlanFrame({ source: client1, destination: web0, etherType: 0x88cc })],
    ] as const) {
      const dropped = await lab.drops('hosta', reason);
      await send(from, frame);
      await until(`hosta counts ${reason}`, 3000, async () => (await lab.drops('hosta', reason)) > dropped).then(
        () => t.pass(reason),
        (error: Error) => t.fail(error.message),
      );
    }
    t.equal(await echoes('web-0'), before, 'none of it came to the pod');
    await send('hostb', vxlanFrame({ source: client1, destination: web0 }));
    await until('the pod has it', 3000, async () => (await echoes('web-0')) === before + 1);
    t.pass('the same frame from a known host does');
  });

  t.test(
    'the outside world: pods behind their host, names by its resolvers',
    { skip: without('nft', 'curl') },
    async (t) => {
      await lab.inside([
        ...['sh', '-e', '-c'],
        `ip netns add outside
       ip link add world type veth peer name eth0 netns outside
       ip addr add 203.0.113.1/24 dev world
       ip link set world up
       ip -n outside addr add ${OUTSIDE}/24 dev eth0
       ip -n outside link set eth0 up
       ip -n outside link set lo up
       ip -n outside route add 172.31.0.0/24 via 203.0.113.1`,
      ]);
      const enter = ['nsenter', '--net=/run/netns/outside', '--'];
      lab.background([...enter, ...weftCommand(), 'netexec', '--http-port', '80', '--address', OUTSIDE]);
      lab.background([...enter, 'node', fileURLToPath(new URL('./fake-resolver.js', import.meta.url)), OUTSIDE]);
      const ask = () => lab.run('client-0', ['curl', '-sS', '-m', '5', `http://${OUTSIDE}/clientip`]);
      await until('the server listens', 10_000, async () => (await ask()).code === 0);
      t.match((await ask()).stdout, new RegExp(`^${HOSTA}:`), 'a pod comes from the address of its host');
      const inside = await lab.must('client-0', [
        'curl',
        '-sS',
        '-m',
        '5',
        `http://${await lab.address('web-1')}/clientip`,
      ]);
      t.match(inside, new RegExp(`^${await lab.address('client-0')}:`), 'within the cluster it keeps its own');

      writeFileSync(lab.lab.resolvConf('hosta'), `nameserver ${OUTSIDE}\n`);
      const { hosts } = await lab.status();
      await lab.inside(['kill', '-9', `${hosts[0]?.agentPid}`]);
      await until('the agent is back', 20_000, async () => (await lab.status()).hosts[0]?.status?.ready === true);
      const resolve = (name: string) =>
        run(targetEntry(lab.lab, 'client-0'), [...weftCommand(), 'tool', 'resolve', name]);
      t.match(
        (await resolve('host.example')).stdout,
        /198\.51\.100\.7/,
        "a name of the outside, by the host's resolver",
      );
      t.match((await resolve('no.example')).stderr, /ENOTFOUND/, 'one that is not there');
      t.match((await resolve('web')).stdout, new RegExp(await lab.serviceAddress('web')), "the cluster's own go on");
    },
  );

  t.test('a probe finds out that the underlay is too small', { skip: without('ip') }, async (t) => {
    const { stdout: good, code } = await run(targetEntry(lab.lab, 'hosta'), ['weft', 'ping', 'hostb']);
    t.equal(code, 0, good);
    t.match(good, new RegExp(`hostb +underlay +${HOSTB} +3/3 .* 1500`));
    await lab.must('hostb', ['ip', 'link', 'set', 'eth0', 'mtu', '1400']);
    const { stdout: bad, code: failed } = await run(targetEntry(lab.lab, 'hosta'), ['weft', 'ping', 'hostb']);
    await lab.must('hostb', ['ip', 'link', 'set', 'eth0', 'mtu', '1500']);
    t.equal(failed, 1);
    // A veth takes 4 bytes more than its MTU, room for a VLAN tag.
    t.match(bad, /! hostb: .* takes packets of 140[04] bytes/);
    t.equal((await run(targetEntry(lab.lab, 'hosta'), ['weft', 'ping', 'nowhere'])).code, 1);
  });
});

const SEND = `
const socket = require('node:dgram').createSocket('udp4');
socket.send(Buffer.from(process.argv[1], 'hex'), 4789, process.argv[2], () => socket.close());
`;

interface Frame {
  source: string;
  destination: string;
  vni?: number;
  flags?: number;
  etherType?: number;
}

/** A VXLAN payload for hosta with an ICMP echo inside, whole but for what is asked to be wrong. */
function vxlanFrame({ source, destination, vni = 1, flags = 8, etherType = 0x0800 }: Frame): Buffer {
  const vxlan = Buffer.from([flags, 0, 0, 0, 0, 0, vni, 0]);
  const ethernet = Buffer.from(`${defaultMac(HOSTA)}${defaultMac(HOSTB)}0000`.replaceAll(':', ''), 'hex');
  ethernet.writeUInt16BE(etherType, 12);
  const ip = Buffer.from([0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0, 0, ...bytes(source), ...bytes(destination)]);
  ip.writeUInt16BE(checksum(ip), 10);
  const icmp = Buffer.from([8, 0, 0, 0, 0x12, 0x34, 0, 1]);
  icmp.writeUInt16BE(checksum(icmp), 2);
  return Buffer.concat([vxlan, ethernet, ip, icmp]);
}

function bytes(address: string): number[] {
  return address.split('.').map(Number);
}

function checksum(data: Buffer): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) sum += data.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Icmp InEchos of /proc/net/snmp. */
function icmpEchoes(snmp: string): number {
  const [names = [], values = []] = snmp
    .split('\n')
    .filter((line) => line.startsWith('Icmp:'))
    .map((line) => line.split(' '));
  return Number(values[names.indexOf('InEchos')]);
}
