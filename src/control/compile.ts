/**
 * From the cluster's model to one host's forwarding tables: third stage of the state flow. Pure: the same model,
 * context and memory give the same tables, whatever the order of anything. What must stay the same from one
 * generation to the next (service ids, epochs, the generation itself) is carried in the memory that goes in and out.
 */
import type { Problem } from '../kube/problem.ts';
import type { Tables } from '../tables/tables.ts';
import type { ClusterModel, ClusterSettings } from './model.ts';
import type { KernelRoute } from './overlay-backend.ts';

export interface HostContext extends ClusterSettings {
  nodeName: string;
  backend: 'vxlan' | 'host-gw';
  vni: number;
  udpPort: number;
  /** MTU of pods and of the host port. */
  podMtu: number;
  /** The ports of the pods that run here: from FIRST_POD_PORT up. */
  ports: readonly LocalPort[];
}

export interface LocalPort {
  id: number;
  namespace: string;
  name: string;
}

/** Ids of the ports that every host has. */
export const HOST_PORT = 0;
export const OVERLAY_PORT = 1;
export const OVERLAY_TAP_PORT = 2;
export const FIRST_POD_PORT = 16;

/** What one compilation leaves for the next. Immutable. */
export interface CompileMemory {
  generation: number;
  nextEpoch: number;
  /** By `namespace/name protocol/port`. */
  services: ReadonlyMap<string, { id: number; epoch: number; targets: string }>;
}

export interface Compiled {
  tables: Tables;
  memory: CompileMemory;
  /** Problems of this step; the model has its own. */
  problems: readonly Problem[];
  /** What the host's kernel must route beside the tables. */
  kernelRoutes: readonly KernelRoute[];
}

export function emptyMemory(): CompileMemory {
  return { generation: 0, nextEpoch: 1, services: new Map() };
}

export function compile(_model: ClusterModel, _host: HostContext, _previous: CompileMemory): Compiled {
  throw new Error('compile is being written');
}
