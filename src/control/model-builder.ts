/**
 * From the objects in force to the model: second stage of the state flow. Every address is parsed once, here. Pure, the
 * same for any order of the objects, and the same on every host that reads them.
 */
import type { ObjectSet, Pod } from '../kube/objects.ts';
import { compareProblems, type Problem } from '../kube/problem.ts';
import type { Words } from '../wire/address.ts';
import { buildNodes } from './cluster-nodes.ts';
import { buildServices } from './cluster-services.ts';
import { type ClusterRanges, type ClusterSettings, clusterRanges } from './cluster-settings.ts';
import type { ClusterModel, ClusterNode, ClusterPod } from './model.ts';
import { assignPodAddresses } from './pod-addresses.ts';
import { ProblemList } from './problem-list.ts';

/** What a model's nodes and pods were made of, and what was wrong with it: while that is the same, so are they. */
interface Grounds {
  objects: ObjectSet;
  settings: ClusterSettings;
  problems: readonly Problem[];
}

const groundsOf = new WeakMap<ClusterModel, Grounds>();

/**
 * Throws SettingsError; nothing in the objects makes it throw. `before`: an earlier model, out of which nodes and pods
 * are taken where their objects are the very same; endpoints change more often than they do.
 */
export function buildModel(objects: ObjectSet, settings: ClusterSettings, before?: ClusterModel): ClusterModel {
  const ranges = clusterRanges(settings);
  const known = before && groundsOf.get(before);
  const same =
    known && before && isSameGround(known, objects, settings) ? { ...before, problems: known.problems } : undefined;
  const { nodes, pods, problems: placing } = same ?? placed(objects, ranges);
  const problems = new ProblemList(objects.places);
  const services = buildServices(objects, { nodes, pods, ranges }, problems);
  const model = { nodes, pods, services, problems: [...placing, ...problems.sorted()].sort(compareProblems) };
  groundsOf.set(model, { objects, settings, problems: placing });
  return model;
}

function placed(objects: ObjectSet, ranges: ClusterRanges): Pick<ClusterModel, 'nodes' | 'pods' | 'problems'> {
  const problems = new ProblemList(objects.places);
  const nodes = buildNodes(objects.nodes, ranges, problems);
  const pods = buildPods(objects, nodes, problems);
  return { nodes, pods, problems: problems.sorted() };
}

function isSameGround(known: Grounds, objects: ObjectSet, settings: ClusterSettings): boolean {
  const { places = NO_PLACES } = objects;
  const { places: before = NO_PLACES } = known.objects;
  return (
    known.settings === settings &&
    (places === before || (places.size === 0 && before.size === 0)) &&
    hasSameValues(known.objects.nodes, objects.nodes) &&
    hasSameValues(known.objects.pods, objects.pods)
  );
}

const NO_PLACES: ReadonlyMap<string, string> = new Map();

function hasSameValues<T>(a: ReadonlyMap<string, T>, b: ReadonlyMap<string, T>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}

function buildPods(
  objects: ObjectSet,
  nodes: ReadonlyMap<string, ClusterNode>,
  problems: ProblemList,
): Map<string, ClusterPod> {
  // A pod that has finished holds no address: another may have it by now.
  const living = new Map(
    [...objects.pods].filter(([, p]) => p.status?.phase !== 'Succeeded' && p.status?.phase !== 'Failed'),
  );
  const addresses = assignPodAddresses(nodes, living, problems);
  const out = new Map<string, ClusterPod>();
  for (const key of [...addresses.keys()].sort()) {
    const object = living.get(key) as Pod;
    const own = addresses.get(key) as readonly Words[];
    const { metadata, spec } = object;
    out.set(key, {
      namespace: metadata.namespace,
      name: metadata.name,
      nodeName: spec.nodeName as string,
      address: own[0] as Words,
      addresses: own,
      hostNetwork: spec.hostNetwork === true,
      hostname: spec.hostname || metadata.name,
      labels: metadata.labels ?? {},
      ready: isReady(object),
      object,
      ...(spec.subdomain ? { subdomain: spec.subdomain } : {}),
    });
  }
  return out;
}

/** A manifest says nothing of readiness; what a status says counts. */
function isReady(pod: Pod): boolean {
  if (pod.metadata.deletionTimestamp) return false;
  const condition = pod.status?.conditions?.find((c) => c.type === 'Ready');
  return !condition || condition.status === 'True';
}
