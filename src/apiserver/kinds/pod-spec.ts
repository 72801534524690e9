/** A pod's spec, of a pod or in a template: by which keys its lists merge, and what it says where it says nothing. */
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

/** Defaults. It was not checked yet: what has a wrong type stays what it is. */
export function podSpecDefaults(spec: object | undefined): Record<string, unknown> {
  const own = { restartPolicy: 'Always', dnsPolicy: 'ClusterFirst', terminationGracePeriodSeconds: 30 };
  const out: Record<string, unknown> = { ...own, ...spec };
  for (const field of ['containers', 'initContainers']) {
    out[field] = mapObjects(out[field], ({ ports, ...container }) => ({
      ...container,
      ...(ports === undefined ? {} : { ports: mapObjects(ports, (port) => ({ protocol: 'TCP', ...port })) }),
    }));
    if (out[field] === undefined) delete out[field];
  }
  return out;
}

/** Those of a pod, beside what templates have already. */
export function podDefaults(spec: object | undefined): Record<string, unknown> {
  return { schedulerName: 'default-scheduler', enableServiceLinks: true, ...podSpecDefaults(spec) };
}
