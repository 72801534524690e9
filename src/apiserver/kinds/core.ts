/** The kinds of the core group, v1, that the network lives on. */
import { isDeepStrictEqual } from 'node:util';
import { AFFINITY_SECONDS } from '../../control/cluster-services.ts';
import { objectRules } from '../../kube/object-rules.ts';
import type { KubeObject } from '../../kube/objects.ts';
import { SCHEMAS } from '../../kube/schemas.ts';
import { unsupportedFields } from '../../kube/unsupported-fields.ts';
import type { Violation } from '../../kube/violation.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import {
  AGE_COLUMN,
  column,
  flagAt,
  integer,
  labelText,
  list,
  listAt,
  mapObjects,
  mapOf,
  metadata,
  NAME_COLUMN,
  object,
  selectable,
  string,
  textAt,
} from './fields.ts';
import { inheritNode, nodeAllocation } from './node-allocation.ts';
import { POD_COLUMNS } from './pod-columns.ts';
import { podRules } from './pod-rules.ts';
import { podDefaults, podMergeKeys } from './pod-spec.ts';
import { podUpdateRules } from './pod-updates.ts';
import type { Resource } from './resource.ts';
import { inheritService, serviceUpdateRules } from './service-updates.ts';

const core = { group: '', version: 'v1' } as const;

/** What the network reads is held to the network's own rules, so that no agent refuses what was accepted here. */
export const networkRules = (o: ApiObject): Violation[] => objectRules(o as unknown as KubeObject);

const namespace: Resource = {
  ...core,
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  namespaced: false,
  nameFormat: 'dns-label',
  status: true,
  schema: object({ metadata, spec: object({ finalizers: list(string) }), status: object({ phase: string }) }),
  mergeKeys: { 'status.conditions': 'type' },
  fieldSelectors: selectable(['status', 'phase']),
  columns: [NAME_COLUMN, column('Status', 'Active or Terminating', (o) => textAt(o, 'status', 'phase')), AGE_COLUMN],
  // Only the subresource finalize lets go of what is in it.
  inherit: (o, old) => {
    o.spec = { ...o.spec, finalizers: old.spec?.finalizers ?? [] };
  },
  defaults: (o) => {
    o.spec = { finalizers: ['kubernetes'], ...o.spec };
    o.status = { phase: 'Active', ...o.status };
    o.metadata.labels = { ...o.metadata.labels, 'kubernetes.io/metadata.name': o.metadata.name };
  },
};

function nodeAddress(node: ApiObject, type: string): string {
  const found = listAt(node, 'status', 'addresses').find((a) => a.type === type)?.address;
  return typeof found === 'string' ? found : '<none>';
}

function nodeStatus(node: ApiObject): string {
  const ready = listAt(node, 'status', 'conditions').find((c) => c.type === 'Ready')?.status;
  const words = [ready === undefined ? 'Unknown' : ready === 'True' ? 'Ready' : 'NotReady'];
  if (fieldAt(node, ['spec', 'unschedulable']) === true) words.push('SchedulingDisabled');
  return words.join(',');
}

function nodeRoles(node: ApiObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const roles = Object.keys(node.metadata.labels ?? {})
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length));
  return roles.sort().join(',') || '<none>';
}

const node: Resource = {
  ...core,
  kind: 'Node',
  plural: 'nodes',
  singular: 'node',
  shortNames: ['no'],
  namespaced: false,
  status: true,
  schema: SCHEMAS.Node,
  rules: networkRules,
  inherit: inheritNode,
  allocation: nodeAllocation,
  fieldSelectors: { 'spec.unschedulable': (o) => flagAt(o, 'spec', 'unschedulable') },
  mergeKeys: { 'status.conditions': 'type', 'status.addresses': 'type', 'spec.podCIDRs': '' },
  columns: [
    NAME_COLUMN,
    column('Status', 'Whether it is ready for pods', nodeStatus),
    column('Roles', 'By its node-role labels', nodeRoles),
    AGE_COLUMN,
    column('Version', 'Of its agent', (o) => textAt(o, 'status', 'nodeInfo', 'kubeletVersion')),
    column('Internal-IP', 'Its address for other nodes', (o) => nodeAddress(o, 'InternalIP'), { wide: true }),
    column('External-IP', 'Its address for everybody', (o) => nodeAddress(o, 'ExternalIP'), { wide: true }),
    column('OS-Image', 'Its operating system', (o) => textAt(o, 'status', 'nodeInfo', 'osImage') || '<unknown>', {
      wide: true,
    }),
    column('Kernel-Version', 'Its kernel', (o) => textAt(o, 'status', 'nodeInfo', 'kernelVersion') || '<unknown>', {
      wide: true,
    }),
    column(
      'Container-Runtime',
      'What runs its containers',
      (o) => textAt(o, 'status', 'nodeInfo', 'containerRuntimeVersion') || '<unknown>',
      { wide: true },
    ),
  ],
};

