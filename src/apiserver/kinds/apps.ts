/** The workloads of apps/v1: each makes pods, and says how many there are. */
import { isDeepStrictEqual } from 'node:util';
import type { LabelSelector } from 'kubernetes-types/meta/v1.js';
import { selects } from '../../kube/selector.ts';
import { unsupportedFields } from '../../kube/unsupported-fields.ts';
import type { Violation } from '../../kube/violation.ts';
import { type ApiObject, fieldAt } from '../api-object.ts';
import {
  AGE_COLUMN,
  boolean,
  column,
  labelSelector,
  list,
  listAt,
  metadata,
  NAME_COLUMN,
  natural,
  numberAt,
  object,
  oneOf,
  podTemplate,
  selectorText,
  string,
  textAt,
} from './fields.ts';
import { templateRules } from './pod-rules.ts';
import { podMergeKeys, podSpecDefaults } from './pod-spec.ts';
import type { Resource } from './resource.ts';

const apps = { group: 'apps', version: 'v1', namespaced: true, status: true, categories: ['all'] } as const;

const percentOrNumber = {
  anyOf: [natural, { type: 'string', pattern: '^[0-9]{1,3}%$' }],
  description: 'must be a number or a percentage such as 25%',
};

const scale = {
  replicas: ['spec', 'replicas'],
  statusReplicas: ['status', 'replicas'],
  selector: ['spec', 'selector'],
} as const;

const TEMPLATE_VOLUMES = 'spec.template.spec.volumes';
const workloadMergeKeys = { ...podMergeKeys('spec.template.spec'), 'status.conditions': 'type' };

const readyColumn = column('Ready', 'Pods that are ready, of those wanted', (o) => {
  return `${numberAt(o, 'status', 'readyReplicas')}/${numberAt(o, 'spec', 'replicas')}`;
});

const workloadStatus = object({ replicas: natural, readyReplicas: natural, observedGeneration: natural });

const wideColumns = [
  column('Containers', 'Of its pods', (o) => templateContainers(o, 'name'), { wide: true }),
  column('Images', 'Of those containers', (o) => templateContainers(o, 'image'), { wide: true }),
  column('Selector', 'Whose labels its pods have', (o) => selectorText(fieldAt(o, ['spec', 'selector'])) || '<none>', {
    wide: true,
  }),
];

function templateContainers(o: ApiObject, field: string): string {
  return listAt(o, 'spec', 'template', 'spec', 'containers')
    .map((c) => String(c[field] ?? ''))
    .join(',');
}

/** What a selector wants its template must have, and it can never want something else; its pods go on for ever. */
function selectorRules(o: ApiObject, old: ApiObject | undefined): Violation[] {
  const selector = (fieldAt(o, ['spec', 'selector']) ?? {}) as LabelSelector;
  const labels = (fieldAt(o, ['spec', 'template', 'metadata', 'labels']) ?? {}) as Record<string, string>;
  const out: Violation[] = [];
  if (Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length === 0) {
    out.push({ path: ['spec', 'selector'], message: 'empty selector is invalid: it would take all pods there are' });
  } else if (!selects(selector, labels)) {
    out.push({
      path: ['spec', 'template', 'metadata', 'labels'],
      message: '`selector` does not match template `labels`',
    });
  }
  if (old && !isDeepStrictEqual(fieldAt(old, ['spec', 'selector']), fieldAt(o, ['spec', 'selector']))) {
    out.push({ path: ['spec', 'selector'], message: 'field is immutable' });
  }
  // Pods that end of themselves would be made again without end.
  const restartPolicy = textAt(o, 'spec', 'template', 'spec', 'restartPolicy');
  if (restartPolicy !== 'Always') {
    const path = ['spec', 'template', 'spec', 'restartPolicy'];
    out.push({ path, message: `must be Always, not "${restartPolicy}"` });
  }
  return out;
}

