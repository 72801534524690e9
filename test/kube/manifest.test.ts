/**
 * Manifests: every fault is named with file, line, object and field, and no fault takes down what stands beside it.
 */
import fc from 'fast-check';
import t from 'tap';
import { parseManifest } from '../../src/kube/manifest.ts';
import { type NamedObject, objectTitle } from '../../src/kube/objects.ts';
import { formatProblem } from '../../src/kube/problem.ts';

const titles = (text: string) => parseManifest(text, 'f.yaml').objects.map((o) => objectTitle(o.object));
const messages = (text: string) => parseManifest(text, 'f.yaml').problems.map(formatProblem);

const service = (spec: string) => `apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: ${spec}\n`;
const pod = (spec: string, metadata = '{name: a}') =>
  `apiVersion: v1\nkind: Pod\nmetadata: ${metadata}\nspec: ${spec}\n`;
const slice = (rest: string) =>
  `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: web-1}\n${rest}\n`;
const node = (rest: string) => `apiVersion: v1\nkind: Node\nmetadata: {name: hosta}\n${rest}\n`;

t.test('documents, lists and JSON', async (t) => {
  const text = `# a comment
---
${service('{ports: [{port: 80}]}')}---
---
${pod('{containers: [{name: c}]}', '{name: a, namespace: other, creationTimestamp: null}')}---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Node, metadata: {name: hosta}}
- {apiVersion: v1, kind: Endpoints, metadata: {name: web}}
`;
  t.same(messages(text), []);
  t.same(titles(text), ['Service default/web', 'Pod other/a', 'Node hosta', 'Endpoints default/web']);
  t.same(
    parseManifest(text, 'f.yaml').objects.map((o) => o.place),
    ['f.yaml:3', 'f.yaml:9', 'f.yaml:17', 'f.yaml:18'],
  );
  const json =
    '{"apiVersion":"v1","kind":"PodList","items":[{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c"}]}}]}';
  t.same(titles(json), ['Pod default/a'], 'items may leave their kind to the list');
  t.same(titles(''), []);
  t.same(messages('# nothing\n---\n---\n'), []);
});

t.test('kinds of one name are told apart by their groups', async (t) => {
  const kinds = {
    isKnown: () => true,
    isNamespaced: () => true,
    read: (value: unknown) => value as NamedObject,
  };
  const other = service('{}').replace('v1', 'serving.example.org/v1');
  const { objects, problems } = parseManifest([service('{}'), other, other].join('---\n'), 'f.yaml', kinds);
  t.same(
    objects.map(({ object }) => object.apiVersion),
    ['v1', 'serving.example.org/v1'],
  );
  t.match(problems.map(formatProblem), [/^f\.yaml:11: Service default\/web: stands already at f\.yaml:6/]);
});

t.test('an external name may end in a dot', async (t) => {
  t.same(messages(service('{type: ExternalName, externalName: db.example.com.}')), []);
  t.match(messages(service('{type: ExternalName, externalName: db.example.com..}')), [
    /externalName: must be a DNS-1123/,
  ]);
});

t.test('unknown fields are tolerated, null is absent', async (t) => {
  const text = pod('{containers: [{name: c, resources: {limits: {cpu: 1}}}], tolerations: null, nodeName: null}');
  t.same(messages(text), []);
  t.notMatch(JSON.stringify(parseManifest(text, 'f').objects), /nodeName|tolerations/);
});

