/**
 * What a pod's spec, of a pod or in a template, must be beside what its schema says, in Kubernetes' words
 * (k8s.io/kubernetes pkg/apis/core/validation). For what is written to the API alone: the network itself can do with
 * less.
 */
import { isJsonObject } from '../../kube/json-value.ts';
import { specRules } from '../../kube/object-rules.ts';
import type { Pod } from '../../kube/objects.ts';
import { parseQuantity } from '../../kube/quantity.ts';
import { doubles } from '../../kube/rule-checks.ts';
import { TEXT_FORMATS } from '../../kube/text-formats.ts';
import { type FieldPath, formatPath, type Violation } from '../../kube/violation.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import { listAt } from './fields.ts';

type Fields = Record<string, unknown>;
type Say = (path: FieldPath, message: string) => void;

const VIOLATION_LIMIT = 20;
const VALUE_CHARACTERS = 60;

const FIELD_PATHS = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  "metadata.labels['<KEY>']",
  "metadata.annotations['<KEY>']",
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
];
const KEYED_PATH = /^metadata\.(?:labels|annotations)\['([^']*)'\]$/;
/** Printable, as an environment block can carry it. */
const VARIABLE_NAME = /^[!-<>-~]+$/;
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'];
const PROBE_HANDLERS = ['exec', 'httpGet', 'tcpSocket', 'grpc'];
const HOOK_HANDLERS = ['exec', 'httpGet', 'tcpSocket', 'sleep'];

const TEMPLATE_SPEC = ['spec', 'template', 'spec'];

export function podRules(pod: ApiObject, old: ApiObject | undefined): Violation[] {
  return newViolations(pod.spec, old?.spec, (spec) => ownRules(spec, ['spec'], volumesOf(spec)));
}

/** Also what the network's own rules say of pods. A StatefulSet's claims are volumes of its pods. */
export function templateRules(workload: ApiObject, old: ApiObject | undefined): Violation[] {
  const specOf = (o: ApiObject | undefined) => fieldAt(o, TEMPLATE_SPEC) as Fields | undefined;
  const claims = listAt(workload, 'spec', 'volumeClaimTemplates').map((claim) => fieldAt(claim, ['metadata', 'name']));
  return newViolations(specOf(workload), specOf(old), (spec) => [
    ...specRules(spec as unknown as Pod['spec'], TEMPLATE_SPEC),
    ...ownRules(spec, TEMPLATE_SPEC, [...volumesOf(spec), ...claims]),
  ]);
}

/** What was taken once can still be written, as long as it becomes no worse. */
function newViolations(
  spec: Fields | undefined,
  old: Fields | undefined,
  rules: (spec: Fields) => Violation[],
): Violation[] {
  if (spec === undefined || spec === old) return [];
  const found = rules(spec);
  if (found.length === 0) return found;
  const text = ({ path, message }: Violation) => `${formatPath(path)}: ${message}`;
  const known = new Set(old ? rules(old).map(text) : []);
  return found.filter((one) => !known.has(text(one))).slice(0, VIOLATION_LIMIT);
}

const volumesOf = (spec: Fields): unknown[] => objectsAt(spec, 'volumes').map(({ name }) => name);

function ownRules(spec: Fields, place: FieldPath, volumes: readonly unknown[]): Violation[] {
  const out: Violation[] = [];
  const say: Say = (path, message) => void out.push({ path, message });
  for (const list of ['initContainers', 'containers']) {
    objectsAt(spec, list).forEach((container, i) => {
      const path = [...place, list, i];
      const { restartPolicy } = container;
      if (list === 'initContainers' && !isEmpty(restartPolicy) && restartPolicy !== 'Always') {
        say([...path, 'restartPolicy'], unsupported(restartPolicy, ['Always']));
      }
      doubles(
        objectsAt(container, 'ports').map(({ name }) => name as string | undefined),
        (port) => [...path, 'ports', port, 'name'],
        out,
      );
      containerRules(container, path, say);
      objectsAt(container, 'volumeMounts').forEach(({ name }, mount) => {
        if (isEmpty(name)) say([...path, 'volumeMounts', mount, 'name'], 'Required value');
        else if (!volumes.includes(name)) say([...path, 'volumeMounts', mount, 'name'], `Not found: ${quoted(name)}`);
      });
    });
  }
  return out;
}

