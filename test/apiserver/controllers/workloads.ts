/** Objects that the controllers' tests write. */
import type { Written } from './cluster-store.ts';

export interface NodeWords {
  labels?: Record<string, string>;
  taints?: { key: string; value?: string; effect: string }[];
  unschedulable?: boolean;
  ready?: boolean;
  allocatable?: Record<string, string>;
}

export function node(name: string, words: NodeWords = {}): { object: Written; status: Record<string, unknown> } {
  const { labels = {}, taints, unschedulable, ready = true, allocatable } = words;
  return {
    object: {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: { 'kubernetes.io/hostname': name, ...labels } },
      spec: { ...(taints ? { taints } : {}), ...(unschedulable ? { unschedulable } : {}) },
    },
    status: {
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
      ...(allocatable ? { allocatable } : {}),
    },
  };
}

export function pod(name: string, spec: Record<string, unknown> = {}, metadata: Record<string, unknown> = {}): Written {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...metadata },
    spec: { containers: [{ name: 'c', image: 'nginx' }], ...spec },
  };
}

/** Of ReplicaSet, Deployment or StatefulSet. */
export function workload(kind: string, name: string, spec: Record<string, unknown> = {}, image = 'one'): Written {
  return {
    apiVersion: 'apps/v1',
    kind,
    metadata: { name },
    spec: {
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image }] } },
      ...spec,
    },
  };
}