t.test('every fault names its place', async (t) => {
  const cases: [string, string, string][] = [
    [
      'port 0',
      service('{ports: [{port: 0}]}'),
      'f.yaml:4: Service default/web: spec.ports[0].port: must be between 1 and 65535, not 0',
    ],
    [
      'port as text',
      service('{ports: [{port: "80"}]}'),
      'f.yaml:4: Service default/web: spec.ports[0].port: must be an integer, not "80"',
    ],
    [
      'port on its line',
      service('\n  ports:\n  - name: a\n    port: 70000'),
      'f.yaml:7: Service default/web: spec.ports[0].port: must be between 1 and 65535, not 70000',
    ],
    [
      'a union gives one sentence',
      service('{ports: [{port: 80, targetPort: 70000}]}'),
      'f.yaml:4: Service default/web: spec.ports[0].targetPort: must be a port number between 1 and 65535 or the name of a container port, not 70000',
    ],
    [
      'protocol',
      service('{ports: [{port: 80, protocol: DCCP}]}'),
      'f.yaml:4: Service default/web: spec.ports[0].protocol: must be TCP, UDP or SCTP, not "DCCP"',
    ],
    [
      'node port of no node port service',
      service('{ports: [{port: 80, nodePort: 30080}]}'),
      'f.yaml:4: Service default/web: spec.ports[0].nodePort: must be left out with type ClusterIP',
    ],
    [
      'double node port',
      service('{type: NodePort, ports: [{name: a, port: 80, nodePort: 30080}, {name: b, port: 81, nodePort: 30080}]}'),
      'f.yaml:4: Service default/web: spec.ports[1].nodePort: Duplicate value: "30080/TCP"',
    ],
    [
      'health check of a Cluster policy',
      service('{type: LoadBalancer, healthCheckNodePort: 30081, ports: [{port: 80}]}'),
      'f.yaml:4: Service default/web: spec.healthCheckNodePort: must be left out, unless type is LoadBalancer and externalTrafficPolicy is Local',
    ],
    [
      'affinity without end',
      service('{sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}, ports: [{port: 80}]}'),
      'f.yaml:4: Service default/web: spec.sessionAffinityConfig.clientIP.timeoutSeconds: must be between 1 and 86400, not 0',
    ],
    [
      'source ranges',
      service('{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0], ports: [{port: 80}]}'),
      'f.yaml:4: Service default/web: spec.loadBalancerSourceRanges[0]: must be a CIDR such as 10.244.1.0/24, not "10.0.0.0"',
    ],
    [
      'external address',
      service('{externalIPs: ["fe80::1"], ports: [{port: 80}]}'),
      'f.yaml:4: Service default/web: spec.externalIPs[0]: must not be a loopback, link-local, multicast, broadcast or unspecified address',
    ],
    [
      'families',
      service('{ipFamilies: [IPv6], clusterIPs: [10.96.0.5], ports: [{port: 80}]}'),
      'f.yaml:4: Service default/web: spec.clusterIPs[0]: must be IPv6, as ipFamilies[0] says',
    ],
    [
      'one family twice',
      service('{clusterIPs: [10.96.0.5, 10.96.0.6], ports: [{port: 80}]}'),
      'f.yaml:4: Service default/web: spec.clusterIPs[1]: must not be a second IPv4 address',
    ],
    [
      'single stack of two',
      service('{ipFamilyPolicy: SingleStack, ipFamilies: [IPv4, IPv6], ports: [{port: 80}]}'),
      'f.yaml:4: Service default/web: spec.ipFamilyPolicy: must not be SingleStack where two families are written',
    ],
    [
      'proxy mode',
      'apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  annotations: {weft.dev/proxy-mode: "ipvs:best"}\nspec: {ports: [{port: 80}]}\n',
      'f.yaml:5: Service default/web: metadata.annotations[weft.dev/proxy-mode]: must be one of failover, userspace, iptables, ipvs or ipvs:SCHEDULER, not "ipvs:best"',
    ],
    [
      'scheduler',
      'apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  annotations: {weft.dev/ipvs-scheduler: best}\nspec: {ports: [{port: 80}]}\n',
      'f.yaml:5: Service default/web: metadata.annotations[weft.dev/ipvs-scheduler]: must be one of rr, wrr, lc, wlc, sh, dh, sed, nq, mh, not "best"',
    ],
    [
      'weight',
      pod('{containers: [{name: c}]}', '{name: a, annotations: {weft.dev/weight: "0"}}'),
      'f.yaml:3: Pod default/a: metadata.annotations[weft.dev/weight]: must be a whole number from 1 to 99999, not "0"',
    ],
    [
      'slice of another family',
      slice('addressType: IPv6\nendpoints:\n- addresses: [10.244.1.5]'),
      'f.yaml:6: EndpointSlice default/web-1: endpoints[0].addresses[0]: must be an IPv6 address, as addressType says, not "10.244.1.5"',
    ],
    ['slice without a type', slice('endpoints: []'), 'f.yaml:1: EndpointSlice default/web-1: addressType: is required'],
    [
      'slice of nobody',
      slice('addressType: IPv4\nendpoints: [{addresses: []}]'),
      'f.yaml:5: EndpointSlice default/web-1: endpoints[0].addresses: must not be empty',
    ],
    ['no ports', service('{}'), 'f.yaml:4: Service default/web: spec.ports: is required, unless clusterIP is None'],
    [
      'port names',
      service('{ports: [{port: 80, name: a}, {port: 81}]}'),
      'f.yaml:4: Service default/web: spec.ports[1].name: is required where there are several ports',
    ],
    [
      'double port',
      service('{ports: [{port: 80, name: a}, {port: 80, name: b}]}'),
      'f.yaml:4: Service default/web: spec.ports[1].port: Duplicate value: "80/TCP"',
    ],
    [
      'clusterIP',
      service('{clusterIP: 10.96.0.300, ports: [{port: 80}]}'),
      'f.yaml:4: Service default/web: spec.clusterIP: must be an IP address, "None" or empty, not "10.96.0.300"',
    ],
    [
      'loopback',
      service('{clusterIP: 127.0.0.1, ports: [{port: 80}]}'),
      'f.yaml:4: Service default/web: spec.clusterIP: must not be a loopback, link-local, multicast, broadcast or unspecified address',
    ],
    [
      'externalName',
      service('{type: ExternalName}'),
      'f.yaml:4: Service default/web: spec.externalName: is required with type ExternalName',
    ],
    [
      'service name',
      'apiVersion: v1\nkind: Service\nmetadata:\n  name: 1web\nspec: {ports: [{port: 80}]}\n',
      'f.yaml:4: Service default/1web: metadata.name: must be a DNS-1035 label: at most 63 of a-z, 0-9 and "-", beginning with a letter, not ending in "-", not "1web"',
    ],
    ['no name', 'apiVersion: v1\nkind: Node\nmetadata: {}\n', 'f.yaml:3: Node: metadata.name: is required'],
    [
      'podCIDR',
      node('spec: {podCIDR: 10.244.1.0}'),
      'f.yaml:4: Node hosta: spec.podCIDR: must be a CIDR such as 10.244.1.0/24, not "10.244.1.0"',
    ],
    [
      'InternalIP',
      node('status:\n  addresses:\n  - {type: InternalIP, address: 172.31.0.300}'),
      'f.yaml:6: Node hosta: status.addresses[0].address: must be an IP address, not "172.31.0.300"',
    ],
    ['no containers', pod('{containers: []}'), 'f.yaml:4: Pod default/a: spec.containers: must not be empty'],
    ['spec missing', 'apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n', 'f.yaml:1: Pod default/a: spec: is required'],
    [
      'command',
      pod('{containers: [{name: c, command: [sleep, 1]}]}'),
      'f.yaml:4: Pod default/a: spec.containers[0].command[1]: must be a string, not 1',
    ],
    [
      'policy',
      pod('{containers: [{name: c}], restartPolicy: Sometimes}'),
      'f.yaml:4: Pod default/a: spec.restartPolicy: must be one of Always, OnFailure, Never, not "Sometimes"',
    ],
    [
      'operator',
      pod('{containers: [{name: c}], tolerations: [{operator: Is}]}'),
      'f.yaml:4: Pod default/a: spec.tolerations[0].operator: must be one of Exists, Equal or empty, not "Is"',
    ],
    [
      'label key',
      pod('{containers: [{name: c}]}', '{name: a, labels: {"a b": c}}'),
      'f.yaml:3: Pod default/a: metadata.labels[a b]: must be a label key: [prefix/]name, the name at most 63 of letters, digits, "-", "_" and "."',
    ],
    [
      'fixed address',
      pod('{containers: [{name: c}]}', '{name: a, annotations: {weft.dev/ip: "10.0.0.1,10.0.0.2"}}'),
      'f.yaml:3: Pod default/a: metadata.annotations[weft.dev/ip]: must be an IP address, or one of each family with a comma, not "10.0.0.1,10.0.0.2"',
    ],
    [
      'endpoint address',
      'apiVersion: v1\nkind: Endpoints\nmetadata: {name: web}\nsubsets:\n- addresses:\n  - ip: 169.254.1.1\n',
      'f.yaml:6: Endpoints default/web: subsets[0].addresses[0].ip: must not be a loopback, link-local, multicast, broadcast or unspecified address',
    ],
    ['no kind', 'apiVersion: v1\n', 'f.yaml:1: kind: is required and must be a string'],
    ['no map', '- 1\n', 'f.yaml:1: must be a map with apiVersion and kind'],
    [
      'list in list',
      '{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List, items: [{}]}]}',
      'f.yaml:1: a list must not stand in a list',
    ],
  ];
  for (const [name, text, wanted] of cases) t.same(messages(text), [wanted], name);
});

