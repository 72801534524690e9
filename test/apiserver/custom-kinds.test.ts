/** CustomResourceDefinitions over HTTP: kinds that come, check their objects, have versions, and go with all they had. */
import { join } from 'node:path';
import t from 'tap';
import { PatternSet, patternFault } from '../../src/apiserver/custom/schema-pattern.ts';
import { LmdbStore } from '../../src/apiserver/store/lmdb-store.ts';
import { TestServer } from './test-server.ts';

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const BOATS = '/apis/example.com/v1/namespaces/default/boats';
const merge = { type: 'application/merge-patch+json' };

const boatSchema = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      required: ['name'],
      properties: {
        name: { type: 'string', pattern: '^[A-Z][a-z]+$', maxLength: 20 },
        sails: { type: 'integer', minimum: 0, maximum: 9, default: 2 },
        rig: { type: 'string', enum: ['sloop', 'ketch'], default: 'sloop' },
        draught: { 'x-kubernetes-int-or-string': true },
        owner: { type: 'string', nullable: true },
        launched: { type: 'string', format: 'date-time' },
        crew: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['who'],
          items: { type: 'object', properties: { who: { type: 'string' }, berth: { type: 'integer', default: 1 } } },
        },
        flags: { type: 'object', additionalProperties: { type: 'boolean' } },
        log: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
      },
    },
    status: {
      type: 'object',
      properties: { afloat: { type: 'boolean' }, sails: { type: 'integer' }, selector: { type: 'string' } },
    },
  },
};

function definition(more: { version?: object; names?: object; spec?: object; schema?: object } = {}): object {
  const version = {
    name: 'v1',
    served: true,
    storage: true,
    schema: { openAPIV3Schema: more.schema ?? boatSchema },
    subresources: {
      status: {},
      scale: {
        specReplicasPath: '.spec.sails',
        statusReplicasPath: '.status.sails',
        labelSelectorPath: '.status.selector',
      },
    },
    additionalPrinterColumns: [
      { name: 'Rig', type: 'string', jsonPath: '.spec.rig' },
      { name: 'Skipper', type: 'string', jsonPath: '.spec.crew[?(@.berth==1)].who', priority: 1 },
      { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
    ],
    selectableFields: [{ jsonPath: '.spec.rig' }],
    ...more.version,
  };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'boats.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'boats', kind: 'Boat', shortNames: ['bt'], categories: ['all'], ...more.names },
      versions: [version],
      ...more.spec,
    },
  };
}

const boat = (name: string, spec: object, version = 'v1') => ({
  apiVersion: `example.com/${version}`,
  kind: 'Boat',
  metadata: { name },
  spec,
});

