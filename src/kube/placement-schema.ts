/** JSON Schemas of what decides where a pod runs (core/v1): of a pod's spec, of a node's, of a container. */
import type { SchemaObject } from 'ajv';

const string = { type: 'string' } as const;
const integer = { type: 'integer' } as const;
const list = (items: SchemaObject): SchemaObject => ({ type: 'array', items });
const object = (properties: Record<string, SchemaObject>, required: string[] = []): SchemaObject => ({
  type: 'object',
  properties,
  required,
});
const oneOf = (...values: string[]): SchemaObject => ({ type: 'string', enum: values });
const mapOf = (values: SchemaObject): SchemaObject => ({ type: 'object', additionalProperties: values });

const EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

const operators = (...names: string[]) =>
  list(object({ key: string, operator: oneOf(...names), values: list(string) }, ['key', 'operator']));
const nodeTerms = operators('In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt');
const nodeTerm = object({ matchExpressions: nodeTerms, matchFields: nodeTerms });
const labelSelector = object({
  matchLabels: mapOf(string),
  matchExpressions: operators('In', 'NotIn', 'Exists', 'DoesNotExist'),
});
const podTerm = object(
  { labelSelector, namespaceSelector: labelSelector, topologyKey: string, namespaces: list(string) },
  ['topologyKey'],
);
const weighted = (what: string, term: SchemaObject) =>
  list(object({ weight: integer, [what]: term }, ['weight', what]));
const podTerms = object({
  requiredDuringSchedulingIgnoredDuringExecution: list(podTerm),
  preferredDuringSchedulingIgnoredDuringExecution: weighted('podAffinityTerm', podTerm),
});

export const POD_PLACEMENT: Readonly<Record<string, SchemaObject>> = {
  nodeSelector: mapOf(string),
  schedulerName: string,
  schedulingGates: list(object({ name: string }, ['name'])),
  affinity: object({
    nodeAffinity: object({
      requiredDuringSchedulingIgnoredDuringExecution: object({ nodeSelectorTerms: list(nodeTerm) }, [
        'nodeSelectorTerms',
      ]),
      preferredDuringSchedulingIgnoredDuringExecution: weighted('preference', nodeTerm),
    }),
    podAffinity: podTerms,
    podAntiAffinity: podTerms,
  }),
  tolerations: list(
    object({
      key: string,
      operator: oneOf('Exists', 'Equal', ''),
      value: string,
      effect: oneOf(...EFFECTS, ''),
      tolerationSeconds: integer,
    }),
  ),
  topologySpreadConstraints: list(
    object(
      {
        maxSkew: { type: 'integer', minimum: 1 },
        topologyKey: string,
        whenUnsatisfiable: oneOf('DoNotSchedule', 'ScheduleAnyway'),
        labelSelector,
      },
      ['maxSkew', 'topologyKey', 'whenUnsatisfiable'],
    ),
  ),
};

export const NODE_PLACEMENT: Readonly<Record<string, SchemaObject>> = {
  unschedulable: { type: 'boolean' },
  taints: list(object({ key: string, value: string, effect: oneOf(...EFFECTS) }, ['key', 'effect'])),
};

const quantities = mapOf({
  anyOf: [{ type: 'number' }, { type: 'string', format: 'quantity' }],
  description: 'must be a quantity such as 100m or 1Gi',
});

/** Of a container. */
export const resources: SchemaObject = object({ requests: quantities, limits: quantities });
