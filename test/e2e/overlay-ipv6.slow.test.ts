/**
 * End to end, in network namespaces: an overlay whose underlay has IPv6 alone, with pods of both families on it: by
 * tunnel GSO and by sockets, hop by hop, and beside the kernel's VXLAN device, with written and with learned neighbours.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { checksumErrors } from '../../src/lab/checksum-errors.ts';
import { waitForPeers } from '../../src/lab/demo-lab.ts';
import { type Entry, labEntry, targetEntry } from '../../src/lab/exec.ts';
import { BRIDGE } from '../../src/lab/host-namespaces.ts';
import { mustRun } from '../../src/lab/run.ts';
import { noLab, ownHome, TestLab, until, without } from './test-lab.ts';

const skip = noLab();
const LAB = `
underlay: {family: ipv6}
hosts:
  - name: hosta
  - name: hostb
`;

interface KernelHost {
  name: string;
  number: number;
  /** Neighbours and forwarding entries are written down; else they are learned. */
  fixed: boolean;
}

const FIXED: KernelHost = { name: 'kernel1', number: 201, fixed: true };
const LEARNED: KernelHost = { name: 'kernel2', number: 202, fixed: false };
const macOf = ({ number }: KernelHost): string => `5e:00:00:00:00:${number.toString(16)}`;
const underlayOf = ({ number }: KernelHost): string => `fd00:172:31::${number.toString(16)}`;
const range6 = ({ number }: KernelHost): string => `fd00:10:244:${number.toString(16)}::`;

t.test('overlay over IPv6', { skip, timeout: 300_000 }, async (t) => {
  const home = ownHome();
  const file = join(mkdtempSync(join(tmpdir(), 'weft-lab-')), 'lab.yaml');
  t.teardown(() => rmSync(join(file, '..'), { recursive: true }));
  writeFileSync(file, LAB);
  const lab = await TestLab.up({ name: 'six', file });
  t.ok(home);
  const statuses = async () => (await lab.status()).hosts.flatMap(({ status }) => status ?? []);
  const addressesOf = async (name: string): Promise<readonly [string, string]> => {
    const pod = (await statuses()).flatMap((status) => status.pods).find((each) => each.name === name);
    const [four = '', six = ''] = pod?.addresses ?? [];
    return [four, six];
  };
  const [server4, server6] = await addressesOf('web-1');
  const [client4, client6] = await addressesOf('client-0');
  t.match(server6, /^fd00:10:244:2::/);

  const ping = async (entry: Entry, ...to: string[]): Promise<void> => {
    for (const address of to) {
      const output = await mustRun(entry, ['ping', '-n', '-c', '5', '-i', '0.2', '-W', '3', address]);
      t.match(output, / [3-5] received/, `${address} answers`);
    }
  };
  const stream = async (server: Entry, address: string, ...words: string[]): Promise<number> => {
    const listening = mustRun(server, ['iperf3', '-s', '-1', '-p', '5303'], { timeoutMs: 20_000 });
    await until('it listens', 5000, async () => /:5303 /.test(await mustRun(server, ['ss', '-ltnH'])));
    const command = ['iperf3', '-c', address, '-p', '5303', '-t', '1', '-J', ...words];
    const report = JSON.parse(await lab.must('client-0', command)) as { end: { sum_received: { bytes: number } } };
    await listening;
    return report.end.sum_received.bytes;
  };
  const noErrors = async (...entries: Entry[]): Promise<void> => {
    for (const entry of entries) {
      t.same(await checksumErrors(entry), {});
      t.match(await mustRun(entry, ['cat', '/proc/net/snmp6']), /^Udp6InCsumErrors\s+0$/m);
    }
  };
  const ours = ['web-1', 'client-0', 'hosta', 'hostb'].map((name) => targetEntry(lab.lab, name));
  const web = targetEntry(lab.lab, 'web-1');
  const client = targetEntry(lab.lab, 'client-0');

  t.test('pods of both families reach each other, and gateways answer', { skip: without('ping') }, async (t) => {
    await ping(client, server6, server4, 'fd00:10:244:1::1', 'fd00:10:244:2::1', 'fd00:10:244:2::');
    t.pass();
  });

  t.test('the way shows itself hop by hop', { skip: without('traceroute') }, async (t) => {
    const way = await lab.must('client-0', ['traceroute', '-6', '-n', '-q', '1', server6]);
    t.match(way, new RegExp(` 1 +fd00:10:244:1::1 [^]* 2 +fd00:10:244:2::1 [^]* 3 +${server6} `));
  });

  t.test(
    'streams of both families, by tunnel GSO and by sockets',
    { skip: without('iperf3', 'ethtool') },
    async (t) => {
      const mode = async () => (await statuses()).map((status) => status.offload.mode);
      const before = await mode();
      const compare = async () => {
        for (const address of [server6, server4]) {
          for (const way of [[], ['-R']]) {
            const bytes = await stream(web, address, ...way);
            t.ok(bytes > 10e6, `${(bytes / 1e6).toFixed(0)} MB ${way.join('')} to ${address}, ${(await mode())[0]}`);
          }
        }
      };
      await compare();
      for (const host of ['hosta', 'hostb']) {
        await lab.must(host, ['ethtool', '-K', 'eth0', ...['tso', 'gso', 'gro', 'tx'].flatMap((f) => [f, 'off'])]);
      }
      await until('both notice', 5000, async () => !(await mode()).includes('tunnel-gso'));
      await compare();
      for (const host of ['hosta', 'hostb']) {
        await lab.must(host, ['ethtool', '-K', 'eth0', ...['tso', 'gso', 'gro', 'tx'].flatMap((f) => [f, 'on'])]);
      }
      await until('both take it back', 5000, async () => `${await mode()}` === `${before}`);
      await noErrors(...ours);
    },
  );

  t.test('nothing that kernels say by themselves alarms', async (t) => {
    for (const { node, counters } of await statuses()) {
      const harmless = new Set(['consumed', 'unknown-port', 'link-local', 'ttl-expired']);
      const others = Object.keys(counters.drops).filter((reason) => !harmless.has(reason));
      t.same(others, [], node);
    }
  });

  t.test("the kernel's VXLAN device, with written and with learned neighbours", async (t) => {
    const hosts = (await statuses()).map((status, index) => ({ status, number: index + 1 }));
    const peers = hosts.map(({ number }) => ({
      underlay: `fd00:172:31::${10 + number}`,
      mac: `0a:58:00:00:00:${10 + number}`,
      number,
    }));
    for (const host of [FIXED, LEARNED]) {
      await mustRun(labEntry(lab.lab), ['sh', '-e', '-c', kernelHostScript(lab, host, peers)], { timeoutMs: 30_000 });
      lab.manifest(`${host.name}.yaml`, nodeManifest(host));
    }
    await waitForPeers(lab.lab, [FIXED.name, LEARNED.name], 5000);
    for (const host of [FIXED, LEARNED]) {
      const pod = inNamespace(lab, `${host.name}-pod`);
      const [pod4, pod6] = [`10.244.${host.number}.2`, `${range6(host)}2`];
      await ping(client, pod6, pod4);
      await ping(pod, client6, client4, server6);
      for (const address of [pod6, pod4]) {
        for (const way of [[], ['-R']]) {
          const bytes = await stream(pod, address, ...way);
          t.ok(bytes > 5e6, `${(bytes / 1e6).toFixed(0)} MB ${way.join('')} with ${host.name}, ${address}`);
        }
      }
      await noErrors(pod, inNamespace(lab, host.name));
    }
    const neighbours = await mustRun(inNamespace(lab, LEARNED.name), ['ip', '-6', 'neigh', 'show', 'dev', 'vxlan1']);
    t.match(neighbours, /fd00:10:244:1:: lladdr 0a:58:00:00:00:11 router/, 'the kernel has learned our VTEP');
    await noErrors(...ours);
  });
});