const pod: Resource = {
  ...core,
  kind: 'Pod',
  plural: 'pods',
  singular: 'pod',
  shortNames: ['po'],
  categories: ['all'],
  namespaced: true,
  status: true,
  nodeParts: ['log', 'exec', 'attach', 'portforward'],
  schema: SCHEMAS.Pod,
  rules: (o, old) => [...networkRules(o), ...podRules(o, old), ...(old ? podUpdateRules(o, old) : [])],
  warnings: (o) => unsupportedFields(o.spec ?? {}),
  fieldSelectors: {
    ...selectable(
      ['spec', 'nodeName'],
      ['spec', 'restartPolicy'],
      ['spec', 'schedulerName'],
      ['spec', 'serviceAccountName'],
      ['status', 'phase'],
      ['status', 'podIP'],
      ['status', 'nominatedNodeName'],
    ),
    'spec.hostNetwork': (o) => flagAt(o, 'spec', 'hostNetwork'),
  },
  mergeKeys: {
    ...podMergeKeys('spec'),
    'status.conditions': 'type',
    'status.podIPs': 'ip',
    'status.hostIPs': 'ip',
  },
  retainKeys: ['spec.volumes'],
  columns: [
    NAME_COLUMN,
    ...POD_COLUMNS,
    AGE_COLUMN,
    column('IP', 'Its address', (o) => textAt(o, 'status', 'podIP') || '<none>', { wide: true }),
    column('Node', 'Where it runs', (o) => textAt(o, 'spec', 'nodeName') || '<none>', { wide: true }),
    column('Nominated Node', 'Kept free for it', () => '<none>', { wide: true }),
    column('Readiness Gates', 'Conditions beside its containers', () => '<none>', { wide: true }),
  ],
  defaults: (o) => {
    o.spec = podDefaults(o.spec);
    o.status = { phase: 'Pending', ...o.status };
  },
  graceSeconds: (o) => {
    // Nobody runs it: nobody has to end it.
    if (textAt(o, 'spec', 'nodeName') === '') return 0;
    const phase = textAt(o, 'status', 'phase');
    if (phase === 'Succeeded' || phase === 'Failed') return 0;
    const seconds = fieldAt(o, ['spec', 'terminationGracePeriodSeconds']);
    return typeof seconds === 'number' ? seconds : 30;
  },
};

function externalAddresses(service: ApiObject): string {
  const type = textAt(service, 'spec', 'type');
  if (type === 'ExternalName') return textAt(service, 'spec', 'externalName');
  const ingress = listAt(service, 'status', 'loadBalancer', 'ingress').map((i) => String(i.ip ?? i.hostname));
  const written = (fieldAt(service, ['spec', 'externalIPs']) ?? []) as string[];
  const all = [...ingress, ...written];
  return all.length > 0 ? all.join(',') : type === 'LoadBalancer' ? '<pending>' : '<none>';
}

const service: Resource = {
  ...core,
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['svc'],
  categories: ['all'],
  namespaced: true,
  status: true,
  nameFormat: 'dns-1035-label',
  schema: SCHEMAS.Service,
  rules: (o, old) => [...networkRules(o), ...(old ? serviceUpdateRules(o, old) : [])],
  inherit: inheritService,
  fieldSelectors: selectable(['spec', 'clusterIP'], ['spec', 'type']),
  mergeKeys: { 'spec.ports': 'port', 'status.conditions': 'type' },
  columns: [
    NAME_COLUMN,
    column('Type', 'How it is reached', (o) => textAt(o, 'spec', 'type')),
    column('Cluster-IP', 'Its address within the cluster', (o) => textAt(o, 'spec', 'clusterIP') || '<none>'),
    column('External-IP', 'Its addresses for everybody', externalAddresses),
    column('Port(s)', 'Ports, node ports and protocols', (o) => {
      const ports = listAt(o, 'spec', 'ports');
      const one = (p: Record<string, unknown>) =>
        `${p.port}${p.nodePort ? `:${p.nodePort}` : ''}/${p.protocol ?? 'TCP'}`;
      return ports.length === 0 ? '<none>' : ports.map(one).join(',');
    }),
    AGE_COLUMN,
    column('Selector', 'Whose labels its pods have', (o) => labelText(fieldAt(o, ['spec', 'selector'])), {
      wide: true,
    }),
  ],
  defaults: (o) => {
    const spec = { type: 'ClusterIP', sessionAffinity: 'None', ...o.spec } as Record<string, unknown>;
    if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
    if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') spec.externalTrafficPolicy ??= 'Cluster';
    if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
    if (spec.sessionAffinity === 'ClientIP') {
      const { clientIP, ...config } = (spec.sessionAffinityConfig ?? {}) as { clientIP?: object };
      spec.sessionAffinityConfig = { ...config, clientIP: { timeoutSeconds: AFFINITY_SECONDS, ...clientIP } };
    }
    if (spec.ports !== undefined) {
      spec.ports = mapObjects(spec.ports, (port) => ({ protocol: 'TCP', targetPort: port.port, ...port }));
    }
    o.spec = spec;
    o.status = { loadBalancer: {}, ...o.status };
  },
};

