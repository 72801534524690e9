/** What `kubectl explain` is told: all fields that Kubernetes has, also those that nobody here checks. */
import t from 'tap';
import { ResourceTable } from '../../../src/apiserver/kinds/resource-table.ts';
import { openApiDocument, openApiIndex } from '../../../src/apiserver/rest/openapi.ts';

interface Schema {
  type?: string;
  $ref?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema;
}

const TABLE = new ResourceTable();
const documents = Object.keys(openApiIndex(TABLE).paths as object).map((path) => {
  const { components } = openApiDocument(TABLE, path) as { components: { schemas: Record<string, Schema> } };
  return { path, schemas: components.schemas };
});
const REFERENCE = '#/components/schemas/';

t.test('fields that are taken and not checked have their types', async (t) => {
  for (const [name, path, expected] of [
    ['io.k8s.api.core.v1.Pod', 'spec.volumes.configMap.items.mode', { type: 'integer' }],
    ['io.k8s.api.core.v1.Pod', 'spec.containers.securityContext.capabilities.add', { type: 'array' }],
    ['io.k8s.api.core.v1.Pod', 'spec.containers.tty', { type: 'boolean' }],
    ['io.k8s.api.core.v1.Pod', 'status.startTime', { type: 'string', format: 'date-time' }],
    ['io.k8s.api.apps.v1.Deployment', 'status.conditions.reason', { type: 'string' }],
    ['io.k8s.api.apps.v1.StatefulSet', 'spec.template.spec.volumes', { items: { $ref: `${REFERENCE}io.k8s.Volume` } }],
    ['io.k8s.api.core.v1.Service', 'spec.type', { enum: ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] }],
  ] as const) {
    const schemas = documents.find((one) => one.schemas[name])?.schemas ?? {};
    let schema = schemas[name];
    for (const word of path.split('.')) schema = resolved(schema?.items ?? schema, schemas)?.properties?.[word];
    t.match(schema, expected, `${name} ${path}`);
  }
});

t.test('every reference leads somewhere, and no schema is empty, which ends the templates of kubectl', async (t) => {
  for (const { path, schemas } of documents) {
    for (const [name, schema] of Object.entries(schemas)) check(schema, schemas, `${path} ${name}`);
  }
  function check(schema: Schema, schemas: Record<string, Schema>, place: string): void {
    if (!resolved(schema, schemas) || Object.keys(schema).length === 0) t.fail(place);
    const { properties = {}, items, additionalProperties } = schema;
    for (const [name, below] of Object.entries(properties)) check(below, schemas, `${place}.${name}`);
    for (const below of [items, additionalProperties]) if (below) check(below, schemas, place);
  }
});

function resolved(schema: Schema | undefined, schemas: Record<string, Schema>): Schema | undefined {
  return schema?.$ref ? schemas[schema.$ref.slice(REFERENCE.length)] : schema;
}
