/** The upper bound: pods routed by the hosts' kernels over the underlay, without any tunnel. */
import { release } from 'node:os';
import { ipBatch } from '../command.ts';
import { RoutedNetwork, type Side } from './routed-network.ts';

export class DirectVeth extends RoutedNetwork {
  readonly name = 'direct-veth';
  readonly title = 'direct veth';
  readonly kind = 'kernel';
  protected readonly podMtu = this.underlayMtu;

  missing(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  version(): Promise<string> {
    return Promise.resolve(`Linux ${release()}`);
  }

  protected async join(sides: readonly [Side, Side]): Promise<string> {
    for (const { own, other, peer } of sides) {
      await ipBatch(own.namespace, [`route add 10.244.${peer}.0/24 via ${other.address}`]);
    }
    return 'no tunnel: the hosts route pods to each other';
  }
}
