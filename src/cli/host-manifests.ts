/** `weft tool host-manifests`: what hosts that are started one by one need beside their manifests, as YAML. */
import { formatProblem } from '../kube/problem.ts';
import { addedHosts, objectsOf } from '../lab/added-hosts.ts';
import { parseLabFile } from '../lab/lab-file.ts';
import { resolveTopology } from '../lab/topology.ts';

interface Options {
  hosts: number;
  cidr: string;
  beside?: string[];
  examplePods?: boolean;
}

export async function hostManifests({ hosts, cidr, beside = [], examplePods = false }: Options): Promise<void> {
  const { lab, problems } = parseLabFile(JSON.stringify({ underlay: { cidr } }), '--cidr');
  const resolved = resolveTopology(lab, { hosts });
  const wrong = [...problems, ...resolved.problems];
  if (wrong.length > 0) throw new Error(wrong.map(formatProblem).join('; '));
  process.stdout.write(addedHosts(await objectsOf(beside), { hosts: resolved.topology.hosts, examplePods }));
}
