/**
 * JSON Schemas of the objects the network reads, written by hand after core/v1 and discovery/v1: the fields that are used are typed
 * strictly, all others are tolerated as a real API server tolerates them. `description` is the sentence people read
 * when an `anyOf` or a `format` fails. Rules between fields are in object-rules.ts.
 */
import type { SchemaObject } from 'ajv';
import { NODE_PLACEMENT, POD_PLACEMENT, resources } from './placement-schema.ts';

const string = { type: 'string' } as const;
const boolean = { type: 'boolean' } as const;
const text = (format: string): SchemaObject => ({ type: 'string', format });
const list = (items: SchemaObject): SchemaObject => ({ type: 'array', items });
const object = (properties: Record<string, SchemaObject>, required: string[] = []): SchemaObject => ({
  type: 'object',
  properties,
  required,
});
const oneOf = (...values: string[]): SchemaObject => ({ type: 'string', enum: values });

const portNumber: SchemaObject = { type: 'integer', minimum: 1, maximum: 65535 };
/** As an API server writes it where there is none yet. */
const portOrNone: SchemaObject = { type: 'integer', minimum: 0, maximum: 65535 };
const protocol: SchemaObject = { type: 'string', format: 'protocol' };
const targetPort: SchemaObject = {
  anyOf: [portNumber, text('port-name')],
  description: 'must be a port number between 1 and 65535 or the name of a container port',
};
const ipOrEmpty: SchemaObject = {
  anyOf: [{ type: 'string', maxLength: 0 }, text('ip')],
  description: 'must be an IP address',
};

const metadata = (nameFormat: string): SchemaObject =>
  object(
    {
      name: text(nameFormat),
      namespace: text('dns-label'),
      labels: {
        type: 'object',
        propertyNames: text('label-key'),
        additionalProperties: text('label-value'),
      },
      annotations: { type: 'object', additionalProperties: string },
    },
    ['name'],
  );

const node = object(
  {
    metadata: metadata('dns-name'),
    spec: object({ podCIDR: text('cidr'), podCIDRs: list(text('cidr')), ...NODE_PLACEMENT }),
    status: object({
      addresses: list(object({ type: string, address: string }, ['type', 'address'])),
      conditions: list(object({ type: string, status: oneOf('True', 'False', 'Unknown') }, ['type', 'status'])),
    }),
  },
  ['metadata'],
);

const count = (minimum: number): SchemaObject => ({ type: 'integer', minimum });
const httpGet = object(
  {
    path: string,
    host: string,
    scheme: oneOf('HTTP', 'HTTPS'),
    port: targetPort,
    httpHeaders: list(object({ name: string, value: string }, ['name'])),
  },
  ['port'],
);
const exec = object({ command: list(string) });
const probe = object({
  exec,
  httpGet,
  tcpSocket: object({ host: string, port: targetPort }, ['port']),
  grpc: object({ port: portNumber, service: string }, ['port']),
  initialDelaySeconds: count(0),
  periodSeconds: count(0),
  timeoutSeconds: count(0),
  successThreshold: count(0),
  failureThreshold: count(0),
});
const hook = object({ exec, httpGet, sleep: object({ seconds: count(0) }, ['seconds']) });

const reference = { name: string, optional: boolean };
const keyReference = object({ ...reference, key: string }, ['key']);
const valueFrom = object({
  fieldRef: object({ fieldPath: string }, ['fieldPath']),
  resourceFieldRef: object({ containerName: string, resource: string }, ['resource']),
  configMapKeyRef: keyReference,
  secretKeyRef: keyReference,
});

const container = object(
  {
    name: text('dns-label'),
    image: string,
    command: list(string),
    args: list(string),
    workingDir: string,
    env: list(object({ name: { type: 'string', minLength: 1 }, value: string, valueFrom }, ['name'])),
    envFrom: list(object({ prefix: string, configMapRef: object(reference), secretRef: object(reference) })),
    resources,
    livenessProbe: probe,
    readinessProbe: probe,
    startupProbe: probe,
    lifecycle: object({ postStart: hook, preStop: hook }),
    restartPolicy: string,
    ports: list(
      object({ containerPort: portNumber, hostPort: portNumber, name: text('port-name'), protocol }, ['containerPort']),
    ),
  },
  ['name'],
);

