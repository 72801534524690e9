/**
 * Services of the model to entries of the service table, one for each address and port at which a service answers. Ids
 * and epochs are carried from one generation to the next, so that a change of one service moves no other service's
 * round-robin cursor; so are those of endpoints, by which the dataplane counts their connections.
 */
import type { Scheduler, ServiceEndpoint, ServicePort } from '../tables/services.ts';
import { isV4, type Words } from '../wire/address.ts';
import { FrontendPlace, outsideFrontends } from './frontends.ts';
import type { ClusterModel, ClusterNode, ClusterService, ClusterServicePort, PortTarget } from './model.ts';
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
  /** For sources outside the cluster, where they differ. */
  outside?: readonly ServiceEndpoint[];
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
  self: ClusterNode,
  host: ServingHost,
  dns: readonly Words[],
  previous: { services: ReadonlyMap<string, ServiceMemory>; nextEpoch: number },
): CompiledServices {
  const draft = new Draft(host, previous);
  const place = new FrontendPlace(model, self);
  for (const [name, service] of model.services) {
    draft.service(name, service);
    for (const [i, address] of service.clusterIps.entries()) {
      if (dns.some((own) => own.every((word, w) => word === address[w]))) continue;
      for (const port of service.ports) {
        const key = `${name} ${port.protocol}/${port.port}${i === 0 ? '' : ` #${i}`}`;
        draft.cluster(key, address, port);
      }
    }
    for (const port of service.ports) {
      for (const frontend of outsideFrontends(service, port, place)) {
        const key = `${name} ${port.protocol}/${port.port} ${frontend.name}`;
        draft.external(key, frontend.address, frontend.port, frontend.shared, port);
      }
    }
  }
  return draft.done();
}

class Draft {
  readonly #host: ServingHost;
  readonly #defaults: ProxyDefaults;
  readonly #previous: ReadonlyMap<string, ServiceMemory>;
  readonly #ports: ServicePort[] = [];
  readonly #memory = new Map<string, ServiceMemory>();
  readonly #freeId: () => number;
  readonly #freeEndpointId: () => number;
  #nextEpoch: number;
  #name = '';
  #service!: ClusterService;
  #scheduler: Scheduler = 'failover';
  #isRelayed = false;

  constructor(host: ServingHost, previous: { services: ReadonlyMap<string, ServiceMemory>; nextEpoch: number }) {
    this.#host = host;
    this.#defaults = host.proxy ?? DEFAULT_PROXY;
    this.#previous = previous.services;
    this.#nextEpoch = previous.nextEpoch;
    const held = [...previous.services.values()];
    this.#freeId = freeIds(held.map(({ id }) => id));
    this.#freeEndpointId = freeIds(held.flatMap(({ endpoints, outside = [] }) => [...endpoints, ...outside].map(idOf)));
  }

  /** The service that what follows is about. */
  service(name: string, service: ClusterService): void {
    this.#name = name;
    this.#service = service;
    this.#scheduler = schedulerOf(service.proxy, this.#defaults);
    this.#isRelayed = proxyModeOf(service.proxy, this.#defaults) === 'userspace';
  }

  /** A cluster address. Who comes to it from outside, by a route of his own, is masked as kube-proxy does. */
  cluster(key: string, address: Words, port: ClusterServicePort): void {
    const v4 = isV4(address);
    const all = this.#service.internalLocal ? this.#local(port, v4) : ofFamily(port.targets, v4);
    this.#add(key, address, port, all, undefined, { port: port.port, masquerade: true });
  }

  /** A node port, an externalIP, a LoadBalancer's address: for pods and hosts of the cluster a short cut to all. */
  external(key: string, address: Words, at: number, shared: boolean, port: ClusterServicePort): void {
    const v4 = isV4(address);
    const inside = ofFamily(port.targets, v4);
    const more = shared ? { port: at, shared } : { port: at };
    if (!this.#service.externalLocal) {
      this.#add(key, address, port, inside, undefined, { ...more, masquerade: true });
      return;
    }
    const outside = this.#local(port, v4);
    // A load balancer in front of the hosts is to notice that nobody is here: refusing would tell its clients.
    const whenEmpty = outside.length === 0 && inside.length > 0 ? ({ whenEmpty: 'drop' } as const) : {};
    this.#add(key, address, port, inside, outside, { ...more, ...whenEmpty });
  }

