/** The plans of all pods of this host, from the model and what the host is: what LocalPods brings about. */
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { oneOfEachFamily } from '../../control/cluster-nodes.ts';
import { clusterRanges } from '../../control/cluster-settings.ts';
import type { ClusterModel, ClusterNode } from '../../control/model.ts';
import type { ObjectSet } from '../../kube/objects.ts';
import { formatAddress } from '../../wire/address.ts';
import type { AgentSettings } from '../options.ts';
import { type PodPlan, type PodPlanContext, planPod } from './pod-plan.ts';

/** By `namespace/name`; none where another runtime runs them. */
export function planPods(
  model: ClusterModel,
  node: ClusterNode,
  { configMaps }: ObjectSet,
  settings: AgentSettings,
  host: Pick<PodPlanContext, 'hostResolvConf' | 'mtu'>,
): Map<string, PodPlan> {
  const plans = new Map<string, PodPlan>();
  if (!settings.runsPods) return plans;
  const context: PodPlanContext = {
    ...host,
    stateDir: settings.stateDir,
    nodeAddresses: oneOfEachFamily(node.addresses).map(formatAddress),
    clusterDns: clusterRanges(settings).dns.map(formatAddress),
    clusterDomain: settings.clusterDomain,
    hostEtcHosts: readText('/etc/hosts'),
    configMaps,
    services: model.services,
    images: settings.images,
    allocatable: { processors: availableParallelism(), memoryBytes: totalmem() },
  };
  for (const [key, pod] of model.pods) if (pod.nodeName === settings.node) plans.set(key, planPod(pod, context));
  return plans;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