const pod = object(
  {
    metadata: metadata('dns-name'),
    spec: object(
      {
        nodeName: text('dns-name'),
        ...POD_PLACEMENT,
        hostNetwork: boolean,
        hostname: text('dns-label'),
        subdomain: text('dns-label'),
        restartPolicy: oneOf('Always', 'OnFailure', 'Never'),
        terminationGracePeriodSeconds: { type: 'integer', minimum: 0 },
        enableServiceLinks: boolean,
        readinessGates: list(object({ conditionType: string }, ['conditionType'])),
        dnsPolicy: oneOf('ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'),
        dnsConfig: object({
          nameservers: list(text('ip')),
          searches: list(string),
          options: list(object({ name: { type: 'string', minLength: 1 }, value: string }, ['name'])),
        }),
        hostAliases: list(object({ ip: text('ip'), hostnames: list(text('dns-name')) }, ['ip'])),
        initContainers: list(container),
        containers: { type: 'array', items: container, minItems: 1 },
      },
      ['containers'],
    ),
    status: object({
      podIP: ipOrEmpty,
      podIPs: list(object({ ip: ipOrEmpty })),
      phase: oneOf('Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'),
      conditions: list(object({ type: string, status: oneOf('True', 'False', 'Unknown') }, ['type', 'status'])),
    }),
  },
  ['metadata', 'spec'],
);

const clusterIp: SchemaObject = {
  anyOf: [{ type: 'string', enum: ['', 'None'] }, text('ip')],
  description: 'must be an IP address, "None" or empty',
};

const service = object(
  {
    metadata: metadata('dns-1035-label'),
    spec: object({
      type: oneOf('ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'),
      clusterIP: clusterIp,
      clusterIPs: list(clusterIp),
      // It may end in a dot.
      externalName: text('absolute-name'),
      externalIPs: list(text('ip')),
      ipFamilies: { type: 'array', items: oneOf('IPv4', 'IPv6'), maxItems: 2 },
      ipFamilyPolicy: oneOf('SingleStack', 'PreferDualStack', 'RequireDualStack'),
      loadBalancerIP: ipOrEmpty,
      loadBalancerSourceRanges: list(text('cidr')),
      loadBalancerClass: string,
      allocateLoadBalancerNodePorts: boolean,
      healthCheckNodePort: portOrNone,
      selector: { type: 'object', propertyNames: text('label-key'), additionalProperties: text('label-value') },
      publishNotReadyAddresses: boolean,
      sessionAffinity: oneOf('None', 'ClientIP'),
      sessionAffinityConfig: object({
        clientIP: object({ timeoutSeconds: { type: 'integer', minimum: 1, maximum: 86_400 } }),
      }),
      internalTrafficPolicy: oneOf('Cluster', 'Local'),
      externalTrafficPolicy: oneOf('Cluster', 'Local'),
      ports: list(
        object({ name: text('dns-label'), protocol, port: portNumber, targetPort, nodePort: portOrNone }, ['port']),
      ),
    }),
    status: object({ loadBalancer: object({ ingress: list(object({ ip: ipOrEmpty, hostname: string })) }) }),
  },
  ['metadata', 'spec'],
);

const nameOrEmpty: SchemaObject = {
  anyOf: [{ type: 'string', maxLength: 0 }, text('dns-label')],
  description: 'must be a DNS-1123 label: at most 63 of a-z, 0-9 and "-", not at its ends',
};

const endpointAddresses = list(
  object({ ip: text('ip'), hostname: text('dns-label'), nodeName: text('dns-name'), targetRef: object({}) }, ['ip']),
);

const endpoints = object(
  {
    metadata: metadata('dns-name'),
    subsets: list(
      object({
        addresses: endpointAddresses,
        notReadyAddresses: endpointAddresses,
        ports: list(object({ name: text('dns-label'), port: portNumber, protocol }, ['port'])),
      }),
    ),
  },
  ['metadata'],
);

/** Absent: ready and serving, not terminating. */
const conditions = object({ ready: boolean, serving: boolean, terminating: boolean });

const endpointSlice = object(
  {
    metadata: metadata('dns-name'),
    addressType: oneOf('IPv4', 'IPv6', 'FQDN'),
    endpoints: {
      type: 'array',
      maxItems: 1000,
      items: object(
        {
          addresses: { type: 'array', items: string, minItems: 1, maxItems: 100 },
          conditions,
          hostname: text('dns-label'),
          nodeName: text('dns-name'),
          targetRef: object({}),
        },
        ['addresses'],
      ),
    },
    ports: list(object({ name: nameOrEmpty, port: portNumber, protocol })),
  },
  ['metadata', 'addressType'],
);

const configMap = object(
  {
    metadata: metadata('dns-name'),
    data: { type: 'object', additionalProperties: string },
    binaryData: { type: 'object', additionalProperties: string },
    immutable: boolean,
  },
  ['metadata'],
);

/** By kind. */
export const SCHEMAS = {
  Node: node,
  Pod: pod,
  Service: service,
  Endpoints: endpoints,
  EndpointSlice: endpointSlice,
  ConfigMap: configMap,
} as const;

/** The API group and version in which each kind is read. */
export const API_VERSIONS: Readonly<Record<keyof typeof SCHEMAS, string>> = {
  Node: 'v1',
  Pod: 'v1',
  Service: 'v1',
  Endpoints: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
  ConfigMap: 'v1',
};
