/**
 * The socket relay as the agent runs it: which service ports of the model it is to have proxy ports for, opened before
 * the tables that lead there are published, closed afterwards.
 */
import { relayAddresses } from '../../control/compile.ts';
import type { ClusterModel, ClusterNode, ClusterService } from '../../control/model.ts';
import { ProblemList } from '../../control/problem-list.ts';
import { type ProxyDefaults, proxyModeOf, proxyPortKey } from '../../control/service-mode.ts';
import type { ObjectSet } from '../../kube/objects.ts';
import type { Problem } from '../../kube/problem.ts';
import type { ProxyCounts } from '../../relay/proxy-port.ts';
import { type ProxyRequest, type ProxyStatus, Relay } from '../../relay/relay.ts';
import { formatAddress, isV4, type Words } from '../../wire/address.ts';
import type { AgentSettings } from '../options.ts';

export class HostRelay {
  readonly #relay: Relay;
  readonly #defaults: ProxyDefaults;
  #problems: readonly Problem[] = [];

  constructor(settings: Pick<AgentSettings, 'proxy' | 'proxyPortRange'>) {
    this.#relay = new Relay({ range: settings.proxyPortRange });
    this.#defaults = settings.proxy;
  }

  get problems(): readonly Problem[] {
    return this.#problems;
  }

  /** The proxy ports for the tables to come, by proxyPortKey. */
  async open(model: ClusterModel, self: ClusterNode, objects: ObjectSet): Promise<ReadonlyMap<string, number>> {
    await this.#relay.apply(proxyRequests(model, self, this.#defaults));
    const problems = new ProblemList(objects.places);
    for (const { title, message } of this.#relay.problems) problems.error(title, message);
    this.#problems = problems.sorted();
    return this.#relay.ports();
  }

  /** The tables without what is not wanted any more are in force. */
  retire(): void {
    this.#relay.retire();
  }

  /** By proxyPortKey. */
  status(): ReadonlyMap<string, ProxyStatus> {
    return new Map(this.#relay.status().map((each) => [each.key, each]));
  }

  /** Of all proxy ports together. */
  counts(): ProxyCounts & { ports: number } {
    return this.#relay.counts();
  }

  close(): void {
    this.#relay.close();
  }
}

/** A proxy port for each port of a service in userspace mode, in each family in which the service has an address. */
export function proxyRequests(model: ClusterModel, self: ClusterNode, defaults: ProxyDefaults): ProxyRequest[] {
  const listen = relayAddresses(self);
  const out: ProxyRequest[] = [];
  for (const [name, service] of model.services) {
    if (proxyModeOf(service.proxy, defaults) !== 'userspace' || !isRelayed(service)) continue;
    for (const own of listen) {
      const address = service.clusterIps.find((each) => isV4(each) === isV4(own));
      if (address) out.push(...requestsOf(name, service, address, own));
    }
  }
  return out;
}

/** With a Local policy the dataplane serves by itself; elsewhere it may still lead here. */
function isRelayed(service: ClusterService): boolean {
  const isExternal = service.type !== 'ClusterIP' || service.externalIps.length > 0;
  return !service.internalLocal || (isExternal && !service.externalLocal);
}

function requestsOf(name: string, service: ClusterService, address: Words, own: Words): ProxyRequest[] {
  const addresses = [...service.clusterIps, ...service.externalIps, ...service.loadBalancerIps].map(formatAddress);
  return service.ports.map(({ protocol, port, nodePort, targets }) => ({
    key: proxyPortKey(name, protocol, port, address),
    title: `Service ${name}`,
    name: `${port}/${protocol}`,
    protocol,
    listen: formatAddress(own),
    // Any difference in these makes it another service port (kube-proxy, pkg/proxy/userspace, sameConfig).
    shape: `${addresses.join()} ${nodePort ?? ''}`,
    targets: targets
      .filter((target) => isV4(target.address) === isV4(own))
      .map((target) => ({ address: formatAddress(target.address), port: target.port })),
    affinitySeconds: service.affinitySeconds,
  }));
}
