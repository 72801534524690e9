/** Every verb over HTTP, the same for any kind; what objects go through between their making and their end. */
import t from 'tap';
import { configMap, deployment, pod, TestServer } from './test-server.ts';

const MAPS = '/api/v1/namespaces/default/configmaps';
const PODS = '/api/v1/namespaces/default/pods';
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';

t.test('create, get, update, delete', async (t) => {
  const server = await TestServer.start(t);
  const made = await server.ask('POST', MAPS, configMap('a', { x: '1' }));
  t.match(made, {
    code: 201,
    body: { kind: 'ConfigMap', metadata: { name: 'a', namespace: 'default' }, data: { x: '1' } },
  });
  const { uid, resourceVersion, creationTimestamp } = made.body.metadata;
  t.match(uid, /^[0-9a-f-]{36}$/);
  t.match(creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  t.match(await server.ask('POST', MAPS, configMap('a')), {
    code: 409,
    body: { kind: 'Status', status: 'Failure', reason: 'AlreadyExists', details: { name: 'a', kind: 'configmaps' } },
  });
  t.same((await server.get(`${MAPS}/a`)).body, made.body);
  const changed = await server.ask('PUT', `${MAPS}/a`, { ...made.body, data: { x: '2' } });
  t.match(changed, { code: 200, body: { data: { x: '2' }, metadata: { uid, creationTimestamp } } });
  t.not(changed.body.metadata.resourceVersion, resourceVersion);
  t.match(await server.ask('PUT', `${MAPS}/a`, { ...made.body, data: { x: '3' } }), {
    code: 409,
    body: { reason: 'Conflict', message: /the object has been modified/ },
  });
  const same = await server.ask('PUT', `${MAPS}/a`, changed.body);
  t.equal(same.body.metadata.resourceVersion, changed.body.metadata.resourceVersion, 'no change, no new version');
  t.match(await server.ask('PUT', `${MAPS}/a`, { ...changed.body, metadata: { ...changed.body.metadata, uid: 'x' } }), {
    code: 409,
  });
  t.match(await server.ask('DELETE', `${MAPS}/a`), {
    code: 200,
    body: { kind: 'Status', status: 'Success', details: { uid } },
  });
  t.match(await server.get(`${MAPS}/a`), {
    code: 404,
    body: { reason: 'NotFound', message: 'configmaps "a" not found' },
  });
});

t.test('what is wrong is said with its field, and nothing is kept', async (t) => {
  const server = await TestServer.start(t);
  const wrong = await server.ask('POST', '/api/v1/namespaces/default/services', {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { ports: [{ port: 0 }] },
  });
  t.match(wrong, {
    code: 422,
    body: {
      reason: 'Invalid',
      message: /Service "web" is invalid: .*spec.ports\[0\].port: must be between 1 and 65535/,
    },
  });
  t.equal(wrong.body.details.causes[0].field, 'spec.ports[0].port');
  for (const [path, kind, spec] of [
    ['services', 'Service', { ports: [null] }],
    ['pods', 'Pod', { containers: [null, { name: 'a', image: 'a', ports: [null] }] }],
  ] as const) {
    const body = { apiVersion: 'v1', kind, metadata: { name: 'web' }, spec };
    t.match(await server.ask('POST', `/api/v1/namespaces/default/${path}`, body), { code: 422 }, 'nothing in a list');
  }
  const unnamed = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web' },
    spec: { ports: [{ port: 1 }, { port: 2 }] },
  };
  t.match(await server.ask('POST', '/api/v1/namespaces/default/services', unnamed), {
    code: 422,
    body: { message: /spec.ports\[0\].name: is required where there are several ports/ },
  });
  const misnamed = await server.ask('POST', '/api/v1/namespaces/default/services', {
    ...unnamed,
    metadata: { name: '1' },
  });
  t.equal(misnamed.body.details.causes.filter((c: { field: string }) => c.field === 'metadata.name').length, 1);
  t.equal((await server.get('/api/v1/services')).body.items.length, 0);
  t.match(await server.ask('POST', MAPS, configMap('Not_A_Name')), { code: 422, body: { message: /metadata.name/ } });
  t.match(await server.ask('POST', MAPS, { ...(pod('p') as object) }), {
    code: 400,
    body: { message: /kind v1\/Pod/ },
  });
  t.match(await server.ask('POST', MAPS, '{"a":'), { code: 400, body: { reason: 'BadRequest' } });
  t.match(await server.ask('POST', MAPS, '[]'), { code: 400 });
  t.match(await server.ask('POST', MAPS, 'a: [', { type: 'application/yaml' }), { code: 400 });
  t.match(await server.ask('POST', MAPS, 'x', { type: 'application/cbor' }), { code: 415 });
  const apply = { type: 'application/apply-patch+yaml' };
  for (const name of ['absent', 'absent/status']) {
    const answer = await server.ask('PATCH', `/api/v1/namespaces/default/services/${name}`, {}, apply);
    t.match(answer, { code: 415, body: { message: /server-side apply is not served/ } });
  }
  t.match(await server.ask('POST', MAPS, configMap('big', { x: 'x'.repeat(1_500_000) })), { code: 413 });
  t.match(await server.ask('POST', MAPS, configMap('big', { x: 'x'.repeat(4_000_000) })), { code: 413 });
  t.match(await server.ask('POST', '/api/v1/namespaces/nowhere/configmaps', configMap('a')), {
    code: 404,
    body: { message: 'namespaces "nowhere" not found' },
  });
  t.match(await server.get('/api/v1/namespaces/default/nothings'), { code: 404 });
  t.match(await server.get('/apis/none/v1/x'), { code: 404 });
  // kubectl debug reads them without looking whether there are any.
  const part = await server.get('/api/v1/namespaces/default/pods/a/ephemeralcontainers');
  t.match(part, { code: 404, body: { details: {} } }, 'a part of pods that is not served');
  t.match(await server.get('/api/v1/namespaces/default/configmaps/a%2fb'), { code: 404 });
  t.match(await server.get('/else'), { code: 404 });
  t.match(await server.ask('POST', '/api/v1/configmaps', configMap('a')), { code: 405 });
  t.same(server.log, [], 'none of it was an error of the server');
  const yaml = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {a: "1"}\n';
  t.match(await server.ask('POST', MAPS, yaml, { type: 'application/yaml' }), {
    code: 201,
    body: { data: { a: '1' } },
  });
});

