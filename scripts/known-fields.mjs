/**
 * Writes src/apiserver/kinds/known-fields.ts: which fields the built-in kinds have in Kubernetes, out of the classes that
 * the JavaScript client makes of Kubernetes' OpenAPI.
 *
 *   node scripts/known-fields.mjs [--check]      --check only says whether the file is up to date
 */
import { readFileSync, writeFileSync } from 'node:fs';

const client = { ...(await import('@kubernetes/client-node')) };
const FILE = new URL('../src/apiserver/kinds/known-fields.ts', import.meta.url);
/** By kind; those of one name in several groups have longer ones in the client. */
const ROOTS = {
  ConfigMap: 'V1ConfigMap',
  ControllerRevision: 'V1ControllerRevision',
  CustomResourceDefinition: 'V1CustomResourceDefinition',
  Deployment: 'V1Deployment',
  EndpointSlice: 'V1EndpointSlice',
  Endpoints: 'V1Endpoints',
  Event: 'CoreV1Event',
  Ingress: 'V1Ingress',
  IngressClass: 'V1IngressClass',
  Lease: 'V1Lease',
  Namespace: 'V1Namespace',
  NetworkPolicy: 'V1NetworkPolicy',
  Node: 'V1Node',
  Pod: 'V1Pod',
  ReplicaSet: 'V1ReplicaSet',
  Service: 'V1Service',
  StatefulSet: 'V1StatefulSet',
};

/** What has no fields of its own: a text where nothing stands. */
const LEAVES = {
  string: 'string',
  Date: 'time',
  V1MicroTime: 'time',
  number: 'integer',
  boolean: 'boolean',
  IntOrString: 'intOrString',
};

/** `[]` before a list's type, `{}` before a map's. */
function fieldOf({ baseName, type, format }) {
  const [, list, map, one] = /^(?:Array<(\w+)>|\{ \[key: string\]: (\w+); \}|(\w+))$/.exec(type) ?? [];
  const inner = list ?? map ?? one;
  const leaf = format === 'double' ? 'number' : (LEAVES[inner] ?? 'any');
  const what = client[inner]?.getAttributeTypeMap ? inner : leaf;
  if (one === 'string') return baseName;
  return `${baseName}:${list ? '[]' : map ? '{}' : ''}${what}`;
}

const types = new Map();
function add(name) {
  if (types.has(name)) return;
  const fields = client[name].getAttributeTypeMap().map(fieldOf);
  types.set(name, fields.join(' '));
  for (const field of fields) {
    const [, type] = field.split(/:(?:\[\]|\{\})?/);
    if (client[type]?.getAttributeTypeMap) add(type);
  }
}
for (const name of Object.values(ROOTS)) add(name);

const { version } = JSON.parse(
  readFileSync(new URL('../node_modules/@kubernetes/client-node/package.json', import.meta.url)),
);
// As the formatter has it.
const entry = ([name, text]) => {
  const line = `  ${name}: '${text}',`;
  return line.length <= 120 ? `${line}\n` : `  ${name}:\n    '${text}',\n`;
};
const entries = (pairs) => pairs.map(entry).join('');
const text = `/**
 * Written by scripts/known-fields.mjs from @kubernetes/client-node ${version}: the fields of the built-in kinds. A type's
 * fields stand in a line, with their own type where that is no text: \`[]\` is a list of them, \`{}\` a map.
 */

export const KIND_TYPES: Readonly<Record<string, string>> = {
${entries(Object.entries(ROOTS))}};

export const FIELDS: Readonly<Record<string, string>> = {
${entries([...types].sort(([a], [b]) => (a < b ? -1 : 1)))}};
`;

if (!process.argv.includes('--check')) writeFileSync(FILE, text);
else if (readFileSync(FILE, 'utf8') !== text) {
  console.error('src/apiserver/kinds/known-fields.ts is old: node scripts/known-fields.mjs');
  process.exit(1);
}
