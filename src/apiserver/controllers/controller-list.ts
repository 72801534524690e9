/** All controllers there are, with their settings: the one place that names them. */
import type { ClusterRanges } from '../../control/cluster-settings.ts';
import type { Clock } from './clock.ts';
import type { ControllerFactory } from './controller-set.ts';
import { DeploymentController } from './deployment.ts';
import { EndpointSlices } from './endpoint-slices.ts';
import { EndpointsController } from './endpoints.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { LoadBalancers } from './load-balancers.ts';
import { MirroredSlices } from './mirrored-slices.ts';
import { NamespaceController } from './namespace-controller.ts';
import { NodeLifecycle } from './node-lifecycle.ts';
import { NodeRanges, nodeRangeSettings } from './node-ranges.ts';
import { PodEviction } from './pod-eviction.ts';
import { ReplicaSetController } from './replica-set.ts';
import { Scheduler } from './scheduler.ts';
import { StatefulSetController } from './stateful-set.ts';

export interface ControllerSettings {
  /** The system's, if nothing else is said. */
  clock?: Clock;
  /** No other process can be at the store: nobody has to be waited for. */
  alone?: boolean;
  /** Silence after which nobody knows how a node is. */
  nodeMonitorGraceMs?: number;
  /** Lengths of nodes' prefixes: 24 and 64. */
  nodeMask4?: number;
  nodeMask6?: number;
}

/** Nodes renew their Leases every second. */
const NODE_MONITOR_GRACE_MS = 4000;
const NODE_MASK_4 = 24;
const NODE_MASK_6 = 64;

/** Throws SettingsError. */
export function allControllers(settings: ControllerSettings, ranges: ClusterRanges): ControllerFactory[] {
  const graceMs = settings.nodeMonitorGraceMs ?? NODE_MONITOR_GRACE_MS;
  const { cluster, service, pool } = ranges;
  const nodeRanges = nodeRangeSettings(cluster, settings.nodeMask4 ?? NODE_MASK_4, settings.nodeMask6 ?? NODE_MASK_6);
  return [
    (parts) => new DeploymentController(parts),
    (parts) => new ReplicaSetController(parts),
    (parts) => new StatefulSetController(parts),
    (parts) => new Scheduler(parts),
    (parts) => new EndpointSlices(parts),
    (parts) => new EndpointsController(parts),
    (parts) => new MirroredSlices(parts),
    (parts) => new GarbageCollector(parts),
    (parts) => new NamespaceController(parts),
    (parts) => new LoadBalancers(parts, { pool, inner: [...cluster, ...service] }),
    (parts) => new NodeRanges(parts, nodeRanges),
    (parts) => new NodeLifecycle(parts, { graceMs }),
    (parts) => new PodEviction(parts),
  ];
}