t.test('ports of containers are of TCP where they say nothing, in templates too', async (t) => {
  const server = await TestServer.start(t);
  const spec = { containers: [{ name: 'c', image: 'nginx', ports: [{ containerPort: 80 }] }] };
  const template = { metadata: { labels: { app: 'a' } }, spec };
  const made = (path: string, object: unknown, more: object) =>
    server.ask('POST', path, { ...(object as { spec: object }), spec: more });
  const full = { containers: [{ ports: [{ containerPort: 80, protocol: 'TCP' }] }] };
  t.match((await made(PODS, pod('a'), spec)).body, { spec: full });
  const workload = { selector: { matchLabels: { app: 'a' } }, template };
  t.match((await made(DEPLOYMENTS, deployment('a'), workload)).body, { spec: { template: { spec: full } } });
});

t.test('lists: labels, fields, pages that agree with each other, rows', async (t) => {
  const server = await TestServer.start(t);
  await Promise.all(
    Array.from({ length: 12 }, (_, i) => {
      const labels: Record<string, string> = { even: `${i % 2 === 0}`, n: `${i}` };
      return server.ask('POST', PODS, pod(`p${i}`, { labels, nodeName: `node${i % 3}` }));
    }),
  );
  const names = async (query: string) => {
    const { body } = await server.get(`${PODS}?${query}`);
    return body.items?.map((o: { metadata: { name: string } }) => o.metadata.name) ?? body.message;
  };
  t.same(await names('labelSelector=even=true'), ['p0', 'p10', 'p2', 'p4', 'p6', 'p8']);
  t.same(await names(`labelSelector=${encodeURIComponent('even!=true,n notin (1,3)')}`), ['p11', 'p5', 'p7', 'p9']);
  t.same(await names(`labelSelector=${encodeURIComponent('n in (1, 2),!missing,even')}`), ['p1', 'p2']);
  t.same(await names('labelSelector=n%3E9'), ['p10', 'p11']);
  t.same(await names('fieldSelector=spec.nodeName=node1'), ['p1', 'p10', 'p4', 'p7']);
  t.same(await names('fieldSelector=metadata.name!=p1,spec.nodeName=node1'), ['p10', 'p4', 'p7']);
  t.match(await names('fieldSelector=spec.color=x'), /field label not supported: spec.color/);
  t.match(await names('labelSelector=a%20b'), /unable to parse requirement/);
  const first = (await server.get(`${PODS}?limit=5`)).body;
  await server.ask('DELETE', `${PODS}/p9?gracePeriodSeconds=0`);
  const second = (await server.get(`${PODS}?limit=5&continue=${first.metadata.continue}`)).body;
  const third = (await server.get(`${PODS}?limit=5&continue=${second.metadata.continue}`)).body;
  t.equal(first.items.length + second.items.length + third.items.length, 12, 'what went meanwhile is still in it');
  t.notOk(third.metadata.continue);
  t.equal(third.metadata.resourceVersion, first.metadata.resourceVersion);
  t.match(await server.get(`${PODS}?continue=nonsense`), { code: 400, body: { message: /continue token/ } });
  t.equal((await server.get('/api/v1/pods')).body.items.length, 11, 'of all namespaces');
  const { body } = await server.get(`${PODS}?limit=1`, { accept: TABLE });
  t.match(body, {
    kind: 'Table',
    rows: [{ cells: ['p0', '0/1', 'Pending', '0'], object: { metadata: { name: 'p0' } } }],
  });
  t.same(
    body.columnDefinitions.filter((c: { priority: number }) => c.priority === 0).map((c: { name: string }) => c.name),
    ['Name', 'Ready', 'Status', 'Restarts', 'Age'],
  );
});

