/**
 * The hosts of a lab that manifests do not name: Node objects for them, and the example's pods where nobody has placed
 * any. For labs whose hosts are started one by one (containers, machines): each works out the same from the same files.
 */

import { parseManifest } from '../kube/manifest.ts';
import { listManifests, readManifestFile } from '../kube/manifest-files.ts';
import type { KubeObject } from '../kube/objects.ts';
import { exampleHostPods, nodeManifests } from './default-pods.ts';
import type { LabHost } from './topology.ts';

export interface AddedHosts {
  hosts: readonly LabHost[];
  /** Also the example's two pods, for hosts that run none. */
  examplePods: boolean;
}

/** YAML of what is missing beside `objects`; '' where nothing is. */
export function addedHosts(objects: readonly KubeObject[], { hosts, examplePods }: AddedHosts): string {
  const named = new Set(objects.flatMap((each) => (each.kind === 'Node' ? [each.metadata.name] : [])));
  const busy = new Set(objects.flatMap((each) => (each.kind === 'Pod' ? [each.spec.nodeName] : [])));
  const nodes = nodeManifests(hosts.filter((host) => !named.has(host.name)));
  const pods = hosts.flatMap((host, i) => (examplePods && !busy.has(host.name) ? exampleHostPods(host, i) : []));
  return [...(nodes === '' ? [] : [nodes]), ...pods].join('---\n');
}

/** All objects of manifests, files or folders; what cannot be read is the agent's to report. */
export async function objectsOf(paths: readonly string[]): Promise<KubeObject[]> {
  const objects: KubeObject[] = [];
  for (const file of (await listManifests(paths)).files) {
    const reading = await readManifestFile(file, undefined);
    if (reading.kind !== 'text') continue;
    for (const { object } of parseManifest(reading.text, file).objects) objects.push(object);
  }
  return objects;
}