function containerRules(container: Fields, path: FieldPath, say: Say): void {
  const { image, command, imagePullPolicy: policy } = container;
  // What a container runs here is its command's, or what stands for its image.
  if (isEmpty(image) && !(Array.isArray(command) && command.length > 0)) say([...path, 'image'], 'Required value');
  if (!isEmpty(policy) && !PULL_POLICIES.includes(policy as string)) {
    say([...path, 'imagePullPolicy'], unsupported(policy, PULL_POLICIES));
  }
  resourceRules(container, path, say);
  objectsAt(container, 'env').forEach(({ name, valueFrom }, i) => {
    if (typeof name === 'string' && !VARIABLE_NAME.test(name)) {
      const wanted = 'a valid environment variable name must consist only of printable ASCII characters other than';
      say([...path, 'env', i, 'name'], `Invalid value: ${quoted(name)}: ${wanted} '=' and space`);
    }
    const at = fieldAt(valueFrom, ['fieldRef', 'fieldPath']);
    if (at !== undefined && !isFieldPath(at)) {
      say([...path, 'env', i, 'valueFrom', 'fieldRef', 'fieldPath'], unsupported(at, FIELD_PATHS));
    }
  });
  for (const kind of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    const probe = container[kind];
    if (!isJsonObject(probe)) continue;
    handlerRules(probe, [...path, kind], PROBE_HANDLERS, say);
    if (kind !== 'readinessProbe' && (probe.successThreshold || 1) !== 1) {
      say([...path, kind, 'successThreshold'], `Invalid value: ${quoted(probe.successThreshold)}: must be 1`);
    }
  }
  for (const kind of ['postStart', 'preStop']) {
    const hook = fieldAt(container, ['lifecycle', kind]);
    if (isJsonObject(hook)) handlerRules(hook, [...path, 'lifecycle', kind], HOOK_HANDLERS, say);
  }
}

function resourceRules(container: Fields, path: FieldPath, say: Say): void {
  const amounts = (field: string) =>
    (fieldAt(container, ['resources', field]) ?? {}) as Record<string, string | number>;
  const limits = amounts('limits');
  for (const [name, request] of Object.entries(amounts('requests'))) {
    const limit = Object.hasOwn(limits, name) ? limits[name] : undefined;
    if (limit === undefined || (parseQuantity(request) ?? 0) <= (parseQuantity(limit) ?? 0)) continue;
    const message = `Invalid value: ${quoted(`${request}`)}: must be less than or equal to ${name} limit of ${limit}`;
    say([...path, 'resources', 'requests'], message);
  }
}

function handlerRules(parent: Fields, path: FieldPath, kinds: readonly string[], say: Say): void {
  const [first, second] = kinds.filter((kind) => isJsonObject(parent[kind]));
  if (first === undefined) say(path, 'Required value: must specify a handler type');
  if (second !== undefined) say([...path, second], 'Forbidden: may not specify more than 1 handler type');
}

function isFieldPath(path: unknown): boolean {
  if (typeof path !== 'string') return false;
  const [, key] = KEYED_PATH.exec(path) ?? [];
  if (key !== undefined) return TEXT_FORMATS['label-key']?.matches(key) === true;
  return !path.includes('<KEY>') && FIELD_PATHS.includes(path);
}

/** What no schema has held to anything may be anything. */
function objectsAt(object: Fields, field: string): Fields[] {
  return listAt(object, field).map((one) => (isJsonObject(one) ? one : {}));
}

const isEmpty = (value: unknown): boolean => value === undefined || value === null || value === '';

function unsupported(value: unknown, supported: readonly string[]): string {
  const all = supported.map((one) => JSON.stringify(one)).join(', ');
  return `Unsupported value: ${quoted(value)}: supported values: ${all}`;
}

function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? 'null';
  return text.length > VALUE_CHARACTERS ? `${text.slice(0, VALUE_CHARACTERS)}..."` : text;
}