t.test('generation counts what the writer wants; status is written on its own path', async (t) => {
  const server = await TestServer.start(t);
  const made = (await server.ask('POST', DEPLOYMENTS, { ...(deployment('d') as object), status: { replicas: 9 } }))
    .body;
  t.match(made, { metadata: { generation: 1 }, spec: { strategy: { type: 'RollingUpdate' } } });
  t.equal(made.status, undefined, 'nobody makes an object with a status');
  const status = { replicas: 3, readyReplicas: 2 };
  const told = (await server.ask('PUT', `${DEPLOYMENTS}/d/status`, { ...made, spec: {}, status })).body;
  t.match(told, { metadata: { generation: 1 }, status, spec: { replicas: 1 } });
  const changed = (
    await server.ask('PUT', `${DEPLOYMENTS}/d`, { ...told, status: {}, spec: { ...told.spec, replicas: 2 } })
  ).body;
  t.match(changed, { metadata: { generation: 2 }, status, spec: { replicas: 2 } });
  const labelled = await server.ask(
    'PATCH',
    `${DEPLOYMENTS}/d`,
    { metadata: { labels: { a: 'b' } } },
    { type: 'application/merge-patch+json' },
  );
  t.match(labelled.body.metadata, { generation: 2, labels: { a: 'b' } });
  t.match((await server.get(`${DEPLOYMENTS}/d/scale`)).body, {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    spec: { replicas: 2 },
    status: { replicas: 3, selector: 'app=d' },
  });
  const table = (await server.get(`${DEPLOYMENTS}/d/scale`, { accept: TABLE })).body;
  const columns = table.columnDefinitions.map(({ name }: { name: string }) => name);
  t.same(
    [columns, table.rows[0].cells.slice(0, 3)],
    [
      ['Name', 'Desired', 'Available', 'Age'],
      ['d', 2, 3],
    ],
  );
  const scaled = await server.ask(
    'PATCH',
    `${DEPLOYMENTS}/d/scale`,
    { spec: { replicas: 7 } },
    { type: 'application/merge-patch+json' },
  );
  t.match(scaled, { code: 200, body: { spec: { replicas: 7 } } });
  t.match((await server.get(`${DEPLOYMENTS}/d`)).body, { spec: { replicas: 7 }, metadata: { generation: 3 } });
  t.match(await server.ask('PUT', `${DEPLOYMENTS}/d/scale`, { ...scaled.body, spec: { replicas: -1 } }), { code: 422 });
  t.match(
    await server.ask(
      'PATCH',
      `${DEPLOYMENTS}/d`,
      { spec: { selector: { matchLabels: { app: 'x' } } } },
      { type: 'application/merge-patch+json' },
    ),
    {
      code: 422,
      body: { message: /spec.selector: field is immutable/ },
    },
  );
});

