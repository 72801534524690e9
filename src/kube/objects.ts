/**
 * The Kubernetes objects that the network reads, as they are after validation: what the schemas require is required
 * in the types, so that nothing downstream checks again. First stage of the state flow: watch -> model -> compile.
 * Shapes are those of the Kubernetes API, core/v1 and discovery/v1.
 */
import type * as core from 'kubernetes-types/core/v1.js';
import type * as discovery from 'kubernetes-types/discovery/v1.js';
import type * as meta from 'kubernetes-types/meta/v1.js';

export interface NamedMeta extends meta.ObjectMeta {
  name: string;
}

export interface NamespacedMeta extends NamedMeta {
  /** Filled with `default` where the manifest leaves it out. */
  namespace: string;
}

export interface Node extends Omit<core.Node, 'metadata'> {
  apiVersion: 'v1';
  kind: 'Node';
  metadata: NamedMeta;
}

export interface Pod extends Omit<core.Pod, 'metadata' | 'spec'> {
  apiVersion: 'v1';
  kind: 'Pod';
  metadata: NamespacedMeta;
  spec: core.PodSpec;
}

export interface Service extends Omit<core.Service, 'metadata' | 'spec'> {
  apiVersion: 'v1';
  kind: 'Service';
  metadata: NamespacedMeta;
  spec: core.ServiceSpec;
}

export interface Endpoints extends Omit<core.Endpoints, 'metadata'> {
  apiVersion: 'v1';
  kind: 'Endpoints';
  metadata: NamespacedMeta;
}

export interface EndpointSlice extends Omit<discovery.EndpointSlice, 'metadata' | 'addressType' | 'endpoints'> {
  apiVersion: 'discovery.k8s.io/v1';
  kind: 'EndpointSlice';
  metadata: NamespacedMeta;
  addressType: 'IPv4' | 'IPv6' | 'FQDN';
  /** Absent where an API server wrote null for a slice of nobody. */
  endpoints?: readonly discovery.Endpoint[];
}

export interface ConfigMap extends Omit<core.ConfigMap, 'metadata'> {
  apiVersion: 'v1';
  kind: 'ConfigMap';
  metadata: NamespacedMeta;
}

export type KubeObject = Node | Pod | Service | Endpoints | EndpointSlice | ConfigMap;
export type KubeKind = KubeObject['kind'];

/** All objects in force. Nodes by name, the others by `namespace/name`. */
export interface ObjectSet {
  nodes: ReadonlyMap<string, Node>;
  pods: ReadonlyMap<string, Pod>;
  services: ReadonlyMap<string, Service>;
  endpoints: ReadonlyMap<string, Endpoints>;
  endpointSlices: ReadonlyMap<string, EndpointSlice>;
  configMaps: ReadonlyMap<string, ConfigMap>;
  /** Where each object was written (`file.yaml:12`), by objectTitle; for the problems found later. */
  places?: ReadonlyMap<string, string>;
  /** Somebody writes EndpointSlices for every service: who stands behind one is in them, and nowhere else. */
  slicesOnly?: boolean;
}

/** What every object says of itself, whatever its kind. */
export interface NamedObject {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string };
}

/** `name` of a node, `namespace/name` of what stands in a namespace: the key in ObjectSet. */
export function objectKey({ metadata }: NamedObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/** `Service default/web`, as messages name it. */
export function objectTitle(object: NamedObject): string {
  return `${object.kind} ${objectKey(object)}`;
}

/** What tells an object from all others: groups may have kinds of one name. In whatever version it is written. */
export function objectIdentity(object: NamedObject): string {
  const slash = object.apiVersion.lastIndexOf('/');
  return `${object.apiVersion.slice(0, Math.max(0, slash))}/${objectTitle(object)}`;
}

/** An ObjectSet of a list. Of several objects with one title the last wins. */
export function objectSet(objects: Iterable<KubeObject>, places?: ReadonlyMap<string, string>): ObjectSet {
  const nodes = new Map<string, Node>();
  const pods = new Map<string, Pod>();
  const services = new Map<string, Service>();
  const endpoints = new Map<string, Endpoints>();
  const endpointSlices = new Map<string, EndpointSlice>();
  const configMaps = new Map<string, ConfigMap>();
  for (const object of objects) {
    const key = objectKey(object);
    if (object.kind === 'Node') nodes.set(key, object);
    else if (object.kind === 'Pod') pods.set(key, object);
    else if (object.kind === 'Service') services.set(key, object);
    else if (object.kind === 'Endpoints') endpoints.set(key, object);
    else if (object.kind === 'EndpointSlice') endpointSlices.set(key, object);
    else configMaps.set(key, object);
  }
  const set = { nodes, pods, services, endpoints, endpointSlices, configMaps };
  return places ? { ...set, places } : set;
}