/** With neither it could never begin. */
function rollingRules(o: ApiObject): Violation[] {
  const rolling = (fieldAt(o, ['spec', 'strategy', 'rollingUpdate']) ?? {}) as Record<string, unknown>;
  const isNothing = (value: unknown) => value === 0 || /^0+%$/.test(String(value));
  if (!isNothing(rolling.maxSurge) || !isNothing(rolling.maxUnavailable)) return [];
  const path = ['spec', 'strategy', 'rollingUpdate', 'maxUnavailable'];
  return [{ path, message: 'may not be 0 when `maxSurge` is 0' }];
}

/** What its pods will ask for in vain. */
function templateWarnings(o: ApiObject): string[] {
  return unsupportedFields(fieldAt(o, ['spec', 'template', 'spec']) ?? {}, 'spec.template.spec');
}

function templateDefaults(spec: Record<string, unknown>): void {
  const template = (spec.template ?? {}) as Record<string, unknown>;
  spec.template = { metadata: {}, ...template, spec: podSpecDefaults(template.spec as object | undefined) };
}

const deployment: Resource = {
  ...apps,
  kind: 'Deployment',
  plural: 'deployments',
  singular: 'deployment',
  shortNames: ['deploy'],
  scale,
  schema: object(
    {
      metadata,
      spec: object(
        {
          replicas: natural,
          selector: labelSelector,
          template: podTemplate,
          minReadySeconds: natural,
          revisionHistoryLimit: natural,
          progressDeadlineSeconds: natural,
          paused: boolean,
          strategy: object({
            type: oneOf('RollingUpdate', 'Recreate'),
            rollingUpdate: object({ maxSurge: percentOrNumber, maxUnavailable: percentOrNumber }),
          }),
        },
        ['selector', 'template'],
      ),
      status: workloadStatus,
    },
    ['spec'],
  ),
  mergeKeys: workloadMergeKeys,
  retainKeys: [TEMPLATE_VOLUMES, 'spec.strategy'],
  columns: [
    NAME_COLUMN,
    readyColumn,
    column('Up-to-date', 'Pods of the newest template', (o) => numberAt(o, 'status', 'updatedReplicas')),
    column('Available', 'Pods ready for long enough', (o) => numberAt(o, 'status', 'availableReplicas')),
    AGE_COLUMN,
    ...wideColumns,
  ],
  defaults: (o) => {
    const spec = { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600, ...o.spec } as Record<
      string,
      unknown
    >;
    const strategy = { type: 'RollingUpdate', ...(spec.strategy as object) } as Record<string, unknown>;
    if (strategy.type === 'RollingUpdate') {
      strategy.rollingUpdate = { maxSurge: '25%', maxUnavailable: '25%', ...(strategy.rollingUpdate as object) };
    }
    templateDefaults(spec);
    o.spec = { ...spec, strategy };
  },
  rules: (o, old) => [...selectorRules(o, old), ...templateRules(o, old), ...rollingRules(o)],
  warnings: templateWarnings,
};

const replicaSet: Resource = {
  ...apps,
  kind: 'ReplicaSet',
  plural: 'replicasets',
  singular: 'replicaset',
  shortNames: ['rs'],
  scale,
  schema: object(
    {
      metadata,
      spec: object({ replicas: natural, selector: labelSelector, template: podTemplate, minReadySeconds: natural }, [
        'selector',
      ]),
      status: workloadStatus,
    },
    ['spec'],
  ),
  mergeKeys: workloadMergeKeys,
  retainKeys: [TEMPLATE_VOLUMES],
  columns: [
    NAME_COLUMN,
    column('Desired', 'Pods that are wanted', (o) => numberAt(o, 'spec', 'replicas')),
    column('Current', 'Pods that there are', (o) => numberAt(o, 'status', 'replicas')),
    column('Ready', 'Pods that are ready', (o) => numberAt(o, 'status', 'readyReplicas')),
    AGE_COLUMN,
    ...wideColumns,
  ],
  defaults: (o) => {
    const spec = { replicas: 1, ...o.spec } as Record<string, unknown>;
    templateDefaults(spec);
    o.spec = spec;
  },
  rules: (o, old) => [...selectorRules(o, old), ...templateRules(o, old)],
  warnings: templateWarnings,
};

