/**
 * The peer: Linux's own VXLAN device between pods that are joined to their hosts by veth pairs, routed as flannel
 * does it: one route, one neighbour and one forwarding entry per peer, all static.
 */
import { ipBatch, run } from '../command.ts';
import type { Contender, Pod } from '../contest.ts';
import { makeHostPair, makeNamespace, POD_MTU, removeNamespace, sysctl, UNDERLAY } from './host-pair.ts';

const PREFIX = 'kv';

export class KernelVxlan implements Contender {
  readonly name = 'kernel-vxlan';
  readonly title = 'kernel VXLAN';
  readonly pods: readonly [Pod, Pod] = [
    { namespace: `${PREFIX}-pa`, address: '10.244.1.10' },
    { namespace: `${PREFIX}-pb`, address: '10.244.2.10' },
  ];
  readonly namespaces: string[] = [];

  async up(): Promise<string> {
    this.namespaces.push(`${PREFIX}-a`, `${PREFIX}-b`);
    const { hosts } = await makeHostPair(PREFIX);
    for (const [i, host] of hosts.entries()) {
      const [own, other] = [i + 1, 2 - i];
      const pod = this.pods[i] as Pod;
      this.namespaces.push(pod.namespace);
      await makeNamespace(pod.namespace);
      await run([
        'ip',
        'link',
        'add',
        'pod',
        'netns',
        host,
        'mtu',
        `${POD_MTU}`,
        'type',
        'veth',
        'peer',
        'name',
        'eth0',
        'netns',
        pod.namespace,
      ]);
      await ipBatch(pod.namespace, [
        `link set eth0 mtu ${POD_MTU} up`,
        `address add ${pod.address}/32 dev eth0`,
        `route add 10.244.${own}.1 dev eth0`,
        `route add default via 10.244.${own}.1`,
      ]);
      await ipBatch(host, [
        `link add vxlan1 address 0a:58:0a:f4:0${own}:00 type vxlan id 1 dstport 4789 local ${UNDERLAY[i]} dev under nolearning`,
        `link set vxlan1 mtu ${POD_MTU} up`,
        `address add 10.244.${own}.0/32 dev vxlan1`,
        'link set pod up',
        `address add 10.244.${own}.1/32 dev pod`,
        `route add ${pod.address}/32 dev pod`,
        `neighbour add 10.244.${other}.0 lladdr 0a:58:0a:f4:0${other}:00 dev vxlan1`,
        `route add 10.244.${other}.0/24 via 10.244.${other}.0 dev vxlan1 onlink`,
      ]);
      await run([
        'nsenter',
        `--net=/run/netns/${host}`,
        '--',
        'bridge',
        'fdb',
        'add',
        `0a:58:0a:f4:0${other}:00`,
        'dev',
        'vxlan1',
        'dst',
        UNDERLAY[1 - i] as string,
      ]);
      await sysctl(host, { 'net.ipv4.conf.all.rp_filter': 0 });
    }
    return 'Linux VXLAN device, veth pairs, static neighbours';
  }

  async down(): Promise<void> {
    for (const name of this.namespaces.splice(0).reverse()) await removeNamespace(name).catch(() => {});
  }
}