async function established(server: TestServer, name = 'boats.example.com'): Promise<string> {
  for (let i = 0; i < 200; i++) {
    const { body } = await server.get(`${DEFINITIONS}/${name}`);
    const found = body.status?.conditions?.find((c: { type: string }) => c.type === 'Established');
    if (found) return found.status;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return 'nothing';
}

t.test('a kind comes with its definition, at once, and its schema is law', async (t) => {
  const server = await TestServer.start(t);
  t.equal((await server.get(BOATS)).code, 404);
  const made = await server.ask('POST', DEFINITIONS, definition());
  t.match(made, { code: 201, body: { spec: { names: { singular: 'boat', listKind: 'BoatList' } } } });
  t.match(await server.ask('POST', BOATS, boat('a', { name: 'Anna', unknown: 1, log: { any: [1] }, owner: null })), {
    code: 201,
    body: {
      spec: { sails: 2, rig: 'sloop', log: { any: [1] }, owner: null, unknown: undefined },
      metadata: { generation: 1 },
    },
  });
  t.equal(await established(server), 'True');
  const strict = await server.ask(
    'POST',
    `${BOATS}?fieldValidation=Strict`,
    boat('b', { name: 'Bea', crew: [{ x: 1 }] }),
  );
  t.match(strict, { code: 400, body: { message: 'strict decoding error: unknown field "spec.crew[0].x"' } });
  const wrong = await server.ask(
    'POST',
    BOATS,
    boat('c', { name: 'anna', sails: 10, rig: 'brig', draught: true, launched: 'once', flags: { a: 1 } }),
  );
  t.equal(wrong.code, 422);
  for (const [field, message] of [
    ['spec.name', /must match pattern/],
    ['spec.sails', /must be between 0 and 9, not 10/],
    ['spec.rig', /must be one of sloop, ketch, not "brig"/],
    ['spec.draught', /must be an integer or a string, not true/],
    ['spec.launched', /must be of the form date-time, not "once"/],
    ['spec.flags.a', /must be true or false, not 1/],
  ] as const) {
    t.match(
      wrong.body.details.causes.find((cause: { field: string }) => cause.field === field),
      { message },
      field,
    );
  }
  t.match(await server.ask('POST', BOATS, { ...boat('d', {}), spec: undefined }), {
    code: 422,
    body: { message: 'Boat.example.com "d" is invalid: spec: is required' },
  });
  const crew = [{ who: 'jo' }, { who: 'al', berth: 2 }, { who: 'jo' }];
  t.match(await server.ask('POST', BOATS, boat('e', { name: 'Eva', crew })), {
    code: 422,
    body: { message: /spec.crew\[2\]: stands in the list twice/ },
  });
  t.match(
    await server.ask('POST', BOATS, { ...boat('f', { name: 'Fee' }), metadata: { name: 'f', labels: { a: '?' } } }),
    {
      code: 422,
      body: { message: /metadata.labels.a: must be a label value/ },
    },
  );
});

t.test('its subresources, columns, selectors and documents', async (t) => {
  const server = await TestServer.start(t);
  await server.ask('POST', DEFINITIONS, definition());
  await server.ask(
    'POST',
    BOATS,
    boat('a', { name: 'Anna', rig: 'ketch', crew: [{ who: 'al', berth: 2 }, { who: 'jo' }] }),
  );
  await server.ask('POST', BOATS, { ...boat('b', { name: 'Bea' }), status: { afloat: true } });
  t.equal((await server.get(`${BOATS}/b`)).body.status, undefined, 'made without a status');
  t.match(await server.ask('PATCH', `${BOATS}/b/status`, { status: { sails: 1, selector: 'x=y', odd: 1 } }, merge), {
    code: 200,
    body: { status: { sails: 1, odd: undefined }, metadata: { generation: 1 } },
  });
  t.match(await server.get(`${BOATS}/b/scale`), {
    body: { spec: { replicas: 2 }, status: { replicas: 1, selector: 'x=y' } },
  });
  t.match(await server.ask('PATCH', `${BOATS}/b/scale`, { spec: { replicas: 5 } }, merge), { code: 200 });
  t.match(await server.get(`${BOATS}/b`), { body: { spec: { sails: 5 }, metadata: { generation: 2 } } });
  const strategic = { type: 'application/strategic-merge-patch+json' };
  t.match(await server.ask('PATCH', `${BOATS}/b`, { spec: { sails: 1 } }, strategic), { code: 415 });
  const table = (await server.get(BOATS, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' })).body;
  t.same(
    table.columnDefinitions.map(({ name, priority }: { name: string; priority: number }) => `${name} ${priority}`),
    ['Name 0', 'Rig 0', 'Skipper 1', 'Age 0'],
  );
  t.same(table.rows[0].cells.slice(0, 3), ['a', 'ketch', 'jo']);
  const ketches = (await server.get(`${BOATS}?fieldSelector=spec.rig=ketch`)).body.items;
  t.same(
    ketches.map(({ metadata }: { metadata: { name: string } }) => metadata.name),
    ['a'],
  );
  t.match((await server.get('/apis/example.com/v1')).body.resources, [
    { name: 'boats', singularName: 'boat', kind: 'Boat', shortNames: ['bt'], categories: ['all'] },
    { name: 'boats/status' },
    { name: 'boats/scale', kind: 'Scale' },
  ]);
  const document = (await server.get('/openapi/v3/apis/example.com/v1')).body;
  t.match(Object.values(document.components.schemas as object), [
    { properties: { spec: { properties: { rig: { enum: ['sloop', 'ketch'] } } } } },
  ]);
});

t.test('versions are the same objects under several names', async (t) => {
  const server = await TestServer.start(t);
  const versions = ['v1', 'v1beta1', 'v2'].map((name) => ({
    name,
    served: true,
    storage: name === 'v1beta1',
    schema: { openAPIV3Schema: boatSchema },
  }));
  await server.ask('POST', DEFINITIONS, definition({ spec: { versions } }));
  await server.ask('POST', BOATS, boat('a', { name: 'Anna' }));
  const second = BOATS.replace('/v1/', '/v2/');
  t.match(await server.get(`${second}/a`), { body: { apiVersion: 'example.com/v2', spec: { name: 'Anna' } } });
  t.match(await server.ask('PUT', `${second}/a`, boat('a', { name: 'Bea' }, 'v2')), {
    code: 200,
    body: { apiVersion: 'example.com/v2' },
  });
  t.match(await server.ask('PUT', `${second}/a`, boat('a', { name: 'Bea' }, 'v1')), { code: 400 });
  t.match((await server.get(`${BOATS}/a`)).body, { apiVersion: 'example.com/v1', spec: { name: 'Bea' } });
  const [event] = await server.watchEvents(`${second}?watch=1`, 1);
  t.equal(event?.object.apiVersion, 'example.com/v2');
  const many = Array.from({ length: 40 }, (_, i) => boat(`b${i}`, { name: 'Bea', log: { text: 'x'.repeat(1000) } }));
  await Promise.all(many.map((one) => server.ask('POST', BOATS, one)));
  for (const path of [BOATS, second]) {
    const all = path.replace('/namespaces/default', '');
    t.equal(
      (await server.get(all)).body.apiVersion,
      path === BOATS ? 'example.com/v1' : 'example.com/v2',
      'compressed',
    );
  }
  t.match((await server.get('/apis/example.com')).body, {
    preferredVersion: { version: 'v2' },
    versions: [{ version: 'v2' }, { version: 'v1' }, { version: 'v1beta1' }],
  });
  await established(server);
  t.match((await server.get(`${DEFINITIONS}/boats.example.com`)).body.status, { storedVersions: ['v1beta1'] });
  const less = definition({ spec: { versions: [{ ...versions[0], storage: true }] } });
  t.match(await server.ask('PATCH', `${DEFINITIONS}/boats.example.com`, less, merge), {
    code: 422,
    body: { message: /spec.versions: must have v1beta1 still/ },
  });
});

t.test('every server of a store serves what one was told, and the next one from its start', async (t) => {
  const store = LmdbStore.open({ path: join(t.testdir(), 'store') });
  t.teardown(() => store.close());
  const first = await TestServer.start(t, false, { store });
  const second = await TestServer.start(t, false, { store });
  t.equal((await first.ask('POST', DEFINITIONS, definition())).code, 201);
  t.equal((await second.ask('POST', BOATS, boat('a', { name: 'Anna' }))).code, 201);
  t.match((await first.get(`${BOATS}/a`)).body, { spec: { name: 'Anna', sails: 2 } });
  const third = await TestServer.start(t, false, { store });
  t.match((await third.get(`${BOATS}/a`)).body, { spec: { name: 'Anna' } });
});

t.test('a definition that cannot be served as it says is refused with its place', async (t) => {
  const server = await TestServer.start(t);
  const schema = (spec: object) => ({ schema: { type: 'object', properties: { spec } } });
  const at = 'spec.versions[0].schema.openAPIV3Schema.properties.spec';
  const refused: [object, string][] = [
    [definition(schema({ properties: {} })), `${at}.type: is required`],
    [definition(schema({ type: 'banana' })), `${at}.type: must be one of array`],
    [definition(schema({ type: 'string', pattern: '(' })), `${at}.pattern: is no regular expression`],
    [definition(schema({ type: 'string', pattern: '(a)\\1' })), `${at}.pattern: must not look around or refer back`],
    [definition(schema({ type: 'array' })), `${at}.items: must be specified`],
    [definition(schema({ $ref: '#/x', type: 'string' })), `${at}.$ref: is forbidden`.replace('.$ref', '[$ref]')],
    [definition(schema({ type: 'object', properties: {}, additionalProperties: true })), 'must not be used together'],
    [definition(schema({ type: 'integer', default: 'x' })), `${at}.default: must be an integer`],
    [definition(schema({ type: 'integer', minimum: '1' })), `${at}.minimum: must be a number`],
    [definition(schema({ type: 'object', anyOf: [{ properties: { a: {} } }] })), 'must be specified outside'],
    [definition({ schema: { type: 'string' } }), 'openAPIV3Schema.type: must be object at the root'],
    [definition({ version: { storage: false } }), 'exactly one version marked as storage'],
    [
      definition({ version: { additionalPrinterColumns: [{ name: 'x', type: 'string', jsonPath: '{}' }] } }),
      'simple JSON path',
    ],
    [definition({ names: { plural: 'ships' } }), 'metadata.name: must be spec.names.plural+"."+spec.group'],
    [definition({ spec: { conversion: { strategy: 'Webhook' } } }), 'spec.conversion.strategy: must be None'],
    [definition({ spec: { scope: 'World' } }), 'spec.scope: must be one of Cluster, Namespaced'],
  ];
  let deep: object = { type: 'string' };
  for (let i = 0; i < 60; i++) deep = { type: 'object', properties: { a: deep } };
  refused.push([definition(schema(deep)), 'too large or too deep']);
  for (const [body, message] of refused) {
    const answer = await server.ask('POST', DEFINITIONS, body);
    t.equal(answer.code, 422, message);
    t.ok(answer.body.message.includes(message), `${message} in ${answer.body.message}`);
  }
  const rules = { type: 'object', 'x-kubernetes-validations': [{ rule: 'self.a > 1' }] };
  const response = await fetch(server.url + DEFINITIONS, {
    method: 'POST',
    headers: { authorization: 'Bearer admin', 'content-type': 'application/json' },
    body: JSON.stringify(definition(schema(rules))),
  });
  t.equal(response.status, 201);
  t.match(response.headers.get('warning'), /^299 - "spec.versions\[0\]: the rules of x-kubernetes-validations are not/);
  t.match(await server.ask('PATCH', `${DEFINITIONS}/boats.example.com`, { spec: { scope: 'Cluster' } }, merge), {
    code: 422,
    body: { message: /spec.scope: field is immutable/ },
  });
});

t.test('a text that was made for a slow pattern does not stop the server', async (t) => {
  const server = await TestServer.start(t);
  const slow = { type: 'string', pattern: '^(a+)+$' };
  await server.ask('POST', DEFINITIONS, definition({ schema: { type: 'object', properties: { spec: slow } } }));
  const spec = `${'a'.repeat(40)}!`;
  const begun = performance.now();
  const answer = await server.ask('POST', BOATS, { ...boat('a', {}), spec });
  t.match(answer, { code: 422, body: { message: /the patterns of the kind's schema take too long/ } });
  t.ok(performance.now() - begun < 1000, `${performance.now() - begun} ms`);
});

t.test('patterns: what Go would not take, and what may be slow on a short text', async (t) => {
  t.match(patternFault('a{1001}'), /must repeat at most 1000 times/);
  t.equal(patternFault('a{1,1000}[{9999}]\\{2000}'), undefined);
  const patterns = new PatternSet();
  const slow = patterns.engine()(`^${'(a|a)'.repeat(30)}$`);
  t.throws(() => slow.test(`${'a'.repeat(30)}!`));
  patterns.restart();
  t.ok(patterns.engine()('^(a|b)+$').test('abab'));
});

t.test('a path of a scale is one of fields, whatever they are called', async (t) => {
  const server = await TestServer.start(t);
  const scale = { specReplicasPath: '.spec.__proto__.replicas', statusReplicasPath: '.status.sails' };
  const version = { subresources: { scale } };
  const schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  t.equal((await server.ask('POST', DEFINITIONS, definition({ version, schema }))).code, 201);
  await server.ask('POST', BOATS, boat('a', {}));
  await server.ask('PATCH', `${BOATS}/a/scale`, { spec: { replicas: 5 } }, merge);
  t.equal(({} as { replicas?: number }).replicas, undefined);
  t.equal((await server.get(`${BOATS}/a/scale`)).body.spec.replicas, 5);
});

t.test('names that another kind has are not taken', async (t) => {
  const server = await TestServer.start(t);
  const leases = definition({ names: { plural: 'leases', kind: 'Lease' }, spec: { group: 'coordination.k8s.io' } });
  Object.assign(leases, { metadata: { name: 'leases.coordination.k8s.io' } });
  t.equal((await server.ask('POST', DEFINITIONS, leases)).code, 201);
  t.equal(await established(server, 'leases.coordination.k8s.io'), 'False');
  await server.ask('POST', DEFINITIONS, definition());
  t.equal(await established(server), 'True');
  const ships = {
    ...definition({ names: { plural: 'ships', kind: 'Ship' } }),
    metadata: { name: 'ships.example.com' },
  };
  await server.ask('POST', DEFINITIONS, ships);
  t.equal(await established(server, 'ships.example.com'), 'False', 'bt is the short name of boats');
  t.equal((await server.get('/apis/example.com/v1/ships')).code, 404);
  await server.ask('DELETE', `${DEFINITIONS}/boats.example.com`);
  for (let i = 0; i < 200 && (await established(server, 'ships.example.com')) === 'False'; i++);
  t.equal((await server.get('/apis/example.com/v1/ships')).code, 200, 'free again');
});

t.test('what a kind had goes before it does', async (t) => {
  const server = await TestServer.start(t);
  await server.ask('POST', DEFINITIONS, definition());
  for (const name of ['a', 'b']) await server.ask('POST', BOATS, boat(name, { name: 'Anna' }));
  await server.ask('PATCH', `${BOATS}/b`, { metadata: { finalizers: ['example.com/hold'] } }, merge);
  t.match(await server.ask('DELETE', `${DEFINITIONS}/boats.example.com`), { code: 200 });
  t.match(await server.ask('POST', BOATS, boat('c', { name: 'Late' })), {
    code: 422,
    body: { message: /is terminating/ },
  });
  const gone = async (path: string) => {
    for (let i = 0; i < 300; i++) {
      if ((await server.get(path)).code === 404) return true;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return false;
  };
  t.ok(await gone(`${BOATS}/a`));
  t.equal((await server.get(`${DEFINITIONS}/boats.example.com`)).code, 200, 'held by what is left');
  await server.ask('PATCH', `${BOATS}/b`, { metadata: { finalizers: null } }, merge);
  t.ok(await gone(`${DEFINITIONS}/boats.example.com`));
  t.equal((await server.get(BOATS)).code, 404);
  t.equal((await server.get('/apis/example.com')).code, 404);
  await server.ask('POST', DEFINITIONS, definition());
  t.same((await server.get(BOATS)).body.items, [], 'made anew it has nothing');
});
