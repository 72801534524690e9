/**
 * The peer that matters: Linux's own VXLAN device, routed as flannel does it: one route, one neighbour and one
 * forwarding entry per peer, all static.
 */
import { release } from 'node:os';
import { inNamespace, ipBatch, run } from '../command.ts';
import { UNDERLAY_DEVICE } from '../contest.ts';
import { RoutedNetwork, type Side } from './routed-network.ts';

/** Outer IP 20, UDP 8, VXLAN 8, inner Ethernet 14. */
const OVERLAY_BYTES = 50;

export class KernelVxlan extends RoutedNetwork {
  readonly name: string = 'kernel-vxlan';
  readonly title: string = 'kernel VXLAN';
  readonly kind: 'kernel' | 'peer' = 'kernel';
  protected readonly podMtu = this.underlayMtu - OVERLAY_BYTES;
  service?: string;

  missing(): Promise<string | undefined> {
    return Promise.resolve(undefined);
  }

  version(): Promise<string> {
    return Promise.resolve(`Linux ${release()}`);
  }

  protected async join(sides: readonly [Side, Side]): Promise<string> {
    for (const { own, other, index, peer } of sides) {
      const mac = `0a:58:0a:f4:0${peer}:00`;
      await ipBatch(own.namespace, [
        `link add vxlan1 address 0a:58:0a:f4:0${index}:00 type vxlan id 1 dstport 4789 local ${own.address} dev ${UNDERLAY_DEVICE} nolearning`,
        `link set vxlan1 mtu ${this.podMtu} up`,
        `address add 10.244.${index}.0/32 dev vxlan1`,
        `neighbour add 10.244.${peer}.0 lladdr ${mac} dev vxlan1`,
        `route add 10.244.${peer}.0/24 via 10.244.${peer}.0 dev vxlan1 onlink`,
      ]);
      const entry = ['bridge', 'fdb', 'add', mac, 'dev', 'vxlan1', 'dst', other.address];
      await run(inNamespace(own.namespace, entry));
    }
    return `Linux VXLAN device, veth pairs, static neighbours; ${await this.serve(sides[0])}`;
  }

  /** Puts the service in front of its endpoints, on the client's host; a sentence about it. */
  protected async serve({ own }: Side): Promise<string> {
    const service = await this.addService(own).catch(() => undefined);
    if (service) this.service = service;
    return 'a service is an nftables rule';
  }
}
