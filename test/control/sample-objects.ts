/** Objects for the tests of control, made from as little as the test wants to say. */
import type { ClusterSettings } from '../../src/control/cluster-settings.ts';
import { type CompileMemory, compile, emptyMemory, type HostContext } from '../../src/control/compile.ts';
import type { ClusterModel } from '../../src/control/model.ts';
import { buildModel } from '../../src/control/model-builder.ts';
import type { EndpointSlice, Endpoints, KubeObject, Node, Pod, Service } from '../../src/kube/objects.ts';
import { objectSet } from '../../src/kube/objects.ts';

export const SETTINGS: ClusterSettings = {
  clusterCidr: '10.244.0.0/16,fd00:10:244::/56',
  serviceCidr: '10.96.0.0/16,fd00:10:96::/112',
  clusterDns: '10.96.0.10,fd00:10:96::a',
  clusterDomain: 'cluster.local',
};

export const HOST: HostContext = {
  ...SETTINGS,
  nodeName: 'hosta',
  backend: 'vxlan',
  vni: 1,
  udpPort: 4789,
  podMtu: 1450,
  ports: [],
};

/** `podCIDR` and `address` may name several, with commas. */
export function node(name: string, podCIDR: string, address: string, annotations: Record<string, string> = {}): Node {
  const podCIDRs = podCIDR.split(',');
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, annotations },
    spec: { podCIDR: podCIDRs[0] as string, ...(podCIDRs.length > 1 ? { podCIDRs } : {}) },
    status: { addresses: address.split(',').map((each) => ({ type: 'InternalIP', address: each })) },
  };
}

export const hosta = node('hosta', '10.244.1.0/24', '172.31.0.11');
export const hostb = node('hostb', '10.244.2.0/24', '172.31.0.12');
/** The same two with both families. */
export const dualA = node('hosta', '10.244.1.0/24,fd00:10:244:1::/64', '172.31.0.11,fd00:172:31::11');
export const dualB = node('hostb', '10.244.2.0/24,fd00:10:244:2::/64', '172.31.0.12,fd00:172:31::12');

export interface PodWish {
  node?: string;
  ip?: string;
  labels?: Record<string, string>;
  spec?: Partial<Pod['spec']>;
  status?: NonNullable<Pod['status']>;
  namespace?: string;
}

export function pod(name: string, wish: PodWish = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: wish.namespace ?? 'default',
      labels: wish.labels ?? {},
      ...(wish.ip ? { annotations: { 'weft.dev/ip': wish.ip } } : {}),
    },
    spec: { nodeName: wish.node ?? 'hosta', containers: [{ name: 'c' }], ...wish.spec },
    ...(wish.status ? { status: wish.status } : {}),
  };
}

export function service(name: string, spec: Service['spec']): Service {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' }, spec };
}

export function endpoints(name: string, subsets: NonNullable<Endpoints['subsets']>): Endpoints {
  return { apiVersion: 'v1', kind: 'Endpoints', metadata: { name, namespace: 'default' }, subsets };
}

export function endpointSlice(name: string, serviceName: string, wish: Partial<EndpointSlice>): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace: 'default', labels: { 'kubernetes.io/service-name': serviceName } },
    addressType: 'IPv4',
    ...wish,
  };
}

/** As modelOf, with settings of its own. */
export function modelWith(settings: Partial<ClusterSettings>, ...objects: KubeObject[]): ClusterModel {
  return buildModel(objectSet(objects), { ...SETTINGS, ...settings });
}

export function modelOf(...objects: KubeObject[]): ClusterModel {
  return buildModel(objectSet(objects), SETTINGS);
}

export function messagesOf(model: ClusterModel): string[] {
  return model.problems.map((p) => p.message);
}

/** Compiles for hosta, every pod of hosta having a port in the order of names. */
export function compileFor(
  model: ClusterModel,
  host: Partial<HostContext> = {},
  memory: CompileMemory = emptyMemory(),
) {
  const ports = [...model.pods.values()]
    .filter((p) => p.nodeName === (host.nodeName ?? 'hosta') && !p.hostNetwork)
    .map((p, i) => ({ id: 16 + i, namespace: p.namespace, name: p.name }));
  return compile(model, { ...HOST, ports, ...host }, memory);
}