  done(): CompiledServices {
    return { ports: this.#ports, services: this.#memory, nextEpoch: this.#nextEpoch };
  }

  /** The targets of this host: the ready ones, else those that still serve. */
  #local(port: ClusterServicePort, v4: boolean): readonly PortTarget[] {
    const own = (list: readonly PortTarget[]) =>
      list.filter((target) => target.nodeName === this.#host.nodeName && isV4(target.address) === v4);
    const here = own(port.targets);
    return here.length > 0 ? here : own(port.standby);
  }

  #add(
    key: string,
    address: Words,
    port: ClusterServicePort,
    wanted: readonly PortTarget[],
    wantedOutside: readonly PortTarget[] | undefined,
    more: Pick<ServicePort, 'port' | 'shared' | 'whenEmpty' | 'masquerade'>,
  ): void {
    // The relay takes all there are: what comes from outside and may go to endpoints here alone does not go through it.
    const isRelayed = this.#isRelayed && wantedOutside === undefined && !this.#service.internalLocal;
    const targets = isRelayed ? this.#relay(address, port, wanted) : wanted;
    const outside = wantedOutside;
    const sets = outside ? `${targetSet(targets)}| ${targetSet(outside)}` : targetSet(targets);
    const set = this.#isHashed ? `# ${sets}` : sets;
    const known = this.#previous.get(key);
    const same = known?.targets === set;
    const epoch = same ? known.epoch : this.#takeEpoch();
    const id = known?.id ?? this.#freeId();
    const memory = same ? { ...known, id, epoch } : { id, epoch, targets: set, ...this.#order(key, targets, outside) };
    this.#memory.set(key, memory);
    const { affinitySeconds } = this.#service;
    this.#ports.push({
      id,
      address,
      protocol: PROTOCOL_NUMBER[port.protocol],
      epoch,
      endpoints: memory.endpoints,
      scheduler: this.#isRelayed && !isRelayed ? 'failover' : this.#scheduler,
      ...more,
      ...(memory.outside ? { outside: memory.outside } : {}),
      // The relay keeps its clients' endpoints itself.
      ...(affinitySeconds === undefined || isRelayed ? {} : { affinitySeconds }),
    });
  }

  #order(
    key: string,
    targets: readonly PortTarget[],
    outside: readonly PortTarget[] | undefined,
  ): Pick<ServiceMemory, 'endpoints' | 'outside'> {
    const seed = nameHash(this.#isHashed ? key : `${this.#host.nodeName} ${key}`);
    const known = this.#previous.get(key);
    const ids = new Map([...(known?.endpoints ?? []), ...(known?.outside ?? [])].map((e) => [targetKey(e), e.id]));
    const endpoints = withIds(shuffleTargets(targets, seed), ids, this.#freeEndpointId);
    if (!outside) return { endpoints };
    return { endpoints, outside: withIds(shuffleTargets(outside, seed), ids, this.#freeEndpointId) };
  }

  /** A service of nobody is refused by the dataplane: nothing leads to the relay then. */
  #relay(address: Words, port: ClusterServicePort, all: readonly PortTarget[]): readonly PortTarget[] {
    const proxy = this.#host.proxyPorts?.get(proxyPortKey(this.#name, port.protocol, port.port, address));
    const relay = this.#host.relayAddresses.find((own) => isV4(own) === isV4(address));
    return all.length > 0 && relay && proxy !== undefined ? [{ address: relay, port: proxy }] : [];
  }

  /** A hash names the same endpoint on every host, so they stand in the same order. */
  get #isHashed(): boolean {
    return this.#scheduler === 'sh' || this.#scheduler === 'dh' || this.#scheduler === 'mh';
  }

  #takeEpoch(): number {
    const epoch = this.#nextEpoch;
    this.#nextEpoch = epoch === EPOCH_LIMIT ? 1 : epoch + 1;
    return epoch;
  }
}

/** The list itself where all are of the family, which is nearly always. */
function ofFamily(targets: readonly PortTarget[], v4: boolean): readonly PortTarget[] {
  return targets.every((t) => isV4(t.address) === v4) ? targets : targets.filter((t) => isV4(t.address) === v4);
}

/** An endpoint's id is small and stays while it stands behind this service port. */
function withIds(
  targets: readonly PortTarget[],
  ids: Map<string, number>,
  freeId: () => number,
): readonly ServiceEndpoint[] {
  return targets.map((target) => {
    const key = targetKey(target);
    const id = ids.get(key) ?? freeId();
    ids.set(key, id);
    const { address, port, weight } = target;
    return { address, port, ...(weight === undefined ? {} : { weight }), id };
  });
}

function idOf({ id }: ServiceEndpoint): number {
  return id;
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
