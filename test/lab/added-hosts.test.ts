/** Hosts that are started one by one: each writes the same Nodes and pods beside the same manifests. */
import t from 'tap';
import { parseManifest } from '../../src/kube/manifest.ts';
import { addedHosts, objectsOf } from '../../src/lab/added-hosts.ts';
import { resolveTopology } from '../../src/lab/topology.ts';

const hosts = (count: number) => resolveTopology({}, { hosts: count }).topology.hosts;

function titles(text: string): string[] {
  const { objects, problems } = parseManifest(text, 'hosts.yaml');
  t.same(problems, []);
  return objects.map(({ object }) => `${object.kind} ${object.metadata.name}`);
}

t.test('beside pods alone, every host becomes a Node, and those without pods get the two of the example', async (t) => {
  const mounted = await objectsOf(['compose/manifests']);
  t.equal(mounted.length, 7);
  const text = addedHosts(mounted, { hosts: hosts(4), examplePods: true });
  t.same(titles(text), ['Node hosta', 'Node hostb', 'Node hostc', 'Node hostd', 'Pod web-3', 'Pod client-3']);
  t.same(
    titles(addedHosts(mounted, { hosts: hosts(4), examplePods: false })),
    ['hosta', 'hostb', 'hostc', 'hostd'].map((name) => `Node ${name}`),
  );
});

t.test('beside Nodes, only what they lack', async (t) => {
  const mounted = await objectsOf(['examples/default', 'examples/nothing']);
  t.equal(addedHosts(mounted, { hosts: hosts(3), examplePods: true }), '');
  t.same(titles(addedHosts(mounted, { hosts: hosts(4), examplePods: false })), ['Node hostd']);
});