t.test('a deletion waits for finalizers and for pods that run', async (t) => {
  const server = await TestServer.start(t);
  const held = { ...(configMap('held') as { metadata: object }) };
  held.metadata = { ...held.metadata, finalizers: ['example.com/hold'] };
  await server.ask('POST', MAPS, held);
  const going = await server.ask('DELETE', `${MAPS}/held`);
  t.ok(going.body.metadata.deletionTimestamp);
  t.match((await server.get(`${MAPS}/held`)).code, 200);
  const add = { metadata: { finalizers: ['example.com/hold', 'example.com/more'] } };
  const merge = { type: 'application/merge-patch+json' };
  t.match(await server.ask('PATCH', `${MAPS}/held`, add, merge), { code: 422, body: { message: /no new finalizers/ } });
  await server.ask('PATCH', `${MAPS}/held`, { metadata: { finalizers: null } }, merge);
  t.equal((await server.get(`${MAPS}/held`)).code, 404, 'the last finalizer took it along');

  await server.ask('POST', PODS, pod('runs', { nodeName: 'a' }));
  await server.ask('POST', PODS, pod('waits'));
  t.match((await server.ask('DELETE', `${PODS}/waits`)).body, { kind: 'Status' }, 'runs nowhere: gone at once');
  const ending = (await server.ask('DELETE', `${PODS}/runs`)).body;
  t.match(ending.metadata, { deletionGracePeriodSeconds: 30 });
  const sooner = (await server.ask('DELETE', `${PODS}/runs`, { gracePeriodSeconds: 5 })).body;
  t.match(sooner.metadata, { deletionGracePeriodSeconds: 5 });
  t.match((await server.get(`${PODS}/runs`, { accept: TABLE })).body.rows[0].cells[2], 'Terminating');
  const { uid } = ending.metadata;
  t.match(await server.ask('DELETE', `${PODS}/runs`, { preconditions: { uid: 'x' } }), { code: 409 });
  await server.ask('DELETE', `${PODS}/runs`, { gracePeriodSeconds: 0, preconditions: { uid } });
  t.equal((await server.get(`${PODS}/runs`)).code, 404);

  await server.ask('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' } });
  await server.ask('DELETE', '/api/v1/namespaces/n');
  t.match((await server.get('/api/v1/namespaces/n')).body, { status: { phase: 'Terminating' } });
  t.match(await server.ask('POST', '/api/v1/namespaces/n/configmaps', configMap('late')), { code: 403 });
});

t.test('a deletion that cannot be read as it was meant deletes nothing', async (t) => {
  const server = await TestServer.start(t);
  await server.ask('POST', MAPS, configMap('a'));
  for (const [body, message] of [
    [{ dryRun: ['Al'] }, 'dryRun: must be All, not Al'],
    [{ preconditions: 'uid' }, 'preconditions: is not an object'],
    [{ preconditions: { uid: 1 } }, 'preconditions.uid: must be a string'],
    [{ orphanDependents: true, propagationPolicy: 'Background' }, 'propagationPolicy: cannot stand beside'],
    [{ gracePeriodSeconds: 'soon' }, 'gracePeriodSeconds: must be a whole number'],
    ['[]', 'the body of the request: is not an object'],
  ] as const) {
    const answer = await server.ask('DELETE', `${MAPS}/a`, body);
    t.match([answer.code, answer.body.message], [400, new RegExp(`^${message}`)]);
  }
  t.equal((await server.get(`${MAPS}/a`)).code, 200);
  t.match(await server.ask('DELETE', `${MAPS}/a`, { orphanDependents: true }), {
    body: { metadata: { finalizers: ['orphan'] } },
  });
  t.equal((await server.ask('DELETE', `${MAPS}/a`, { preconditions: { uid: null } })).code, 200);
});

