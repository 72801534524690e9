/** All controllers there are, with their settings: the one place that names them. */
import type { Clock } from './clock.ts';
import type { ControllerFactory } from './controller-set.ts';
import { DeploymentController } from './deployment.ts';
import { EndpointSlices } from './endpoint-slices.ts';
import { EndpointsController } from './endpoints.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { MirroredSlices } from './mirrored-slices.ts';
import { NamespaceController } from './namespace-controller.ts';
import { ReplicaSetController } from './replica-set.ts';
import { Scheduler } from './scheduler.ts';
import { StatefulSetController } from './stateful-set.ts';

export interface ControllerSettings {
  /** The system's, if nothing else is said. */
  clock?: Clock;
  /** No other process can be at the store: nobody has to be waited for. */
  alone?: boolean;
}

export function allControllers(_settings: ControllerSettings): ControllerFactory[] {
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
  ];
}
