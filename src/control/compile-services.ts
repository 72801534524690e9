/**
 * Services of the model to entries of the service table. Ids and epochs are carried from one generation to the next,
 * so that a change of one service moves no other service's round-robin cursor; so are those of endpoints, by which the
 * dataplane counts their connections.
 */
import type { ServiceEndpoint, ServicePort } from '../tables/services.ts';
import { isV4, type Words } from '../wire/address.ts';
import type { ClusterModel, PortTarget } from './model.ts';
import { nameHash } from './name-hash.ts';
import { DEFAULT_PROXY, type ProxyDefaults, proxyModeOf, proxyPortKey, schedulerOf } from './service-mode.ts';
import { shuffleTargets, targetKey, targetSet } from './target-order.ts';

const PROTOCOL_NUMBER = { TCP: 6, UDP: 17 } as const;
/** Epochs live in 32-bit words of the tables. */
const EPOCH_LIMIT = 0x7fffffff;

export interface ServiceMemory {
  /** Small number, stable while the service port exists. */
  id: number;
  epoch: number;
  /** What the epoch stands for. */
  targets: string;
  /** As they are in the table: what did not change is not put in order again. */
  endpoints: readonly ServiceEndpoint[];
}

export interface CompiledServices {
  ports: readonly ServicePort[];
  services: ReadonlyMap<string, ServiceMemory>;
  nextEpoch: number;
}

/** What a host's way of serving services hangs on. */
export interface ServingHost {
  nodeName: string;
  /** Of services that do not say it themselves; failover by default. */
  proxy?: ProxyDefaults;
  /** Ports of the relay for services in userspace mode, by proxyPortKey. One that has none is refused. */
  proxyPorts?: ReadonlyMap<string, number>;
  /** Where the relay listens. */
  relayAddresses: readonly Words[];
}

/** `dns`: the cluster DNS addresses, which are no services in the tables. */
export function compileServices(
  model: ClusterModel,
  host: ServingHost,
  dns: readonly Words[],
  previous: { services: ReadonlyMap<string, ServiceMemory>; nextEpoch: number },
): CompiledServices {
  const ports: ServicePort[] = [];
  const services = new Map<string, ServiceMemory>();
  const held = [...previous.services.values()];
  const freeId = freeIds(held.map(({ id }) => id));
  const freeEndpointId = freeIds(held.flatMap(({ endpoints }) => endpoints.map((e) => e.id)));
  let nextEpoch = previous.nextEpoch;
  const defaults = host.proxy ?? DEFAULT_PROXY;
  for (const [name, service] of model.services) {
    const scheduler = schedulerOf(service.proxy, defaults);
    const relayed = proxyModeOf(service.proxy, defaults) === 'userspace';
    for (const [i, address] of service.clusterIps.entries()) {
      if (dns.some((own) => own.every((word, w) => word === address[w]))) continue;
      for (const { protocol, port, targets: all } of service.ports) {
        const targets = relayed
          ? relayTarget(host, address, proxyPortKey(name, protocol, port, address), all)
          : ofFamily(all, isV4(address));
        const key = `${name} ${protocol}/${port}${i === 0 ? '' : ` #${i}`}`;
        const set = targetSet(targets);
        const known = previous.services.get(key);
        const same = known?.targets === set;
        const epoch = same ? known.epoch : nextEpoch;
        if (!same) nextEpoch = nextEpoch === EPOCH_LIMIT ? 1 : nextEpoch + 1;
        const seed = nameHash(`${host.nodeName} ${key}`);
        const endpoints = same ? known.endpoints : withIds(shuffleTargets(targets, seed), known, freeEndpointId);
        const memory = { id: known?.id ?? freeId(), epoch, targets: set, endpoints };
        services.set(key, memory);
        ports.push({
          id: memory.id,
          address,
          protocol: PROTOCOL_NUMBER[protocol],
          port,
          epoch,
          endpoints,
          scheduler,
          // The relay keeps its clients' endpoints itself.
          ...(service.affinitySeconds === undefined || relayed ? {} : { affinitySeconds: service.affinitySeconds }),
        });
      }
    }
  }
  return { ports, services, nextEpoch };
}

/** A service of nobody is refused by the dataplane: nothing leads to the relay then. */
function relayTarget(host: ServingHost, address: Words, key: string, all: readonly PortTarget[]): PortTarget[] {
  const port = host.proxyPorts?.get(key);
  const relay = host.relayAddresses.find((own) => isV4(own) === isV4(address));
  const isServed = all.some((target) => isV4(target.address) === isV4(address));
  return isServed && relay && port !== undefined ? [{ address: relay, port }] : [];
}

/** The list itself where all are of the family, which is nearly always. */
function ofFamily(targets: readonly PortTarget[], v4: boolean): readonly PortTarget[] {
  return targets.every((t) => isV4(t.address) === v4) ? targets : targets.filter((t) => isV4(t.address) === v4);
}

/** An endpoint's id is small and stays while it stands behind this service port. */
function withIds(
  targets: readonly PortTarget[],
  known: ServiceMemory | undefined,
  freeId: () => number,
): readonly ServiceEndpoint[] {
  const ids = new Map((known?.endpoints ?? []).map((e) => [targetKey(e), e.id]));
  return targets.map((target) => ({
    address: target.address,
    port: target.port,
    ...(target.weight === undefined ? {} : { weight: target.weight }),
    id: ids.get(targetKey(target)) ?? freeId(),
  }));
}

/** Smallest ids that nobody held in the last generation: an id rests for one generation before it is used again. */
function freeIds(heldIds: readonly number[]): () => number {
  const held = new Set(heldIds);
  let next = 0;
  return () => {
    while (held.has(next)) next++;
    return next++;
  };
}