t.test('of a pod that is there little can change: not where it runs, nor what', async (t) => {
  const server = await TestServer.start(t);
  await server.ask('POST', PODS, pod('a'));
  const merge = { type: 'application/merge-patch+json' };
  const change = (spec: object) => server.ask('PATCH', `${PODS}/a`, { spec }, merge);
  const forbidden = { code: 422, body: { message: /spec: pod updates may not change fields other than/ } };
  t.match(await change({ containers: [{ name: 'c', image: 'nginx', command: ['x'] }] }), forbidden);
  t.match(await change({ hostNetwork: true }), forbidden);
  t.equal((await change({ nodeName: 'b' })).code, 200, 'a node is given once');
  t.match(await change({ nodeName: 'c' }), forbidden);
  t.equal((await change({ containers: [{ name: 'c', image: 'busybox' }], activeDeadlineSeconds: 9 })).code, 200);
  const [one, other] = [
    { key: 'a', operator: 'Exists' },
    { key: 'b', operator: 'Exists' },
  ];
  t.equal((await change({ tolerations: [one] })).code, 200);
  t.equal((await change({ tolerations: [other, one] })).code, 200);
  t.match(await change({ tolerations: [other] }), { code: 422, body: { message: /spec.tolerations: existing/ } });
  const gated = { ...(pod('g') as { spec: object }) };
  gated.spec = { ...gated.spec, schedulingGates: [{ name: 'wait' }] };
  await server.ask('POST', PODS, gated);
  const open = (spec: object) => server.ask('PATCH', `${PODS}/g`, { spec }, merge);
  t.equal((await open({ nodeSelector: { disk: 'ssd' } })).code, 200, 'nobody has looked for a node yet');
  t.match(await open({ schedulingGates: [{ name: 'more' }] }), { code: 422 });
  t.equal((await open({ schedulingGates: null })).code, 200);
  t.match(await open({ nodeSelector: { disk: 'hdd' } }), forbidden);
});

