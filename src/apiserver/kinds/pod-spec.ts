/** A pod's spec, of a pod or in a template: by which keys its lists merge, and what it says where it says nothing. */
import { isJsonObject } from '../../kube/json-value.ts';
import { mapObjects } from './fields.ts';

const CONTAINER_LISTS = {
  ports: 'containerPort',
  env: 'name',
  volumeMounts: 'mountPath',
  volumeDevices: 'devicePath',
} as const;
/** Tolerations are none of them: they are one thing, as a node's taints are. */
const POD_LISTS = {
  volumes: 'name',
  imagePullSecrets: 'name',
  hostAliases: 'ip',
  topologySpreadConstraints: 'topologyKey',
  schedulingGates: 'name',
  resourceClaims: 'name',
} as const;

/** Merge keys of a pod's spec that stands at a path (patchMergeKey in k8s.io/api/core/v1). */
export function podMergeKeys(path: string): Record<string, string> {
  const keys: Record<string, string> = {};
  for (const [list, key] of Object.entries(POD_LISTS)) keys[`${path}.${list}`] = key;
  for (const containers of ['containers', 'initContainers', 'ephemeralContainers']) {
    keys[`${path}.${containers}`] = 'name';
    for (const [list, key] of Object.entries(CONTAINER_LISTS)) keys[`${path}.${containers}.${list}`] = key;
  }
  return keys;
}

type Fields = Record<string, unknown>;

/** Defaults (k8s.io/kubernetes pkg/apis/core/v1). It was not checked yet: what has a wrong type stays what it is. */
export function podSpecDefaults(spec: object | undefined): Fields {
  const out = filled({ terminationGracePeriodSeconds: 30, ...spec }, POD_DEFAULTS);
  for (const list of ['containers', 'initContainers']) change(out, list, containerDefaults);
  return out;
}

/** Those of a pod, beside what templates have already. */
export function podDefaults(spec: object | undefined): Fields {
  return { enableServiceLinks: true, ...podSpecDefaults(spec) };
}

const POD_DEFAULTS = {
  restartPolicy: 'Always',
  dnsPolicy: 'ClusterFirst',
  schedulerName: 'default-scheduler',
  securityContext: {},
};
const PROBE_DEFAULTS = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 };

function containerDefaults(container: Fields): Fields {
  const out = filled(container, {
    resources: {},
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: isLatest(container.image) ? 'Always' : 'IfNotPresent',
  });
  change(out, 'ports', (port) => filled(port, { protocol: 'TCP' }));
  change(out, 'env', (variable) =>
    changed(variable, 'valueFrom', (from) => changed(from, 'fieldRef', (ref) => filled(ref, { apiVersion: 'v1' }))),
  );
  for (const kind of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    change(out, kind, (probe) => {
      // kubectl follows the service as a pointer.
      const grpc = changed(filled(probe, PROBE_DEFAULTS), 'grpc', (call) => filled(call, { service: '' }));
      return changed(grpc, 'httpGet', getDefaults);
    });
  }
  change(out, 'lifecycle', (lifecycle) => {
    const withGet = (hook: Fields) => changed(hook, 'httpGet', getDefaults);
    return changed(changed(lifecycle, 'postStart', withGet), 'preStop', withGet);
  });
  return out;
}

const getDefaults = (get: Fields): Fields => filled(get, { path: '/', scheme: 'HTTP' });

/** An image is the latest where it has that tag, or neither tag nor digest. */
function isLatest(image: unknown): boolean {
  if (typeof image !== 'string' || image === '') return false;
  const [name = '', digest] = image.slice(image.lastIndexOf('/') + 1).split('@');
  const [, tag] = name.split(':');
  return tag === 'latest' || (tag === undefined && digest === undefined);
}

/** Go knows no difference between nothing, an empty text and 0, where a field is no pointer. */
function filled(own: Fields, defaults: Fields): Fields {
  const out = { ...defaults, ...own };
  for (const [field, value] of Object.entries(defaults)) {
    if (out[field] === undefined || out[field] === null || out[field] === '' || out[field] === 0) out[field] = value;
  }
  return out;
}

/** The object with one field's object, or each object of its list, changed. */
function changed(object: Fields, field: string, by: (value: Fields) => Fields): Fields {
  const out = { ...object };
  change(out, field, by);
  return out;
}

function change(object: Fields, field: string, by: (value: Fields) => Fields): void {
  const value = object[field];
  if (isJsonObject(value)) object[field] = by(value);
  else if (Array.isArray(value)) object[field] = mapObjects(value, by);
}
