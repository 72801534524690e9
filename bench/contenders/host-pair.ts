/**
 * The topology that every contender gets: two hosts as network namespaces on one veth pair with its offloads on, as in
 * a data centre where the network card does the work. What stands between pod and underlay is the contender's business.
 *
 *   pod, local pod | host a  172.31.9.1 ----veth---- 172.31.9.2  host b | pod
 *   10.244.1.0/24                                                 10.244.2.0/24
 */
import { inNamespace, ipBatch, run, sleep } from '../command.ts';
import { type Host, UNDERLAY_DEVICE } from '../contest.ts';

export const UNDERLAY_MTU = 1500;
/** IP 20, ICMP 8. */
const PING_HEADERS_BYTES = 28;

export function hostsOf(prefix: string): readonly [Host, Host] {
  return [
    { namespace: `${prefix}-a`, address: '172.31.9.1' },
    { namespace: `${prefix}-b`, address: '172.31.9.2' },
  ];
}

export async function makeHostPair(hosts: readonly [Host, Host], mtu: number): Promise<void> {
  const [a, b] = hosts;
  for (const host of hosts) await makeNamespace(host.namespace);
  await ipBatch(a.namespace, [
    `link add ${UNDERLAY_DEVICE} mtu ${mtu} type veth peer name ${UNDERLAY_DEVICE} mtu ${mtu} netns ${b.namespace}`,
  ]);
  for (const { namespace, address } of hosts) {
    await ipBatch(namespace, [`address add ${address}/24 dev ${UNDERLAY_DEVICE}`, `link set ${UNDERLAY_DEVICE} up`]);
    await sysctl(namespace, { 'net.ipv4.ip_forward': 1, 'net.ipv4.conf.all.rp_filter': 0 });
  }
}

/** Segmentation and its undoing happen in software then, as on a wire whose cards can do neither. */
export async function switchOffloadsOff(hosts: readonly Host[]): Promise<void> {
  const off = ['ethtool', '-K', UNDERLAY_DEVICE, 'tso', 'off', 'gso', 'off', 'gro', 'off'];
  for (const { namespace } of hosts) await run(inNamespace(namespace, off));
}

export async function makeNamespace(name: string): Promise<void> {
  await run(['ip', 'netns', 'add', name]);
  await run(inNamespace(name, ['ip', 'link', 'set', 'lo', 'up']));
}

export async function removeNamespace(name: string): Promise<void> {
  await run(['ip', 'netns', 'delete', name]).catch(() => {});
}

export async function sysctl(namespace: string, settings: Readonly<Record<string, string | number>>): Promise<void> {
  const lines = Object.entries(settings).map(([key, value]) => `echo ${value} > /proc/sys/${key.replaceAll('.', '/')}`);
  await run(inNamespace(namespace, ['sh', '-c', lines.join(' && ')]));
}

/** Until an answer comes; what comes first may be errors, while routes and handshakes are not done. */
export async function reach(from: string, to: string, options: { seconds: number; bytes?: number }): Promise<void> {
  const end = Date.now() + options.seconds * 1000;
  const size = options.bytes === undefined ? [] : ['-M', 'do', '-s', `${options.bytes - PING_HEADERS_BYTES}`];
  for (;;) {
    try {
      await run(inNamespace(from, ['ping', '-n', '-c', '1', '-W', '1', ...size, to]));
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await sleep(100);
    }
  }
}
