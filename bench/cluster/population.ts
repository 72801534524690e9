/** A cluster's objects as they stand in a store: nodes, pods that run on them, services with slices of their pods. */
import { storeKey } from '../../src/apiserver/kinds/resource.ts';
import { ResourceTable } from '../../src/apiserver/kinds/resource-table.ts';
import type { Store, Write } from '../../src/apiserver/store/store.ts';

export interface Size {
  readonly nodes: number;
  readonly pods: number;
  readonly services: number;
}

export interface Objects {
  readonly nodes: readonly StoredObject[];
  readonly pods: readonly StoredObject[];
  readonly services: readonly StoredObject[];
  readonly slices: readonly StoredObject[];
}

interface StoredObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string } & Record<string, unknown>;
  [field: string]: unknown;
}

/** What etcd takes in one transaction, at most 128 writes, is what we write at a time. */
const WRITES = 100;
const NAMESPACE = 'default';
const CREATED = '2026-01-01T00:00:00Z';

export function population(size: Size): Objects {
  const pods = range(size.pods, (i) => podOf(i, size.nodes));
  return {
    nodes: range(size.nodes, nodeOf),
    pods,
    services: range(size.services, serviceOf),
    slices: range(size.services, (i) => sliceOf(i, size)),
  };
}

/** Group and name of each kind. */
const KINDS: Readonly<Record<keyof Objects, readonly [string, string]>> = {
  nodes: ['', 'nodes'],
  pods: ['', 'pods'],
  services: ['', 'services'],
  slices: ['discovery.k8s.io', 'endpointslices'],
};

/** Returns the bytes of JSON that were written. */
export async function fill(store: Store, objects: Objects): Promise<number> {
  let bytes = 0;
  const table = new ResourceTable();
  for (const [kind, [group, plural]] of Object.entries(KINDS)) {
    const resource = table.find(group, 'v1', plural);
    if (!resource) throw new Error(`the server knows no ${plural}`);
    const writes = objects[kind as keyof Objects].map((object): Write => {
      const value = Buffer.from(JSON.stringify(object));
      bytes += value.length;
      return { type: 'put', key: storeKey(resource, object.metadata.namespace, object.metadata.name), value };
    });
    for (let i = 0; i < writes.length; i += WRITES) {
      await store.commit({ conditions: [], writes: writes.slice(i, i + WRITES) });
    }
  }
  return bytes;
}

export function nodeName(i: number): string {
  return `node-${String(i).padStart(4, '0')}`;
}

export function sliceName(service: number): string {
  return `svc-${service}-bench`;
}

/** The endpoints of a service's slice: five pods on as many nodes; one of them may be not ready. */
export function endpointsOf(service: number, size: Size, unready?: number): Record<string, unknown>[] {
  return range(Math.min(5, size.pods), (i) => {
    const pod = (service * 5 + i) % size.pods;
    const ready = i !== unready;
    return {
      addresses: [podAddress(pod, size.nodes)],
      conditions: { ready, serving: ready, terminating: false },
      nodeName: nodeName(pod % size.nodes),
      targetRef: { kind: 'Pod', namespace: NAMESPACE, name: podName(pod), uid: uidOf('pod', pod) },
    };
  });
}