function inNamespace(lab: TestLab, name: string): Entry {
  const entry = labEntry(lab.lab);
  return { ...entry, args: [...entry.args, entry.file, `--net=/run/netns/${name}`, '--'] };
}

function kernelHostScript(
  lab: TestLab,
  host: KernelHost,
  peers: readonly { underlay: string; mac: string; number: number }[],
): string {
  const { name, number, fixed } = host;
  const { mtu } = lab.topology.underlay;
  const [n, p] = [`-n ${name}`, `-n ${name}-pod`];
  const forwarding = 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding';
  return [
    `ip netns add ${name}`,
    `ip netns add ${name}-pod`,
    `ip link add ${name} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${name}`,
    `ip link set ${name} master ${BRIDGE} up`,
    `ip ${n} link set lo up`,
    `ip ${n} addr add ${underlayOf(host)}/64 dev eth0 nodad`,
    `ip ${n} link set eth0 up`,
    `ip ${n} link add vxlan1 address ${macOf(host)} mtu ${mtu - 70} type vxlan id ${lab.topology.vni} dstport 4789 ` +
      `local ${underlayOf(host)} dev eth0 ${fixed ? 'nolearning' : 'learning'}`,
    `ip ${n} addr add 10.244.${number}.0/32 dev vxlan1`,
    `ip ${n} addr add ${range6(host)}/128 dev vxlan1 nodad`,
    `ip ${n} link set vxlan1 up`,
    `ip ${n} link add pod mtu ${mtu - 70} type veth peer name eth0 mtu ${mtu - 70} netns ${name}-pod`,
    `ip ${n} addr add 10.244.${number}.1/24 dev pod`,
    `ip ${n} addr add ${range6(host)}1/64 dev pod nodad`,
    `ip ${n} link set pod up`,
    `nsenter --net=/run/netns/${name} sh -c '${forwarding}'`,
    `ip ${p} link set lo up`,
    `ip ${p} addr add 10.244.${number}.2/24 dev eth0`,
    `ip ${p} addr add ${range6(host)}2/64 dev eth0 nodad`,
    `ip ${p} link set eth0 up`,
    `ip ${p} route add default via 10.244.${number}.1`,
    `ip ${p} -6 route add default via ${range6(host)}1`,
    ...peers.flatMap(({ underlay, mac, number: k }) => [
      `ip ${n} route add 10.244.${k}.0/24 via 10.244.${k}.0 dev vxlan1 onlink`,
      `ip ${n} -6 route add fd00:10:244:${k}::/64 via fd00:10:244:${k}:: dev vxlan1 onlink`,
      ...(fixed
        ? [
            `ip ${n} neigh add 10.244.${k}.0 lladdr ${mac} dev vxlan1 nud permanent`,
            `ip ${n} neigh add fd00:10:244:${k}:: lladdr ${mac} dev vxlan1 nud permanent`,
          ]
        : []),
      `bridge ${n} fdb append ${fixed ? mac : '00:00:00:00:00:00'} dev vxlan1 dst ${underlay}`,
    ]),
  ].join('\n');
}

function nodeManifest(host: KernelHost): string {
  return `apiVersion: v1
kind: Node
metadata:
  name: ${host.name}
  annotations:
    weft.dev/vtep-mac: "${host.fixed ? macOf(host) : 'learn'}"
spec:
  podCIDR: 10.244.${host.number}.0/24
  podCIDRs: ["10.244.${host.number}.0/24", "${range6(host)}/64"]
status:
  addresses:
    - type: InternalIP
      address: ${underlayOf(host)}
`;
}
