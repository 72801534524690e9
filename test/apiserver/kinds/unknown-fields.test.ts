/** Misspelt fields of built-in kinds: found wherever they stand, and nothing that Kubernetes has is taken for one. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseAllDocuments } from 'yaml';
import type { ApiObject } from '../../../src/apiserver/api-object.ts';
import { KIND_TYPES } from '../../../src/apiserver/kinds/known-fields.ts';
import type { Resource } from '../../../src/apiserver/kinds/resource.ts';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';
import { unknownFields } from '../../../src/apiserver/kinds/unknown-fields.ts';
import { TestServer } from '../test-server.ts';

const TABLE = new ResourceTable();
const kindOf = (kind: string) => [...TABLE].find((one) => one.kind === kind) as Resource;
const unknown = (kind: string, object: object) => unknownFields(kindOf(kind), object as ApiObject);

t.test('the fields are those of the Kubernetes client that is installed', async (t) => {
  const { status, stderr } = spawnSync(process.execPath, ['scripts/known-fields.mjs', '--check'], { encoding: 'utf8' });
  t.equal(status, 0, stderr);
  for (const { kind } of [...TABLE]) t.ok(KIND_TYPES[kind], kind);
});

t.test('what is misspelt is named with its path', async (t) => {
  const container = { name: 'a', comand: ['sh'], prots: [], ports: [{ containerPort: 80, hostport: 1 }] };
  const template = {
    metadata: { labels: { any: 'thing' }, lables: {} },
    spec: { containers: [{ name: 'ok' }, container] },
  };
  const deployment = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd' },
    spec: { replica: 3, template },
  };
  t.same(unknown('Deployment', deployment), [
    'spec.replica',
    'spec.template.metadata.lables',
    'spec.template.spec.containers[1].comand',
    'spec.template.spec.containers[1].prots',
    'spec.template.spec.containers[1].ports[0].hostport',
  ]);
  t.same(unknown('Service', { spec: { selectors: {}, ports: [{ targetport: 1 }] } }), [
    'spec.selectors',
    'spec.ports[0].targetport',
  ]);
  const properties = { spec: { type: 'object', propertys: {} }, any: { default: { of: 'it' } } };
  const versions = [{ name: 'v1', schema: { openAPIV3Schema: { type: 'object', properties } } }];
  t.same(unknown('CustomResourceDefinition', { spec: { versions } }), [
    'spec.versions[0].schema.openAPIV3Schema.properties.spec.propertys',
  ]);
});

t.test('what is of no type that could have fields is no matter of theirs', async (t) => {
  const data = { any: 'key', 'another.one': 'x' };
  t.same(unknown('ConfigMap', { kind: 'ConfigMap', metadata: null, data }), []);
  t.same(unknown('Pod', { spec: { containers: 'none', nodeSelector: { a: 'b' }, hostAliases: [null, 3, ['x']] } }), []);
  const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`f${i}`, 1]));
  t.equal(unknown('Pod', { spec: many }).length, 20, 'bounded');
});

t.test('no manifest of ours has one', async (t) => {
  const files = ['examples', 'docs', 'test'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.ya?ml$/.test(file))
      .map((file) => join(folder, file)),
  );
  let objects = 0;
  for (const file of files) {
    for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
      const object = document.toJS() as ApiObject | null;
      const resource = object && [...TABLE].find(({ kind }) => kind === object.kind);
      if (!object || !resource) continue;
      objects++;
      t.same(unknownFields(resource, object), [], `${file}: ${object.kind} ${object.metadata?.name}`);
    }
  }
  t.ok(objects > 5, `${objects} objects`);
});

t.test('a mistake where it is asked for, else a warning, and never for what stands there already', async (t) => {
  const server = await TestServer.start(t);
  const path = '/api/v1/namespaces/default/pods';
  const misspelt = (name: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { containers: [{ name: 'a', image: 'busybox', comand: ['x'] }] },
  });
  t.match(await server.ask('POST', `${path}?fieldValidation=Strict`, misspelt('a')), {
    code: 400,
    body: { message: 'strict decoding error: unknown field "spec.containers[0].comand"' },
  });
  const sent = async (method: string, query: string, body: object, type = 'application/json') => {
    const headers = { authorization: 'Bearer admin', 'content-type': type };
    const response = await fetch(`${server.url}${path}${query}`, { method, headers, body: JSON.stringify(body) });
    await response.arrayBuffer();
    return [response.status, response.headers.get('warning')];
  };
  t.same(await sent('POST', '?fieldValidation=Ignore', misspelt('b')), [201, null]);
  t.same(await sent('POST', '', misspelt('c')), [201, '299 - "unknown field \\"spec.containers[0].comand\\""']);
  const merge = 'application/merge-patch+json';
  const strict = '/c?fieldValidation=Strict';
  t.same(await sent('PATCH', strict, { metadata: { labels: { a: 'b' } } }, merge), [200, null]);
  t.equal((await sent('PATCH', strict, { metadata: { lables: {} } }, merge))[0], 400);
});