t.test('only its subresource finalize lets a namespace go before what is in it', async (t) => {
  const server = await TestServer.start(t);
  const path = '/api/v1/namespaces/n';
  await server.ask('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'n' } });
  await server.ask('DELETE', path);
  const nothing = { spec: { finalizers: [] } };
  await server.ask('PATCH', path, nothing, { type: 'application/merge-patch+json' });
  const { body } = await server.get(path);
  t.same(body.spec, { finalizers: ['kubernetes'] });
  t.equal((await server.ask('PUT', `${path}/finalize?dryRun=All`, { ...body, ...nothing })).code, 200);
  t.equal((await server.get(path)).code, 200, 'a dry run');
  await server.ask('PUT', `${path}/finalize`, { ...body, ...nothing });
  t.equal((await server.get(path)).code, 404);
});

t.test('what workloads and maps cannot be', async (t) => {
  const server = await TestServer.start(t);
  const once = structuredClone(deployment('d')) as { spec: { template: { spec: { restartPolicy?: string } } } };
  once.spec.template.spec.restartPolicy = 'Never';
  t.match(await server.ask('POST', DEPLOYMENTS, once), {
    code: 422,
    body: { message: /spec.template.spec.restartPolicy: must be Always, not "Never"/ },
  });
  for (const key of ['..', 'a/b', '', 'x'.repeat(254)]) {
    t.match(await server.ask('POST', MAPS, configMap('m', { [key]: 'x' })), {
      code: 422,
      body: { message: /a key is/ },
    });
  }
  t.equal((await server.ask('POST', MAPS, configMap('m', { 'ca.crt': 'x', _A: '' }))).code, 201);
  const merge = (change: object) => server.ask('PATCH', `${MAPS}/m`, change, { type: 'application/merge-patch+json' });
  t.equal((await merge({ immutable: true })).code, 200);
  t.equal((await merge({ metadata: { labels: { a: 'b' } } })).code, 200);
  for (const [change, field] of [
    [{ immutable: false }, 'immutable'],
    [{ data: { _A: 'y' } }, 'data'],
    [{ binaryData: { b: 'eQ==' } }, 'binaryData'],
  ] as const) {
    const { body } = await merge(change);
    t.match(body.details.causes, [{ field, message: /^field is immutable when/ }]);
    t.equal(body.details.causes.length, 1, 'what did not change is not named');
  }
});

t.test('a page that goes on goes on in its own list', async (t) => {
  const server = await TestServer.start(t);
  for (const name of ['a', 'b', 'c']) await server.ask('POST', MAPS, configMap(name));
  const next = (await server.get(`${MAPS}?limit=1`)).body.metadata.continue;
  t.equal((await server.get(`${MAPS}?limit=1&continue=${next}`)).body.items[0].metadata.name, 'b');
  const elsewhere = MAPS.replace('default', 'kube-system');
  t.equal((await server.get(`${elsewhere}?continue=${next}`)).code, 400);
  const past = Buffer.from(JSON.stringify(['configmaps', -3, '/registry/configmaps/default/a'])).toString('base64url');
  t.equal((await server.get(`${MAPS}?continue=${past}`)).code, 400);
});

t.test('deletecollection takes what its selector names', async (t) => {
  const server = await TestServer.start(t);
  for (let i = 0; i < 6; i++) await server.ask('POST', MAPS, configMap(`m${i}`, {}, { odd: `${i % 2}` }));
  t.match(await server.ask('DELETE', `${MAPS}?labelSelector=odd=1`), { code: 200, body: { items: { length: 3 } } });
  t.equal((await server.get(MAPS)).body.items.length, 3);
});

t.test('a dry run changes nothing', async (t) => {
  const server = await TestServer.start(t);
  t.equal((await server.ask('POST', `${MAPS}?dryRun=All`, configMap('a'))).code, 201);
  t.equal((await server.get(`${MAPS}/a`)).code, 404);
  await server.ask('POST', MAPS, configMap('a', { x: '1' }));
  t.equal((await server.ask('POST', `${MAPS}?dryRun=All`, configMap('a'))).code, 409);
  await server.ask('PATCH', `${MAPS}/a?dryRun=All`, { data: { x: '2' } }, { type: 'application/merge-patch+json' });
  await server.ask('DELETE', `${MAPS}/a?dryRun=All`);
  t.equal((await server.get(`${MAPS}/a`)).body.data.x, '1');
  t.match(await server.ask('POST', `${MAPS}?dryRun=Some`, configMap('b')), { code: 400 });
});

t.test('concurrent writers: every increment counts, by patch and by put', async (t) => {
  const server = await TestServer.start(t);
  await server.ask('POST', MAPS, configMap('counter', { n: '0' }));
  const increment = async () => {
    for (;;) {
      const { body } = await server.get(`${MAPS}/counter`);
      const next = { ...body, data: { n: `${Number(body.data.n) + 1}` } };
      if ((await server.ask('PUT', `${MAPS}/counter`, next)).code === 200) return;
    }
  };
  const label = (i: number) =>
    server.ask(
      'PATCH',
      `${MAPS}/counter`,
      { metadata: { labels: { [`l${i}`]: 'x' } } },
      { type: 'application/merge-patch+json' },
    );
  await Promise.all([...Array.from({ length: 15 }, increment), ...Array.from({ length: 15 }, (_, i) => label(i))]);
  const { body } = await server.get(`${MAPS}/counter`);
  t.equal(body.data.n, '15');
  t.equal(Object.keys(body.metadata.labels as object).length, 15);
});

t.test('generateName gives names of its own', async (t) => {
  const server = await TestServer.start(t);
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'job-' } };
  const names = await Promise.all(
    Array.from({ length: 20 }, async () => (await server.ask('POST', MAPS, body)).body.metadata.name),
  );
  t.equal(new Set(names).size, 20);
  for (const name of names) t.match(name, /^job-[a-z0-9]{5}$/);
});