t.test('slices of endpoints, lists of them, and what an API server leaves empty', async (t) => {
  const text = `${slice('addressType: IPv4\nendpoints: null\nports: null')}---
apiVersion: discovery.k8s.io/v1
kind: EndpointSliceList
items:
- metadata: {name: web-2}
  addressType: FQDN
  endpoints: [{addresses: [example.org], conditions: {ready: true, serving: null}}]
  ports: [{name: "", port: 80, protocol: SCTP}]
`;
  t.same(messages(text), []);
  t.same(titles(text), ['EndpointSlice default/web-1', 'EndpointSlice default/web-2']);
  t.match(messages(text.replaceAll('discovery.k8s.io/v1', 'discovery.k8s.io/v2')), [
    /kind that is not read/,
    /not read/,
  ]);
});

t.test('a fault takes down nothing else', async (t) => {
  const good = pod('{containers: [{name: c}]}');
  const m = parseManifest(`${service('{ports: [{port: 0}]}')}---\n${good}`, 'f.yaml');
  t.same(
    m.objects.map((o) => objectTitle(o.object)),
    ['Pod default/a'],
  );
  t.same(m.refused, ['/Service default/web']);
  t.ok(m.complete);
  const broken = parseManifest(`a: [1,\n---\n${good}`, 'f.yaml');
  t.same(
    broken.objects.map((o) => objectTitle(o.object)),
    ['Pod default/a'],
  );
  t.notOk(broken.complete);
  t.match(broken.problems[0]?.place, /^f\.yaml:\d+:\d+$/);
  t.equal(broken.problems[0]?.severity, 'error');
});

