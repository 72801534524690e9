/** The kinds of the smaller groups: endpoint slices, policies and routes into the cluster, leases. */
import { SCHEMAS } from '../../kube/schemas.ts';
import { fieldAt } from '../api-object.ts';
import { networkRules } from './core.ts';
import {
  AGE_COLUMN,
  column,
  integer,
  labelSelector,
  list,
  listAt,
  metadata,
  NAME_COLUMN,
  object,
  oneOf,
  selectorText,
  string,
  textAt,
} from './fields.ts';
import type { Resource } from './resource.ts';

const endpointSlice: Resource = {
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  singular: 'endpointslice',
  namespaced: true,
  schema: SCHEMAS.EndpointSlice,
  rules: networkRules,
  columns: [
    NAME_COLUMN,
    column('AddressType', 'Family of its addresses', (o) => textAt(o, 'addressType')),
    column('Ports', 'Of its endpoints', (o) =>
      shortened(
        listAt(o, 'ports').map((p) => `${p.port}`),
        '<unset>',
      ),
    ),
    column('Endpoints', 'Addresses', (o) => {
      const all = listAt(o, 'endpoints').flatMap((e) => (e.addresses ?? []) as string[]);
      return shortened(all, '<unset>');
    }),
    AGE_COLUMN,
  ],
};

function shortened(all: readonly string[], none: string): string {
  if (all.length === 0) return none;
  return all.length <= 3 ? all.join(',') : `${all.slice(0, 3).join(',')} + ${all.length - 3} more...`;
}

const port = {
  anyOf: [{ type: 'integer', minimum: 1, maximum: 65535 }, { type: 'string' }],
  description: 'must be a port number or name',
};
const peer = object({
  podSelector: labelSelector,
  namespaceSelector: labelSelector,
  ipBlock: object({ cidr: { type: 'string', format: 'cidr' }, except: list({ type: 'string', format: 'cidr' }) }, [
    'cidr',
  ]),
});
const policyPorts = list(object({ protocol: oneOf('TCP', 'UDP', 'SCTP'), port, endPort: integer }));

const networkPolicy: Resource = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  singular: 'networkpolicy',
  shortNames: ['netpol'],
  namespaced: true,
  schema: object(
    {
      metadata,
      spec: object({
        podSelector: labelSelector,
        policyTypes: list(oneOf('Ingress', 'Egress')),
        ingress: list(object({ from: list(peer), ports: policyPorts })),
        egress: list(object({ to: list(peer), ports: policyPorts })),
      }),
    },
    ['spec'],
  ),
  columns: [
    NAME_COLUMN,
    column(
      'Pod-Selector',
      'The pods it is about',
      (o) => selectorText(fieldAt(o, ['spec', 'podSelector'])) || '<none>',
    ),
    AGE_COLUMN,
  ],
  defaults: (o) => {
    const spec = { podSelector: {}, ...o.spec } as Record<string, unknown>;
    spec.policyTypes ??= Array.isArray(spec.egress) && spec.egress.length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
    o.spec = spec;
  },
  // Who relies on a policy must not believe it is in force.
  warnings: () => ['NetworkPolicy is kept, but not enforced: all traffic is let through'],
};

const ingressClass: Resource = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'IngressClass',
  plural: 'ingressclasses',
  singular: 'ingressclass',
  namespaced: false,
  schema: object({ metadata, spec: object({ controller: string, parameters: object({}) }) }),
  columns: [
    NAME_COLUMN,
    column('Controller', 'Who serves it', (o) => textAt(o, 'spec', 'controller')),
    column('Parameters', 'What it is told', (o) => {
      const kind = textAt(o, 'spec', 'parameters', 'kind');
      return kind ? `${kind}/${textAt(o, 'spec', 'parameters', 'name')}` : '<none>';
    }),
    AGE_COLUMN,
  ],
};

const backend = object({
  service: object({ name: string, port: object({ number: integer, name: string }) }, ['name']),
  resource: object({}),
});

const ingress: Resource = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'Ingress',
  plural: 'ingresses',
  singular: 'ingress',
  shortNames: ['ing'],
  namespaced: true,
  status: true,
  schema: object({
    metadata,
    spec: object({
      ingressClassName: string,
      defaultBackend: backend,
      tls: list(object({ hosts: list(string), secretName: string })),
      rules: list(
        object({
          host: string,
          http: object({
            paths: list(
              object({ path: string, pathType: oneOf('Exact', 'Prefix', 'ImplementationSpecific'), backend }, [
                'pathType',
                'backend',
              ]),
            ),
          }),
        }),
      ),
    }),
  }),
  columns: [
    NAME_COLUMN,
    column('Class', 'Who serves it', (o) => textAt(o, 'spec', 'ingressClassName') || '<none>'),
    column('Hosts', 'Names that it answers to', (o) => {
      const hosts = listAt(o, 'spec', 'rules').map((r) => String(r.host ?? '*'));
      return shortened(hosts, '*');
    }),
    column('Address', 'Where it is reached', (o) => {
      return listAt(o, 'status', 'loadBalancer', 'ingress')
        .map((i) => String(i.ip ?? i.hostname))
        .join(',');
    }),
    column('Ports', 'Of its addresses', (o) => (listAt(o, 'spec', 'tls').length > 0 ? '80, 443' : '80')),
    AGE_COLUMN,
  ],
  rules: (o) => {
    if (fieldAt(o, ['spec', 'defaultBackend']) || listAt(o, 'spec', 'rules').length > 0) return [];
    return [{ path: ['spec'], message: 'either `defaultBackend` or `rules` must be specified' }];
  },
  warnings: () => ['Ingress is kept, but not served: reach its Services by NodePort or LoadBalancer'],
};

const lease: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  singular: 'lease',
  namespaced: true,
  schema: object({
    metadata,
    spec: object({
      holderIdentity: string,
      leaseDurationSeconds: { type: 'integer', minimum: 1 },
      acquireTime: string,
      renewTime: string,
      leaseTransitions: integer,
    }),
  }),
  heartbeat: true,
  columns: [NAME_COLUMN, column('Holder', 'Who has it', (o) => textAt(o, 'spec', 'holderIdentity')), AGE_COLUMN],
};

export const SMALLER_GROUPS: readonly Resource[] = [endpointSlice, networkPolicy, ingress, ingressClass, lease];