function nodeOf(i: number): StoredObject {
  const name = nodeName(i);
  const address = `172.16.${i >> 8}.${i & 255}`;
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: metadataOf('node', i, name, { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' }),
    spec: { podCIDR: nodeCidr(i), podCIDRs: [nodeCidr(i)] },
    status: {
      capacity: { pods: '110' },
      allocatable: { pods: '110' },
      addresses: [
        { type: 'InternalIP', address },
        { type: 'Hostname', address: name },
      ],
      conditions: [conditionOf('Ready')],
      nodeInfo: { kubeletVersion: 'v1.30.0', operatingSystem: 'linux', architecture: 'amd64' },
      daemonEndpoints: { kubeletEndpoint: { Port: 10250 } },
    },
  };
}

/** As large as a usual pod of one container is. */
function podOf(i: number, nodes: number): StoredObject {
  const node = i % nodes;
  const ip = podAddress(i, nodes);
  const probe = { httpGet: { path: '/healthz', port: 8080, scheme: 'HTTP' }, periodSeconds: 10, failureThreshold: 3 };
  const app = `svc-${Math.floor(i / 5)}`;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadataOf('pod', i, podName(i), { app, 'pod-template-hash': '6d4cf56db6' }), namespace: NAMESPACE },
    spec: {
      nodeName: nodeName(node),
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      serviceAccountName: 'default',
      schedulerName: 'default-scheduler',
      containers: [
        {
          name: 'web',
          image: 'nginx:1.27',
          imagePullPolicy: 'IfNotPresent',
          ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
          env: range(4, (n) => ({ name: `SETTING_${n}`, value: `value-${n}-of-${i}` })),
          resources: { requests: { cpu: '100m', memory: '64Mi' }, limits: { cpu: '500m', memory: '256Mi' } },
          readinessProbe: probe,
          livenessProbe: probe,
        },
      ],
    },
    status: {
      phase: 'Running',
      hostIP: `172.16.${node >> 8}.${node & 255}`,
      podIP: ip,
      podIPs: [{ ip }],
      startTime: CREATED,
      qosClass: 'Burstable',
      conditions: ['Initialized', 'Ready', 'ContainersReady', 'PodScheduled'].map(conditionOf),
      containerStatuses: [
        {
          name: 'web',
          image: 'nginx:1.27',
          imageID: 'nginx',
          containerID: `weft://${uidOf('pod', i)}`,
          ready: true,
          started: true,
          restartCount: 0,
          state: { running: { startedAt: CREATED } },
          lastState: {},
        },
      ],
    },
  };
}

function serviceOf(i: number): StoredObject {
  const ip = `10.96.${1 + (i >> 8)}.${i & 255}`;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadataOf('svc', i, `svc-${i}`, { app: `svc-${i}` }), namespace: NAMESPACE },
    spec: {
      type: 'ClusterIP',
      clusterIP: ip,
      clusterIPs: [ip],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Cluster',
      sessionAffinity: 'None',
      ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 'http' }],
    },
    status: { loadBalancer: {} },
  };
}

/** Of somebody else than the cluster's own controller, which leaves it alone: the service has no selector. */
function sliceOf(i: number, size: Size): StoredObject {
  const labels = { 'kubernetes.io/service-name': `svc-${i}`, 'endpointslice.kubernetes.io/managed-by': 'bench' };
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { ...metadataOf('slice', i, sliceName(i), labels), namespace: NAMESPACE },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: endpointsOf(i, size),
  };
}

function podAddress(i: number, nodes: number): string {
  const node = i % nodes;
  return `10.${64 + (node >> 8)}.${node & 255}.${2 + Math.floor(i / nodes)}`;
}

function nodeCidr(i: number): string {
  return `10.${64 + (i >> 8)}.${i & 255}.0/24`;
}

export function podName(i: number): string {
  return `web-6d4cf56db6-${String(i).padStart(5, '0')}`;
}

function metadataOf(kind: string, i: number, name: string, labels: Record<string, string>): StoredObject['metadata'] {
  return { name, uid: uidOf(kind, i), creationTimestamp: CREATED, generation: 1, labels };
}

export function conditionOf(type: string): Record<string, unknown> {
  return { type, status: 'True', lastTransitionTime: CREATED, reason: type };
}

function uidOf(kind: string, i: number): string {
  const digits = Buffer.from(kind.padEnd(6, '-').slice(0, 6)).toString('hex');
  return `00000000-0000-4000-8000-${(BigInt(`0x${digits}`) ^ BigInt(i)).toString(16).padStart(12, '0')}`;
}

function range<T>(length: number, make: (i: number) => T): T[] {
  return Array.from({ length }, (_, i) => make(i));
}