t.test('kinds that are not read are said once', async (t) => {
  const deployment = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n';
  const m = parseManifest(
    `${deployment}---\n${deployment}---\napiVersion: serving.knative.dev/v1\nkind: Service\n`,
    'f.yaml',
  );
  t.same(
    m.problems.map((p) => [p.severity, formatProblem(p)]),
    [
      ['warning', 'f.yaml:1: Deployment (apps/v1) is a kind that is not read: ignored'],
      ['warning', 'f.yaml:9: Service (serving.knative.dev/v1) is a kind that is not read: ignored'],
    ],
  );
  t.ok(m.complete, 'what is not ours does not hold back what is');
});

t.test('a second object of one name', async (t) => {
  const text = `${pod('{containers: [{name: c}]}')}---\n${pod('{containers: [{name: d}]}')}`;
  t.same(messages(text), ['f.yaml:6: Pod default/a: stands already at f.yaml:1: this one is ignored']);
  t.same(titles(text), ['Pod default/a']);
});

t.test('hostile text is told, not thrown', async (t) => {
  const bomb = [
    'a: &a [x,x,x,x,x,x,x,x,x]',
    'b: &b [*a,*a,*a,*a,*a,*a,*a,*a]',
    'c: &c [*b,*b,*b,*b,*b,*b,*b,*b]',
    'd: [*c,*c,*c,*c,*c,*c,*c]',
  ];
  for (const text of [
    '['.repeat(100_000),
    '{a: '.repeat(50_000),
    bomb.join('\n'),
    'a: 1\na: 2',
    '\0',
    '%YAML 9.9\n--- a',
    '*nowhere',
  ]) {
    const m = parseManifest(text, 'f.yaml');
    t.same(m.objects, []);
    t.ok(m.problems.length > 0, JSON.stringify(text.slice(0, 20)));
    t.ok(m.problems.length < 50);
  }
  t.same(titles('apiVersion: v1\nkind: Node\nmetadata: {name: hosta, labels: {__proto__: x}}\n'), []);
  t.equal(({} as Record<string, unknown>).x, undefined);
});

t.test('mutated manifests never throw', async (t) => {
  const base = [
    service('{ports: [{port: 80, targetPort: http}], selector: {a: b}}'),
    pod('{containers: [{name: c}]}'),
    node('spec: {podCIDR: 10.244.1.0/24}'),
  ].join('---\n');
  const edit = fc.tuple(
    fc.nat(base.length),
    fc.nat(4),
    fc.constantFrom('', '{', ']', ':', '\n', '- ', '&a', '*a', '"', '\t', '!!', '0', 'null'),
  );
  let good = 0;
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 4 }), (edits) => {
      let text = base;
      for (const [at, cut, put] of edits) text = text.slice(0, at) + put + text.slice(at + cut);
      const m = parseManifest(text, 'f.yaml');
      good += m.objects.length;
      return (
        m.objects.every((o) => typeof o.object.metadata.name === 'string') && (m.complete || m.problems.length > 0)
      );
    }),
    { seed: 20, numRuns: 2000 },
  );
  t.ok(good > 1000, 'most mutations leave something good');
});