const statefulSet: Resource = {
  ...apps,
  kind: 'StatefulSet',
  plural: 'statefulsets',
  singular: 'statefulset',
  shortNames: ['sts'],
  scale,
  schema: object(
    {
      metadata,
      spec: object(
        {
          replicas: natural,
          selector: labelSelector,
          template: podTemplate,
          serviceName: string,
          podManagementPolicy: oneOf('OrderedReady', 'Parallel'),
          updateStrategy: object({
            type: oneOf('RollingUpdate', 'OnDelete'),
            rollingUpdate: object({ partition: natural }),
          }),
          minReadySeconds: natural,
          volumeClaimTemplates: list(object({})),
          revisionHistoryLimit: natural,
          ordinals: object({ start: natural }),
        },
        ['selector', 'template'],
      ),
      status: workloadStatus,
    },
    ['spec'],
  ),
  mergeKeys: workloadMergeKeys,
  retainKeys: [TEMPLATE_VOLUMES],
  columns: [
    NAME_COLUMN,
    readyColumn,
    AGE_COLUMN,
    column('Containers', 'Of its pods', (o) => templateContainers(o, 'name'), { wide: true }),
    column('Images', 'Of those containers', (o) => templateContainers(o, 'image'), { wide: true }),
  ],
  defaults: (o) => {
    const spec = {
      replicas: 1,
      podManagementPolicy: 'OrderedReady',
      revisionHistoryLimit: 10,
      ...o.spec,
    } as Record<string, unknown>;
    const update = { type: 'RollingUpdate', ...(spec.updateStrategy as object) } as Record<string, unknown>;
    if (update.type === 'RollingUpdate') update.rollingUpdate = { partition: 0, ...(update.rollingUpdate as object) };
    templateDefaults(spec);
    o.spec = { ...spec, updateStrategy: update };
  },
  rules: (o, old) => {
    const out = [...selectorRules(o, old), ...templateRules(o, old)];
    for (const field of old ? ['serviceName', 'podManagementPolicy', 'volumeClaimTemplates'] : []) {
      if (isDeepStrictEqual(old?.spec?.[field] || undefined, o.spec?.[field] || undefined)) continue;
      out.push({ path: ['spec', field], message: 'field is immutable' });
    }
    return out;
  },
  warnings: (o) => {
    const claims = listAt(o, 'spec', 'volumeClaimTemplates').length > 0;
    return [...templateWarnings(o), ...(claims ? ['spec.volumeClaimTemplates is not supported'] : [])];
  },
};

const controllerRevision: Resource = {
  group: 'apps',
  version: 'v1',
  kind: 'ControllerRevision',
  plural: 'controllerrevisions',
  singular: 'controllerrevision',
  namespaced: true,
  schema: object({ metadata, data: object({}), revision: { type: 'integer' } }, ['revision']),
  columns: [
    NAME_COLUMN,
    column('Controller', 'Whose template it keeps', (o) => {
      const owner = o.metadata.ownerReferences?.find(({ controller }) => controller);
      return owner ? `${owner.kind.toLowerCase()}.apps/${owner.name}` : '<none>';
    }),
    column('Revision', 'Later ones have higher numbers', (o) => numberAt(o, 'revision')),
    AGE_COLUMN,
  ],
  rules: (o, old) =>
    old && !isDeepStrictEqual(old.data, o.data) ? [{ path: ['data'], message: 'field is immutable' }] : [],
};

export const APPS: readonly Resource[] = [deployment, replicaSet, statefulSet, controllerRevision];