t.test('who writes what no agent carries out is warned, for templates too', async (t) => {
  const server = await TestServer.start(t);
  const volumes = [{ name: 'v', emptyDir: {} }];
  const spec = { volumes, containers: [{ name: 'c', image: 'nginx', volumeMounts: [{ name: 'v', mountPath: '/v' }] }] };
  const selector = { matchLabels: { a: 'b' } };
  const template = { metadata: { labels: { a: 'b' } }, spec };
  const warning = async (method: string, path: string, body?: object) => {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const headers = { authorization: 'Bearer admin', 'content-type': type };
    const response = await fetch(server.url + path, {
      method,
      headers,
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    t.ok(response.ok);
    return response.headers.get('warning');
  };
  const of = (kind: string, more: object, apiVersion = 'apps/v1') => ({
    apiVersion,
    kind,
    metadata: { name: 'w' },
    spec: more,
  });
  const place = 'containers[0].volumeMounts is not supported';
  t.equal(await warning('POST', PODS, of('Pod', spec, 'v1')), `299 - "spec.${place}"`);
  t.equal(await warning('GET', `${PODS}/w`), null);
  t.equal(await warning('DELETE', `${PODS}/w`), null);
  const many = {
    volumes,
    containers: Array.from({ length: 200 }, (_, i) => ({ ...spec.containers[0], name: `c${i}` })),
  };
  const all = await warning('POST', PODS, { ...of('Pod', many, 'v1'), metadata: { name: 'many' } });
  t.ok(all !== null && all.length < 8000, 'clients take no more than so many headers');
  const sentence = `299 - "spec.template.spec.${place}"`;
  const apps = '/apis/apps/v1/namespaces/default';
  t.equal(await warning('POST', DEPLOYMENTS, of('Deployment', { selector, template })), sentence);
  t.equal(await warning('POST', `${apps}/replicasets`, of('ReplicaSet', { selector, template })), sentence);
  const claims = { selector, template, volumeClaimTemplates: [{ metadata: { name: 'v' } }] };
  t.equal(
    await warning('POST', `${apps}/statefulsets`, of('StatefulSet', claims)),
    `${sentence}, 299 - "spec.volumeClaimTemplates is not supported"`,
  );
  const label = { metadata: { labels: { a: 'c' } } };
  t.equal(await warning('PATCH', `${DEPLOYMENTS}/w`, label), null, 'a label asks for nothing');
  t.equal(await warning('PATCH', `${DEPLOYMENTS}/w`, { spec: { replicas: 2 } }), sentence);
});

t.test('policies and ingresses that nobody carries out are not kept silently', async (t) => {
  const server = await TestServer.start(t);
  const folder = '/apis/networking.k8s.io/v1/namespaces/default';
  const backend = { service: { name: 'web', port: { number: 80 } } };
  for (const [plural, kind, spec, warning] of [
    ['networkpolicies', 'NetworkPolicy', {}, /NetworkPolicy is kept, but not enforced/],
    ['ingresses', 'Ingress', { defaultBackend: backend }, /Ingress is kept, but not served/],
  ] as const) {
    const response = await fetch(`${server.url}${folder}/${plural}`, {
      method: 'POST',
      headers: { authorization: 'Bearer admin', 'content-type': 'application/json' },
      body: JSON.stringify({ apiVersion: 'networking.k8s.io/v1', kind, metadata: { name: 'x' }, spec }),
    });
    t.equal(response.status, 201);
    t.match(response.headers.get('warning'), warning);
  }
});

t.test('the root says where to go on, and every path of it is there', async (t) => {
  const server = await TestServer.start(t);
  const { paths } = (await server.get('/')).body as { paths: string[] };
  for (const path of ['/api/v1', '/apis/apps/v1', '/apis/authentication.k8s.io/v1beta1', '/version']) {
    t.ok(paths.includes(path), path);
  }
  for (const path of paths) t.equal((await server.get(path)).code, 200, path);
  t.equal((await server.get('/', { token: 'nobody' })).code, 403);
});