const endpoints: Resource = {
  ...core,
  kind: 'Endpoints',
  plural: 'endpoints',
  singular: 'endpoints',
  shortNames: ['ep'],
  namespaced: true,
  schema: SCHEMAS.Endpoints,
  rules: networkRules,
  columns: [
    NAME_COLUMN,
    column('Endpoints', 'Addresses and ports', (o) => {
      const all = listAt(o, 'subsets').flatMap((subset) => {
        const addresses = (subset.addresses ?? []) as { ip: string }[];
        const ports = (subset.ports ?? []) as { port: number }[];
        return addresses.flatMap(({ ip }) => (ports.length === 0 ? [ip] : ports.map(({ port }) => `${ip}:${port}`)));
      });
      if (all.length === 0) return '<none>';
      return all.length <= 3 ? all.join(',') : `${all.slice(0, 3).join(',')} + ${all.length - 3} more...`;
    }),
    AGE_COLUMN,
  ],
};

/** Keys become names of files. */
const CONFIG_KEY = /^[-._A-Za-z0-9]{1,253}$/;

const configMap: Resource = {
  ...core,
  kind: 'ConfigMap',
  plural: 'configmaps',
  singular: 'configmap',
  shortNames: ['cm'],
  namespaced: true,
  schema: object({ metadata, data: mapOf(string), binaryData: mapOf(string), immutable: { type: 'boolean' } }),
  columns: [
    NAME_COLUMN,
    column(
      'Data',
      'How many keys it has',
      (o) => Object.keys({ ...(o.data as object), ...(o.binaryData as object) }).length,
    ),
    AGE_COLUMN,
  ],
  rules: (o, old) => {
    const out: Violation[] = [];
    for (const field of ['data', 'binaryData']) {
      const wrong = Object.keys(o[field] ?? {}).find((key) => !CONFIG_KEY.test(key) || key === '.' || key === '..');
      if (wrong === undefined) continue;
      const message = 'a key is at most 253 of letters, digits, "-", "_" and ".", and names no folder';
      out.push({ path: [field, wrong.slice(0, 80)], message });
    }
    if (old?.immutable !== true) return out;
    for (const field of ['immutable', 'data', 'binaryData']) {
      if (isDeepStrictEqual(o[field] ?? {}, old[field] ?? {})) continue;
      out.push({ path: [field], message: 'field is immutable when `immutable` is set' });
    }
    return out;
  },
};

function eventSource(o: ApiObject): string {
  return textAt(o, 'source', 'component') || textAt(o, 'reportingComponent');
}

const event: Resource = {
  ...core,
  kind: 'Event',
  plural: 'events',
  singular: 'event',
  shortNames: ['ev'],
  namespaced: true,
  ttlSeconds: 3600,
  schema: object(
    {
      metadata,
      involvedObject: object({ kind: string, namespace: string, name: string, uid: string }),
      reason: string,
      message: string,
      type: string,
      count: integer,
      firstTimestamp: { type: ['string', 'null'] },
      lastTimestamp: { type: ['string', 'null'] },
    },
    ['involvedObject'],
  ),
  fieldSelectors: {
    ...selectable(
      ['involvedObject', 'apiVersion'],
      ['involvedObject', 'kind'],
      ['involvedObject', 'namespace'],
      ['involvedObject', 'name'],
      ['involvedObject', 'uid'],
      ['involvedObject', 'resourceVersion'],
      ['involvedObject', 'fieldPath'],
      ['reason'],
      ['type'],
      ['reportingComponent'],
    ),
    source: eventSource,
  },
  columns: [
    column('Last Seen', 'When it happened last', (o) => {
      const seen = textAt(o, 'lastTimestamp') || textAt(o, 'eventTime') || o.metadata.creationTimestamp;
      return AGE_COLUMN.cell({ ...o, metadata: { ...o.metadata, creationTimestamp: seen } });
    }),
    column('Type', 'Normal or Warning', (o) => textAt(o, 'type')),
    column('Reason', 'In one word', (o) => textAt(o, 'reason')),
    column('Object', 'What it is about', (o) => {
      const kind = textAt(o, 'involvedObject', 'kind').toLowerCase();
      return `${kind}/${textAt(o, 'involvedObject', 'name')}`;
    }),
    column('Source', 'Who reported it', eventSource, { wide: true }),
    column('Message', 'In a sentence', (o) => textAt(o, 'message').trim()),
    column(
      'First Seen',
      'When it happened first',
      (o) => {
        const seen = textAt(o, 'firstTimestamp') || o.metadata.creationTimestamp;
        return AGE_COLUMN.cell({ ...o, metadata: { ...o.metadata, creationTimestamp: seen } });
      },
      { wide: true },
    ),
    column('Count', 'How often it happened', (o) => (typeof o.count === 'number' ? o.count : 1), {
      type: 'integer',
      wide: true,
    }),
    column('Name', 'Of the event itself', ({ metadata }) => metadata.name, { wide: true }),
  ],
};

export const CORE: readonly Resource[] = [namespace, node, pod, service, endpoints, configMap, event];
