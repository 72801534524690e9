/** Pods of a host for tests: plans out of a few words, in the host's network, so that no device is needed. */
import type { Container, PodSpec } from 'kubernetes-types/core/v1.js';
import { plainLog } from '../../src/agent/log.ts';
import { findTools } from '../../src/agent/pods/container-command.ts';
import { BUILT_IN_IMAGES } from '../../src/agent/pods/image-map.ts';
import { LocalPods } from '../../src/agent/pods/local-pods.ts';
import type { PodEvent } from '../../src/agent/pods/pod.ts';
import { type PodPlan, type PodPlanContext, planPod } from '../../src/agent/pods/pod-plan.ts';
import type { ClusterPod } from '../../src/control/model.ts';
import { loadNativeAddon } from '../../src/io/native-addon.ts';
import type { ConfigMap, NamespacedMeta } from '../../src/kube/objects.ts';
import { parseAddress } from '../../src/wire/address.ts';

export interface Wanted {
  spec?: Partial<PodSpec>;
  metadata?: Partial<NamespacedMeta>;
  configMaps?: ReadonlyMap<string, ConfigMap>;
}

/** A container's mounts are its own: only root may make them. */
export const needsRoot = process.getuid?.() === 0 ? false : 'only root may give a container its files';

export function podPlan(stateDir: string, name: string, containers: Container[], wanted: Wanted = {}): PodPlan {
  const address = parseAddress('127.0.0.1') as ClusterPod['address'];
  const pod: ClusterPod = {
    namespace: 'default',
    name,
    nodeName: 'hosta',
    address,
    addresses: [address],
    hostNetwork: true,
    hostname: name,
    labels: {},
    ready: true,
    object: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default', ...wanted.metadata },
      spec: { hostNetwork: true, terminationGracePeriodSeconds: 0, containers, ...wanted.spec },
    },
  };
  const context: PodPlanContext = {
    stateDir,
    nodeAddresses: ['127.0.0.1'],
    clusterDns: ['10.96.0.10'],
    clusterDomain: 'cluster.local',
    hostResolvConf: 'nameserver 10.96.0.10\n',
    hostEtcHosts: '127.0.0.1 localhost\n',
    mtu: 1450,
    configMaps: wanted.configMaps ?? new Map(),
    services: new Map(),
    images: BUILT_IN_IMAGES,
    allocatable: { processors: 1, memoryBytes: 1 },
  };
  return planPod(pod, context);
}

export function localPods(stateDir: string) {
  const dataplane = { attach: async () => {}, detach: async () => {} };
  const native = {
    openTun: () => {
      throw new Error('no device is wanted here');
    },
    openTcp: loadNativeAddon().openTcp,
    closeFd: () => {},
  };
  const env = { native, tools: findTools(), offloads: false, mergeBytes: 0, mergeBytes6: 0, report: () => {} };
  const lines: string[] = [];
  const events: PodEvent[] = [];
  const seen = { gone: 0, statuses: 0 };
  const log = plainLog('info', (line) => lines.push(line));
  const pods = new LocalPods(env, dataplane, stateDir, log, () => seen.gone++);
  pods.onEvent((event) => events.push(event));
  pods.onStatus(() => seen.statuses++);
  /** As the agent does it: first the networks, then the tables, then the containers. */
  const apply = async (plans: readonly PodPlan[], finished?: ReadonlyMap<string, string>) => {
    await pods.open(new Map(plans.map((plan) => [plan.key, plan])), finished);
    pods.start();
  };
  return { pods, lines, events, seen, apply };
}

export async function until(what: string, condition: () => boolean, limitMs = 8000): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
}
