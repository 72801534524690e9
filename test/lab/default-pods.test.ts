import { readFileSync } from 'node:fs';
import t from 'tap';
import { parseManifest } from '../../src/kube/manifest.ts';
import { formatProblem } from '../../src/kube/problem.ts';
import { defaultPods, nodeManifests } from '../../src/lab/default-pods.ts';
import { parseLabFile } from '../../src/lab/lab-file.ts';
import { resolveTopology } from '../../src/lab/topology.ts';

const { hosts } = resolveTopology({}).topology;

t.test('the example pods are what people find in examples/', (t) => {
  t.equal(readFileSync('examples/default/web.yaml', 'utf8'), defaultPods(hosts));
  t.equal(readFileSync('examples/default/nodes.yaml', 'utf8'), nodeManifests(hosts));
  t.end();
});

t.test('they are valid objects: two pods a host and a service', (t) => {
  for (const count of [1, 3, 30]) {
    const { topology } = resolveTopology({}, { hosts: count });
    const pods = parseManifest(defaultPods(topology.hosts), 'web.yaml');
    t.same(pods.problems.map(formatProblem), []);
    t.equal(pods.objects.filter(({ object }) => object.kind === 'Pod').length, 2 * count);
    t.equal(pods.objects.filter(({ object }) => object.kind === 'Service').length, 1);
    const nodes = parseManifest(nodeManifests(topology.hosts), 'nodes.yaml');
    t.same(nodes.problems.map(formatProblem), []);
    t.equal(nodes.objects.length, count);
  }
  t.end();
});

t.test('the lab files in examples/ are good', (t) => {
  for (const file of ['examples/host-gw.yaml', 'examples/jumbo.yaml']) {
    const { lab, problems } = parseLabFile(readFileSync(file, 'utf8'), file);
    t.same(problems.map(formatProblem), []);
    t.same(resolveTopology(lab, {}, file).problems.map(formatProblem), []);
  }
  t.end();
});
