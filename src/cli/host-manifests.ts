/** `weft tool host-manifests`: what hosts that are started one by one need beside their manifests, as YAML. */

import { hasIpv6 } from '../agent/host/host-ipv6.ts';
import { formatProblem } from '../kube/problem.ts';
import { addedHosts, objectsOf } from '../lab/added-hosts.ts';
import { parseLabFile } from '../lab/lab-file.ts';
import { resolveTopology } from '../lab/topology.ts';

interface Options {
  hosts: number;
  cidr: string;
  cidr6?: string;
  beside?: string[];
  examplePods?: boolean;
}

export async function hostManifests({ hosts, cidr, cidr6, beside = [], examplePods = false }: Options): Promise<void> {
  const { lab, problems } = parseLabFile(
    JSON.stringify({ underlay: cidr6 ? { cidr, cidr6 } : { cidr, family: 'ipv4' } }),
    '--cidr',
  );
  const resolved = resolveTopology(lab, { hosts, ipv6: hasIpv6() });
  const wrong = [...problems, ...resolved.problems];
  if (wrong.length > 0) throw new Error(wrong.map(formatProblem).join('; '));
  process.stdout.write(addedHosts(await objectsOf(beside), { hosts: resolved.topology.hosts, examplePods }));
}
